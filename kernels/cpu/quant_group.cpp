#include "kernels/cpu/quant_group.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kHighest8 = 127, kHighest4 = 15;
// Parts of a group's range that q4 tries: cutting off its extremes makes finer steps for the rest.
constexpr float kRanges[] = {0.98f, 0.86f};
constexpr int kRefits = 2;  // a third one lowers the squared error by another 2 %

// A finite number that float16 cannot hold is an error; NaN and infinity stay what they are.
f16 narrow(float v) {
  const f16 half = to_f16(v);
  if (std::isfinite(v) && !std::isfinite(to_float(half))) {
    fail<ModelError>("a weight's scale of ", v, " is beyond float16; load it without quantizing");
  }
  return half;
}

struct Fit {
  float scale, min;
};

// A group filled up with zeros, which `counts` (each weight's importance, else 0) leaves out of all
// sums. Sums run in kLanes parts, so that compilers make vectors of them.
struct Padded {
  float w[kGroup] = {}, counts[kGroup] = {};
};
constexpr int kLanes = 8;

float total(const float (&parts)[kLanes]) {
  float sum = 0;
  for (const float part : parts) sum += part;
  return sum;
}

// q = round((w - min) / scale), clamped, as floats; returns the squared error of scale * q + min.
float round_to(const Padded& p, Fit fit, float* q) {
  const float inverse = fit.scale > 0 ? 1.0f / fit.scale : 0.0f;
  float error[kLanes] = {};
  for (int i = 0; i < kGroup; i += kLanes) {
    for (int j = 0; j < kLanes; j++) {
      float steps = (p.w[i + j] - fit.min) * inverse;
      steps = steps > 0.0f ? steps : 0.0f;
      steps = steps < float(kHighest4) ? steps : float(kHighest4);
      q[i + j] = float(int(steps + 0.5f));
      const float off = fit.scale * q[i + j] + fit.min - p.w[i + j];
      error[j] += off * off * p.counts[i + j];
    }
  }
  return total(error);
}

// The line through (q, w) of least squares; `fit` itself where all q are equal.
Fit least_squares(const Padded& p, const float* q, Fit fit) {
  float n[kLanes] = {}, sq[kLanes] = {}, sw[kLanes] = {}, sqq[kLanes] = {}, sqw[kLanes] = {};
  for (int i = 0; i < kGroup; i += kLanes) {
    for (int j = 0; j < kLanes; j++) {
      const float counted = q[i + j] * p.counts[i + j];
      n[j] += p.counts[i + j];
      sq[j] += counted;
      sw[j] += p.w[i + j] * p.counts[i + j];
      sqq[j] += counted * q[i + j];
      sqw[j] += counted * p.w[i + j];
    }
  }
  const float q_sum = total(sq), w_sum = total(sw), count = total(n);
  const float determinant = count * total(sqq) - q_sum * q_sum;
  if (!(determinant > 0)) return fit;
  const float scale = (count * total(sqw) - q_sum * w_sum) / determinant;
  return scale > 0 ? Fit{scale, (w_sum - scale * q_sum) / count} : fit;
}

Fit as_stored(Fit fit) { return {to_float(narrow(fit.scale)), to_float(narrow(fit.min))}; }

// kvalues_iq4nl of ggml-common.h.
constexpr int kIq4Codebook[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                1,    13,   25,  38,  53,  69,  89,  113};

f16 half_at(const std::byte* p) {
  f16 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

}  // namespace

QuantGroup quantize_q8(std::span<const float> weights) {
  QuantGroup group{};
  std::fill(std::begin(group.q), std::end(group.q), std::uint8_t(kQ8Offset));
  float top = 0;
  bool finite = true;
  for (const float w : weights) {
    finite = finite && std::isfinite(w);
    top = std::max(top, std::fabs(w));
  }
  if (!finite) {
    group.scale = to_f16(NAN);
    return group;
  }
  group.scale = narrow(top / float(kHighest8));
  const float scale = to_float(group.scale);
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  for (std::size_t i = 0; i < weights.size(); i++) {
    const float q = std::nearbyint(weights[i] * inverse);
    group.q[i] = std::uint8_t(int(std::clamp(q, -float(kHighest8), float(kHighest8))) + kQ8Offset);
  }
  return group;
}

QuantGroup quantize_q4(std::span<const float> weights, std::span<const float> importance) {
  QuantGroup group{};
  float low = weights[0], high = weights[0];
  bool finite = true;
  for (const float w : weights) {
    finite = finite && std::isfinite(w);
    low = std::min(low, w);
    high = std::max(high, w);
  }
  if (!finite) {
    group.scale = group.min = to_f16(NAN);
    return group;
  }
  Padded padded;
  std::copy(weights.begin(), weights.end(), padded.w);
  if (importance.empty()) {
    std::fill_n(padded.counts, weights.size(), 1.0f);
  } else {
    std::copy(importance.begin(), importance.end(), padded.counts);
  }
  const float middle = low / 2 + high / 2, half = high / 2 - low / 2;
  float best_error = HUGE_VALF, best[kGroup] = {}, q[kGroup];
  Fit best_fit{};
  const auto consider = [&](Fit fit) {
    const float error = round_to(padded, fit, q);
    if (!(error < best_error)) return;
    best_error = error;
    best_fit = fit;
    std::copy_n(q, kGroup, best);
  };
  for (const float range : kRanges) {
    Fit fit = as_stored({2 * half * range / float(kHighest4), middle - half * range});
    consider(fit);
    for (int i = 0; i < kRefits; i++) {
      fit = as_stored(least_squares(padded, q, fit));
      consider(fit);
    }
  }
  group.scale = to_f16(best_fit.scale);
  group.min = to_f16(best_fit.min);
  for (std::size_t i = 0; i < weights.size(); i++) group.q[i] = std::uint8_t(best[i]);
  return group;
}

QuantGroup group_from_block(BlockType type, const std::byte* block) {
  QuantGroup group{};
  group.scale = half_at(block);
  if (type == BlockType::iq4_nl) {
    const std::byte* const nibbles = block + 2;
    for (int i = 0; i < kGroup; i++) {
      const int q = std::to_integer<int>(nibbles[i % 16]) >> i / 16 * 4 & 15;
      group.q[i] = std::uint8_t(kIq4Codebook[q] + kQ8Offset);
    }
    return group;
  }
  if (type == BlockType::q5_0) {  // fifth bits, then the low four: low nibbles are inputs 0..15
    std::uint32_t fifth = 0;
    std::memcpy(&fifth, block + 2, sizeof fifth);
    for (int i = 0; i < kGroup; i++) {
      const int low = std::to_integer<int>(block[6 + i % 16]) >> i / 16 * 4 & 15;
      group.q[i] = std::uint8_t((low | int(fifth >> i & 1u) << 4) - 16 + kQ8Offset);
    }
    return group;
  }
  if (type == BlockType::q8_0) {
    for (int i = 0; i < kGroup; i++) {
      group.q[i] = std::uint8_t(std::to_integer<int>(block[2 + i]) ^ kQ8Offset);
    }
    return group;
  }
  const bool has_min = type == BlockType::q4_1;
  // Eight times a float16 is exact unless it overflows.
  group.min = has_min ? half_at(block + 2) : narrow(-8 * to_float(group.scale));
  const std::byte* const nibbles = block + (has_min ? 4 : 2);
  for (int i = 0; i < kGroup / 2; i++) {
    group.q[i] = std::to_integer<std::uint8_t>(nibbles[i] & std::byte(15));
    group.q[i + kGroup / 2] = std::to_integer<std::uint8_t>(nibbles[i] >> 4);
  }
  return group;
}

}  // namespace chiasm::kernels::cpu
