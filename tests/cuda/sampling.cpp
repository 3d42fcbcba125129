// Tokens from logits, and rows on their way into the cache's pages.
#include <cmath>

#include "kernels/attention.h"
#include "kernels/drawn_tokens.h"
#include "kernels/rope.h"
#include "tests/cuda/products.h"

namespace chiasm::cuda_check {

using namespace chiasm::testing;

namespace {

Floats sampled(Bench& bench, const Floats& logits, std::int64_t vocab, const Floats& temperature,
               const Floats& uniform) {
  const auto rows = std::int64_t(temperature.size());
  const auto x = bench.rows(logits, vocab);
  const auto numbers = [&](const Floats& v) {
    return reinterpret_cast<const float*>(bench.device.resident(std::as_bytes(std::span(v))));
  };
  std::vector<std::int32_t> tokens(std::size_t(rows), -7);
  std::byte* const out = bench.device.allocate(tokens.size() * sizeof(std::int32_t));
  const device::SampleCall call{x.data(),
                                x.row_stride(),
                                rows,
                                vocab,
                                numbers(temperature),
                                numbers(uniform),
                                reinterpret_cast<std::int32_t*>(out)};
  bench.device.run(call, "sample");
  bench.device.download(std::as_writable_bytes(std::span(tokens)), out);
  return {tokens.begin(), tokens.end()};
}

/// The first token whose cumulative probability, in double, exceeds the number.
float drawn(const float* logits, std::int64_t vocab, double temperature, double uniform) {
  double most = -INFINITY, total = 0;
  std::int64_t best = -1;
  for (std::int64_t i = 0; i < vocab; i++) {
    if (double(logits[i]) > most) most = double(logits[i]), best = i;
  }
  if (temperature == 0 || best < 0) return float(best);
  const auto weight = [&](std::int64_t i) {
    return std::isnan(logits[i]) ? 0 : std::exp((double(logits[i]) - most) / temperature);
  };
  for (std::int64_t i = 0; i < vocab; i++) total += weight(i);
  double sum = 0;
  for (std::int64_t i = 0; i < vocab; i++) {
    sum += weight(i);
    if (sum > uniform * total) return float(i);
  }
  return float(best);
}

void check_tokens(Harness& h, std::int64_t vocab) {
  constexpr std::int64_t kRows = 12;
  Floats logits = random_floats(kRows * vocab, 31, 0, 2), temperature, uniform;
  for (std::int64_t r = 0; r < kRows; r++) {
    temperature.push_back(r % 3 == 0 ? 0.0f : 0.3f * float(r));
    uniform.push_back(float(r) / float(kRows));  // far from a boundary, as it turned out
  }
  float* const second = logits.data() + vocab;
  second[0] = NAN;
  second[vocab / 2] = -INFINITY;
  std::fill_n(logits.data() + 3 * vocab, vocab, 1.5f);       // equals: the first one
  std::fill_n(logits.data() + 4 * vocab, vocab, -INFINITY);  // nothing to take
  h.check(
      "sample of " + std::to_string(vocab), 1, 0,
      [=](Bench& bench) { return sampled(bench, logits, vocab, temperature, uniform); },
      [=](Bench&) {
        Floats out;
        for (std::int64_t r = 0; r < kRows; r++) {
          out.push_back(drawn(logits.data() + r * vocab, vocab, double(temperature[std::size_t(r)]),
                              double(uniform[std::size_t(r)])));
        }
        return out;
      });
}

/// Tokens that are drawn and looked up without the host, then their words, copied twice: the next
/// step's tokens take the place of those that are on their way.
void check_steps(Harness& h) {
  constexpr std::int64_t kRows = 5, kVocab = 300, kWidth = 24, kSteps = 3;
  const auto logits = std::make_shared<Floats>(random_floats(kSteps * kRows * kVocab, 35, 0, 2));
  std::fill_n(logits->data() + (kRows + 2) * kVocab, kVocab, NAN);  // no token: a row of zeros
  const auto table = std::make_shared<kernels::Matrix>(
      random_matrix(context(best_isa()), kVocab, kWidth, kernels::WeightFormat::f32));
  const std::vector<kernels::Draw> draws(kRows);
  h.check(
      "steps of drawn tokens", kWidth, 0,
      [=](Bench& bench) {
        kernels::DrawnTokens tokens(bench.device);
        tokens.set(std::vector<std::int32_t>(kRows, 1));
        std::vector<kernels::FetchedTokens> fetched;
        Floats words;
        for (std::int64_t i = 0; i < kSteps; i++) {
          const Floats step(logits->begin() + i * kRows * kVocab,
                            logits->begin() + (i + 1) * kRows * kVocab);
          const auto x = bench.rows(step, kVocab), y = bench.rows(kRows, kWidth);
          kernels::draw(bench.on_device, x, draws, tokens);
          fetched.push_back(tokens.fetch());
          kernels::embed(bench.on_device, *table, tokens, y);
          if (i == 1) words = bench.read(y);
        }
        for (kernels::FetchedTokens& f : fetched) {
          for (const std::int32_t token : f.take())
            words.resize(words.size() + kWidth, float(token));
        }
        return words;
      },
      [=](Bench&) {
        Floats words(kRows * kWidth, 0.0f), tokens;
        for (std::int64_t r = 0; r < kSteps * kRows; r++) {
          tokens.push_back(drawn(logits->data() + r * kVocab, kVocab, 0, 0));
        }
        for (std::int64_t r = 0; r < kRows; r++) {
          const auto id = std::int32_t(tokens[std::size_t(kRows + r)]);
          if (id >= 0) table->row(id, words.data() + r * kWidth);
        }
        for (const float token : tokens) words.resize(words.size() + kWidth, token);
        return words;
      });
}

/// Rows into pages, bits and all: both are read back as numbers of 16 or 32 bits.
void check_pages(Harness& h, DType dtype) {
  constexpr std::int64_t kRows = 5, kHeads = 3, kDim = 20, kPages = 2;
  const std::vector<std::int64_t> slots{3, 127, 64, 0, 63};
  const Floats x = random_floats(kRows * kHeads * kDim, 32);
  const std::size_t bytes =
      std::size_t(kPages * kHeads * kernels::kPageTokens * kDim) * size_of(dtype);
  const auto numbers = [=](const std::vector<std::byte>& pages) {
    Floats out;
    for (const std::byte b : pages) out.push_back(float(b));
    return out;
  };
  h.check(
      "write_pages " + std::string(name(dtype)), kDim, 0,
      [=](Bench& bench) {
        std::vector<std::byte> pages(bytes, std::byte(0));
        std::byte* const memory = bench.device.allocate(bytes);
        bench.device.upload(memory, pages);
        kernels::write_pages(bench.on_device, bench.rows(x, kHeads * kDim), kHeads, kDim, slots,
                             memory, dtype);
        bench.device.download(pages, memory);
        return numbers(pages);
      },
      [=](Bench& bench) {
        std::vector<std::byte> pages(bytes, std::byte(0));
        kernels::write_pages(bench.reference, view(x, {kRows, kHeads * kDim}), kHeads, kDim, slots,
                             pages.data(), dtype);
        return numbers(pages);
      });
}

/// q and k turned and k and v written in one call, as one by one. What is compared: q, then pages.
void check_turn(Harness& h) {
  constexpr std::int64_t kRows = 4, kHeads = 6, kKvHeads = 2, kDim = 64, kHalf = 32;
  constexpr std::int64_t kQ = kHeads * kDim, kKv = kKvHeads * kDim, kAll = kQ + 2 * kKv;
  const std::vector<std::int64_t> slots{5, 64, 1, 63};
  const Floats qkv = random_floats(kRows * kAll, 33), angles = random_floats(kRows * kHalf, 34);
  const std::size_t numbers = std::size_t(2 * kKvHeads * kernels::kPageTokens * kDim);
  h.check(
      "turn and write 4 x 6/2 x 64", kDim, 0x1p-22,
      [=](Bench& bench) {
        const auto x = bench.rows(qkv, kAll), table = bench.rows(angles, kHalf);
        const auto pages = bench.rows(Floats(2 * numbers, 0.0f), kDim);
        device::TurnCall call{};
        call.q = x.data();
        call.k = x.data() + kQ;
        call.v = x.data() + kQ + kKv;
        call.q_stride = call.k_stride = call.v_stride = kAll;
        call.rows = kRows;
        call.heads = kHeads;
        call.kv_heads = kKvHeads;
        call.head_dim = kDim;
        call.half = kHalf;
        call.cosine = call.sine = table.data();
        call.slot = reinterpret_cast<const std::int64_t*>(
            bench.device.resident(std::as_bytes(std::span(slots))));
        call.k_pages = pages.data();
        call.v_pages = pages.data() + numbers;
        bench.device.run(call, "turn");
        Floats out = bench.read(x.slice_cols(0, kQ));
        const Floats written = bench.read(pages);
        out.insert(out.end(), written.begin(), written.end());
        return out;
      },
      [=](Bench& bench) {
        Floats x = qkv, pages(2 * numbers, 0.0f);
        const auto rows = view(x, {kRows, kAll});
        const auto table = view(angles, {kRows, kHalf});
        const auto k = rows.slice_cols(kQ, kKv), v = rows.slice_cols(kQ + kKv, kKv);
        kernels::rotate_half(bench.reference, rows.slice_cols(0, kQ), kHeads, kDim, table, table);
        kernels::rotate_half(bench.reference, k, kKvHeads, kDim, table, table);
        auto* const k_pages = reinterpret_cast<std::byte*>(pages.data());
        auto* const v_pages = reinterpret_cast<std::byte*>(pages.data() + numbers);
        kernels::write_pages(bench.reference, k, kKvHeads, kDim, slots, k_pages, DType::f32);
        kernels::write_pages(bench.reference, v, kKvHeads, kDim, slots, v_pages, DType::f32);
        Floats out;
        for (std::int64_t r = 0; r < kRows; r++) {
          out.insert(out.end(), rows.row(r), rows.row(r) + kQ);
        }
        out.insert(out.end(), pages.begin(), pages.end());
        return out;
      });
}

}  // namespace

void check_sampling(Harness& h) {
  for (const std::int64_t vocab : {7, 411, 5000}) check_tokens(h, vocab);
  check_steps(h);
  check_pages(h, DType::f32);
  check_pages(h, DType::bf16);
  check_turn(h);
}

}  // namespace chiasm::cuda_check
