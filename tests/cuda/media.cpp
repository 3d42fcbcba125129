// What happens to pictures and sounds before an encoder: fixed-point resizing on to patches, to the
// bit; powers of mel bands beside a transform that is written as its formula.
#include <cmath>
#include <numbers>
#include <random>

#include "tests/cuda/harness.h"

namespace chiasm::cuda_check {

using namespace chiasm::testing;

namespace {

/// In memory that ends with the last number, so that AddressSanitizer sees what is read behind it.
template <class T>
const T* sent(Bench& bench, const std::vector<T>& numbers) {
  const auto bytes = std::as_bytes(std::span(numbers));
  std::byte* const memory = bench.device.allocate(bytes.size());
  bench.device.upload(memory, bytes);
  return reinterpret_cast<const T*>(memory);
}

/// Weights of an axis: some pixels each, of random weights that add up to one and overshoot.
struct TestAxis {
  std::vector<std::int32_t> first, count, weights;
  std::int64_t stride = 8, in = 0, out = 0;
  std::int32_t bits = 0;
  bool kept() const { return first.empty(); }

  TestAxis(std::int64_t from, std::int64_t to, std::int32_t fraction, unsigned seed)
      : in(from), out(to), bits(fraction) {
    if (from == to) return;
    std::mt19937 random(seed);
    for (std::int64_t i = 0; i < to; i++) {
      const auto most = std::int32_t(std::min<std::int64_t>(7, from));
      const std::int32_t taken = 1 + std::int32_t(random() % unsigned(most));
      first.push_back(std::int32_t(random() % unsigned(from - taken + 1)));
      count.push_back(taken);
      std::int32_t left = 1 << bits;
      for (std::int32_t k = 0; k < stride; k++) {
        const std::int32_t w =
            k + 1 < taken ? std::int32_t(random() % (1u << bits)) / 2 - (1 << bits) / 8 : left;
        weights.push_back(k < taken ? w : 0);
        left -= k < taken ? w : 0;
      }
    }
  }
  device::ResizeAxis on_device(Bench& bench) const {
    device::ResizeAxis axis{};
    axis.count_out = out;
    if (kept()) return axis;
    axis.first = sent(bench, first);
    axis.count = sent(bench, count);
    axis.weights = sent(bench, weights);
    axis.stride = stride;
    axis.bits = bits;
    return axis;
  }
  std::uint8_t apply(std::int64_t i, const auto& pixel) const {
    if (kept()) return pixel(i);
    std::int32_t sum = 1 << (bits - 1);
    for (std::int32_t k = 0; k < count[std::size_t(i)]; k++) {
      sum += weights[std::size_t(i * stride + k)] * pixel(first[std::size_t(i)] + k);
    }
    return std::uint8_t(std::clamp(sum >> bits, 0, 255));
  }
};

void check_resize(Harness& h, const std::string& name, const TestAxis& x, const TestAxis& y,
                  bool vertical_first) {
  constexpr std::int64_t kPatch = 4;
  const std::int64_t tile_width = (x.out + kPatch - 1) / kPatch * kPatch,
                     tile_height = (y.out + kPatch - 1) / kPatch * kPatch + kPatch;
  const std::int64_t patches = tile_width * tile_height / (kPatch * kPatch);
  std::vector<std::uint8_t> rgb;
  std::mt19937 random(51);
  for (std::int64_t i = 0; i < x.in * y.in * 3; i++) rgb.push_back(std::uint8_t(random() & 255u));
  const Floats levels = random_floats(3 * 256, 52);
  h.check(
      "resize " + name, 3 * kPatch * kPatch, 0,
      [=](Bench& bench) {
        const auto out = bench.rows(patches, 3 * kPatch * kPatch);
        std::byte* const bytes = bench.device.allocate(std::size_t(x.out * y.out * 3));
        device::ResizeCall call{};
        call.rgb = sent(bench, rgb);
        call.height = y.in;
        call.width = x.in;
        call.x = x.on_device(bench);
        call.y = y.on_device(bench);
        call.vertical_first = vertical_first;
        call.bytes = reinterpret_cast<std::uint8_t*>(bytes);
        call.levels = sent(bench, levels);
        call.tile_height = tile_height;
        call.tile_width = tile_width;
        call.patch = kPatch;
        call.patches = out.data();
        call.patches_stride = out.row_stride();
        bench.device.check(bench.device.table().resize(bench.device.session(), &call), "resize");
        Floats all = bench.read(out);
        std::vector<std::byte> made(std::size_t(x.out * y.out * 3));
        bench.device.download(made, bytes);
        for (const std::byte b : made) all.push_back(float(b));
        all.resize((all.size() + 47) / 48 * 48, 0.0f);
        return all;
      },
      [=](Bench&) {
        const std::int64_t between = vertical_first ? x.in : x.out;
        std::vector<std::uint8_t> made, first;
        for (std::int64_t r = 0; r < (vertical_first ? y.out : y.in); r++) {
          for (std::int64_t i = 0; i < between * 3; i++) {
            const auto source = [&](std::int64_t row, std::int64_t column) {
              return rgb[std::size_t((row * x.in + column) * 3 + i % 3)];
            };
            first.push_back(
                vertical_first
                    ? y.apply(r, [&](std::int64_t row) { return source(row, i / 3); })
                    : x.apply(i / 3, [&](std::int64_t column) { return source(r, column); }));
          }
        }
        for (std::int64_t r = 0; r < y.out; r++) {
          for (std::int64_t i = 0; i < x.out * 3; i++) {
            const auto source = [&](std::int64_t row, std::int64_t column) {
              return first[std::size_t((row * between + column) * 3 + i % 3)];
            };
            made.push_back(
                vertical_first
                    ? x.apply(i / 3, [&](std::int64_t column) { return source(r, column); })
                    : y.apply(r, [&](std::int64_t row) { return source(row, i / 3); }));
          }
        }
        Floats all;
        for (std::int64_t p = 0; p < patches; p++) {
          for (std::int64_t i = 0; i < 3 * kPatch * kPatch; i++) {
            const std::int64_t across = tile_width / kPatch, channel = i / (kPatch * kPatch);
            const std::int64_t row = p / across * kPatch + i / kPatch % kPatch;
            const std::int64_t column = p % across * kPatch + i % kPatch;
            const bool shown = row < y.out && column < x.out;
            all.push_back(
                shown ? levels[std::size_t(channel * 256 +
                                           made[std::size_t((row * x.out + column) * 3 + channel)])]
                      : 0.0f);
          }
        }
        for (const std::uint8_t b : made) all.push_back(float(b));
        all.resize((all.size() + 47) / 48 * 48, 0.0f);
        return all;
      });
}

/// A sound of `samples` cut or padded to 400.
void check_log_mel(Harness& h, const std::string& name, std::int64_t samples) {
  constexpr std::int64_t kWindow = 60, kHop = 16, kLength = 400, kBins = 5;
  constexpr std::int64_t kFrames = kLength / kHop;
  Floats sound = random_floats(samples, 53);
  for (std::int64_t i = 0; i < samples; i++) {  // loud and quiet ones
    sound[std::size_t(i)] *= std::pow(10.0f, -4.0f * float(i) / float(samples));
  }
  std::vector<double> hann, cosine, sine;
  for (std::int64_t i = 0; i < kWindow; i++) {
    const double turn = 2 * std::numbers::pi * double(i) / double(kWindow);
    hann.push_back(0.5 - 0.5 * std::cos(turn));
    cosine.push_back(std::cos(turn));
    sine.push_back(std::sin(turn));
  }
  std::vector<std::int32_t> filters;
  for (std::int32_t f = 0; f < kBins; f++) filters.insert(filters.end(), {6 * f, 7, 7 * f});
  const Floats weights = random_floats(7 * kBins, 54, 1, 0.2f);
  // Sums in double: what differs is the last rounding to float32, of a logarithm that may be zero.
  h.check(
      "log_mel " + name, kBins, 1e-6,
      [=](Bench& bench) {
        const auto out = bench.rows(kFrames, kBins);
        const device::LogMelCall call{sent(bench, sound),
                                      samples,
                                      kLength,
                                      kHop,
                                      kWindow,
                                      sent(bench, hann),
                                      sent(bench, cosine),
                                      sent(bench, sine),
                                      sent(bench, filters),
                                      sent(bench, weights),
                                      out.data(),
                                      kFrames,
                                      kBins};
        bench.device.check(bench.device.table().log_mel(bench.device.session(), &call), "log_mel");
        return bench.read(out);
      },
      [=](Bench&) {
        Floats out;
        for (std::int64_t frame = 0; frame < kFrames; frame++) {
          std::vector<double> power;
          for (std::int64_t k = 0; k <= kWindow / 2; k++) {
            double real = 0, imaginary = 0;
            for (std::int64_t t = 0; t < kWindow; t++) {
              std::int64_t at = std::abs(frame * kHop - kWindow / 2 + t);
              if (at >= kLength) at = 2 * (kLength - 1) - at;
              const double x =
                  at < samples ? double(sound[std::size_t(at)]) * hann[std::size_t(t)] : 0;
              real += x * cosine[std::size_t(k * t % kWindow)];
              imaginary += x * sine[std::size_t(k * t % kWindow)];
            }
            power.push_back(real * real + imaginary * imaginary);
          }
          for (std::int64_t f = 0; f < kBins; f++) {
            double sum = 0;
            for (std::int64_t k = 0; k < 7; k++) {
              const std::int64_t bin = 6 * f + k;
              sum += double(weights[std::size_t(7 * f + k)]) * power[std::size_t(bin)];
            }
            out.push_back(float(std::log10(std::max(sum, 1e-10))));
          }
        }
        return out;
      });
}

}  // namespace

void check_media(Harness& h) {
  constexpr std::int32_t kTorchvision = 14, kPillow = 22;
  check_resize(h, "19 x 23 to 10 x 8", {23, 8, kTorchvision, 1}, {19, 10, kTorchvision, 2}, false);
  check_resize(h, "31 x 9 to 8 x 14, vertical first", {9, 14, kPillow, 3}, {31, 8, kPillow, 4},
               true);
  check_resize(h, "12 x 17 to 12 x 6", {17, 6, kPillow, 5}, {12, 12, kPillow, 6}, false);
  check_resize(h, "12 x 17 to 7 x 17", {17, 17, kPillow, 7}, {12, 7, kPillow, 8}, false);
  check_resize(h, "8 x 11 as it is", {11, 11, kPillow, 9}, {8, 8, kPillow, 10}, false);
  check_log_mel(h, "padded", 300);
  check_log_mel(h, "cut", 430);
}

}  // namespace chiasm::cuda_check
