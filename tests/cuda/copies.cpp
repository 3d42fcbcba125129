// Copies between the host and the device, which pass through a ring of pinned buffers
// (kernels/cuda/staging.h): what is on its way must not be written over, nor read before it is
// there.
#include "kernels/norm.h"
#include "tests/cuda/harness.h"

namespace chiasm::cuda_check {

using namespace chiasm::testing;

namespace {

constexpr std::int64_t kMiB = std::int64_t(1) << 18;  // float32 numbers

std::span<const std::byte> bytes_of(const Floats& v) { return std::as_bytes(std::span(v)); }

/// Up in one copy and down in one.
void check_whole(Harness& h, std::int64_t count) {
  const auto values = std::make_shared<Floats>(random_floats(count, 81));
  h.check(
      "copies of " + std::to_string(count) + " numbers", count, 0,
      [=](Bench& bench) { return bench.read(bench.rows(*values, count)); },
      [=](Bench&) { return *values; });
}

/// One piece after another from one place of the host, which each time holds something else.
void check_pieces(Harness& h, std::int64_t count, std::int64_t pieces) {
  const auto values = std::make_shared<Floats>(random_floats(count * pieces, 82));
  h.check(
      "copies of " + std::to_string(count) + " numbers " + std::to_string(pieces) + " times", count,
      0,
      [=](Bench& bench) {
        const auto rows = bench.rows(pieces, count);
        Floats piece;
        for (std::int64_t i = 0; i < pieces; i++) {
          piece.assign(values->begin() + i * count, values->begin() + (i + 1) * count);
          bench.device.upload(reinterpret_cast<std::byte*>(rows.row(i)), bytes_of(piece));
        }
        return bench.read(rows);
      },
      [=](Bench&) { return *values; });
}

/// Work of kernels between copies to one place: each finds what was sent before it.
void check_order(Harness& h) {
  constexpr std::int64_t kCols = 64, kRows = 40, kTurns = 5;
  const auto values = std::make_shared<Floats>(random_floats(kTurns * kRows * kCols, 83));
  const auto weight = std::make_shared<Floats>(random_floats(kCols, 84));
  const auto normed = [=](const Context& ctx, TensorView<const float> x, TensorView<float> y) {
    kernels::rms_norm(ctx, x, {weight->data(), Shape{kCols}}, 1e-5f, y);
  };
  h.check(
      "copies between kernels", kCols, 1e-6,
      [=](Bench& bench) {
        const auto x = bench.rows(kRows, kCols), y = bench.rows(kTurns * kRows, kCols);
        Floats piece;
        for (std::int64_t i = 0; i < kTurns; i++) {
          const auto from = values->begin() + i * kRows * kCols;
          piece.assign(from, from + kRows * kCols);
          bench.device.upload(reinterpret_cast<std::byte*>(x.data()), bytes_of(piece));
          normed(bench.on_device, x, y.slice_rows(i * kRows, kRows));
        }
        return bench.read(y);
      },
      [=](Bench& bench) {
        Floats x = *values, y(x.size());
        const std::int64_t rows = kTurns * kRows;
        normed(bench.reference, view(x, {rows, kCols}), view(y, {rows, kCols}));
        return y;
      });
}

/// Copies that are taken once more work was asked for, which writes over what they came from.
void check_later(Harness& h) {
  constexpr std::int64_t kCols = 100, kTurns = 7;
  const auto values = std::make_shared<Floats>(random_floats(kTurns * kCols, 85));
  h.check(
      "copies that are taken later", kCols, 0,
      [=](Bench& bench) {
        constexpr std::size_t kBytes = kCols * sizeof(float);
        const auto row = bench.rows(1, kCols);
        auto* const memory = reinterpret_cast<std::byte*>(row.data());
        Floats out(values->size());
        const auto all = std::as_writable_bytes(std::span(out));
        std::vector<DeviceDownload> waiting;
        for (std::size_t i = 0; i < kTurns; i++) {
          bench.device.upload(memory, bytes_of(*values).subspan(i * kBytes, kBytes));
          waiting.push_back(bench.device.begin_download(memory, kBytes));
          const DeviceDownload given_up = bench.device.begin_download(memory, kBytes / 2);
          if (i % 3 != 2) continue;  // some at once, later ones first
          for (std::size_t j = i + 1; j-- > i - 2;) {
            waiting[j].take(all.subspan(j * kBytes, kBytes));
          }
        }
        waiting.back().take(all.last(kBytes));
        return out;
      },
      [=](Bench&) { return *values; });
}

}  // namespace

void check_copies(Harness& h) {
  for (const std::int64_t count : {std::int64_t(1), std::int64_t(1000), 2 * kMiB, 2 * kMiB + 1}) {
    check_whole(h, count);
  }
  check_whole(h, 9 * kMiB + 3);  // more than the ring holds
  check_pieces(h, 5000, 500);
  check_pieces(h, 3 * kMiB + 5, 6);
  check_order(h);
  check_later(h);
}

}  // namespace chiasm::cuda_check
