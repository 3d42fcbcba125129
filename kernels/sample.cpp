#include "kernels/sample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/hash.h"
#include "kernels/cpu/choose.h"
#include "kernels/on_device.h"

namespace chiasm::kernels {

namespace {

constexpr float kRemoved = -std::numeric_limits<float>::infinity();

void check_options(const SampleOptions& o) {
  if (!(o.temperature >= 0) || std::isinf(o.temperature)) {
    fail<RequestError>("temperature ", o.temperature, ", expected a number from 0 up");
  }
  if (o.top_k < 0) fail<RequestError>("top_k ", o.top_k, ", expected 0 (all) or more");
  if (!(o.top_p >= 0 && o.top_p <= 1)) fail<RequestError>("top_p ", o.top_p, ", expected 0 to 1");
  if (!(o.min_p >= 0 && o.min_p <= 1)) fail<RequestError>("min_p ", o.min_p, ", expected 0 to 1");
}

// The kernels that walk over logits. The oracle has no use for them: its results are the same.
const cpu::CpuOps& ops_of(const Context& ctx) {
  return cpu::ops_for(ctx.isa == Isa::reference ? Isa::portable : ctx.isa);
}

// TopKLogitsWarper: everything below the k-th largest goes, so equals of it stay.
void keep_top_k(std::span<float> scores, std::int32_t k) {
  if (k == 0 || std::size_t(k) >= scores.size()) return;
  std::vector<float> order(scores.begin(), scores.end());
  const auto kth = order.begin() + (k - 1);
  std::nth_element(order.begin(), kth, order.end(), std::greater<>());
  for (float& s : scores) {
    if (s < *kth) s = kRemoved;
  }
}

// TopPLogitsWarper: in ascending order of probability, tokens go as long as their cumulative
// probability is at most 1 - top_p; the last one stays. Sums are in double, rounded to float32 for
// the comparison, as torch.cumsum does. Among equals the higher ids go first.
// Instead of sorting the vocabulary, tokens are put into bins by their distance from the largest;
// only the bin in which the border lies is sorted.
void keep_top_p(std::span<float> scores, std::span<const float> probabilities, float highest,
                float top_p) {
  constexpr int kBins = 256;
  constexpr float kPerUnit = 8;           // bins per unit of logit: the last one begins at exp(-32)
  const auto bin_of = [&](float score) {  // 0 is the least probable
    const float distance = (highest - score) * kPerUnit;
    return distance < float(kBins - 1) ? kBins - 1 - int(distance) : 0;
  };
  std::array<double, kBins> mass{};
  for (std::size_t i = 0; i < scores.size(); i++) {
    if (scores[i] > kRemoved) mass[std::size_t(bin_of(scores[i]))] += double(probabilities[i]);
  }
  const auto limit = float(1.0 - double(top_p));
  double below = 0;
  int border = 0;
  while (border < kBins - 1 && float(below + mass[std::size_t(border)]) <= limit) {
    below += mass[std::size_t(border++)];
  }

  std::vector<std::int32_t> candidates;
  for (std::size_t i = 0; i < scores.size(); i++) {
    if (!(scores[i] > kRemoved)) continue;
    const int bin = bin_of(scores[i]);
    if (bin < border) scores[i] = kRemoved;
    if (bin == border) candidates.push_back(std::int32_t(i));
  }
  std::sort(candidates.begin(), candidates.end(), [&](std::int32_t a, std::int32_t b) {
    const float x = scores[std::size_t(a)], y = scores[std::size_t(b)];
    return x != y ? x < y : a > b;
  });
  // In the top bin the last candidate is the most probable token of all.
  const std::size_t removable = candidates.size() - (border == kBins - 1 ? 1 : 0);
  for (std::size_t i = 0; i < removable; i++) {
    const auto id = std::size_t(candidates[i]);
    below += double(probabilities[id]);
    if (!(float(below) <= limit)) break;
    scores[id] = kRemoved;
  }
}

// MinPLogitsWarper: tokens less probable than min_p times the most probable one go.
void keep_min_p(std::span<float> scores, std::span<const float> probabilities, float min_p) {
  const float limit = min_p * *std::max_element(probabilities.begin(), probabilities.end());
  for (std::size_t i = 0; i < scores.size(); i++) {
    if (probabilities[i] < limit) scores[i] = kRemoved;
  }
}

// 53 bits from (seed, position): uniform in [0, 1).
double uniform(std::uint64_t seed, std::uint64_t position) {
  return double(mix64(mix64(seed) + position) >> 11) * 0x1p-53;
}

}  // namespace

void penalize_repetition(std::span<float> logits, std::span<const std::int32_t> seen,
                         float penalty) {
  if (!(penalty > 0) || std::isinf(penalty)) {
    fail<RequestError>("repetition_penalty ", penalty, ", expected a positive number");
  }
  if (penalty == 1) return;
  std::vector<bool> done(logits.size());
  for (const std::int32_t id : seen) {
    if (id < 0 || std::size_t(id) >= logits.size() || done[std::size_t(id)]) continue;
    done[std::size_t(id)] = true;
    float& logit = logits[std::size_t(id)];
    logit = logit < 0 ? logit * penalty : logit / penalty;
  }
}

void add_bias(std::span<float> logits, std::span<const std::pair<std::int32_t, float>> bias) {
  for (const auto& [id, value] : bias) {
    if (id >= 0 && std::size_t(id) < logits.size()) logits[std::size_t(id)] += value;
  }
}

void penalize_counts(std::span<float> logits, std::span<const std::int32_t> tokens, float presence,
                     float frequency) {
  if (presence == 0 && frequency == 0) return;
  std::vector<std::int32_t> sorted(tokens.begin(), tokens.end());
  std::sort(sorted.begin(), sorted.end());
  for (auto first = sorted.begin(); first != sorted.end();) {
    const auto last = std::upper_bound(first, sorted.end(), *first);
    if (*first >= 0 && std::size_t(*first) < logits.size()) {
      logits[std::size_t(*first)] -= presence + frequency * float(last - first);
    }
    first = last;
  }
}

bool keep_allowed(std::span<float> logits, std::span<const std::uint32_t> allowed) {
  bool any = false;
  for (std::size_t i = 0; i < logits.size(); i++) {
    const bool set = i / 32 < allowed.size() && ((allowed[i / 32] >> (i % 32)) & 1u) != 0;
    if (!set) logits[i] = kRemoved;
    any = any || logits[i] > kRemoved;
  }
  return any;
}

std::int32_t argmax(const Context& ctx, std::span<const float> logits) {
  const std::int64_t at = ops_of(ctx).argmax(logits.data(), std::int64_t(logits.size()));
  if (at < 0) {
    fail<RequestError>("argmax: none of ", logits.size(),
                       " logits is a number; the model computes NaN");
  }
  return std::int32_t(at);
}

bool draws_plainly(const SampleOptions& options) {
  return options.temperature == 0 ||
         (options.top_k == 0 && options.top_p == 1 && options.min_p == 0);
}

Draw plain_draw(const SampleOptions& options, std::uint64_t position) {
  check_options(options);
  const auto number = float(uniform(options.seed, position));
  return {options.temperature, std::min(number, std::nextafter(1.0f, 0.0f))};
}

double log_sum_exp(const Context& ctx, std::span<const float> logits) {
  const auto top = logits[std::size_t(argmax(ctx, logits))];
  if (std::isinf(top)) return double(top);
  const auto n = std::int64_t(logits.size());
  if (ctx.isa == Isa::reference) {
    double total = 0;
    for (const float x : logits) total += std::exp(double(x) - double(top));
    return double(top) + std::log(total);
  }
  return double(top) + std::log(ops_of(ctx).exp_all(logits.data(), n, top, nullptr));
}

std::vector<float> filter_logits(const Context& ctx, std::span<const float> logits,
                                 const SampleOptions& options) {
  check_options(options);
  const auto best = std::size_t(argmax(ctx, logits));
  if (std::isinf(logits[best])) {
    fail<RequestError>("sample: the largest logit is ", logits[best], "; no token can be drawn");
  }
  const std::size_t n = logits.size();
  std::vector<float> scores(n, kRemoved);
  const float highest = logits[best] / options.temperature;
  if (options.temperature == 0 || std::isinf(highest)) {  // or as good as 0
    scores[best] = logits[best];
    return scores;
  }
  for (std::size_t i = 0; i < n; i++) {
    const float score = logits[i] / options.temperature;
    scores[i] = score <= highest ? score : kRemoved;  // NaN goes
  }
  keep_top_k(scores, options.top_k);
  if (options.top_p == 1 && options.min_p == 0) return scores;

  std::vector<float> probabilities(n);
  const auto normalise = [&] {
    const double total =
        ops_of(ctx).exp_all(scores.data(), std::int64_t(n), highest, probabilities.data());
    for (float& p : probabilities) p /= float(total);
  };
  normalise();
  if (options.top_p < 1) {
    keep_top_p(scores, probabilities, highest, options.top_p);
    if (options.min_p > 0) normalise();
  }
  if (options.min_p > 0) keep_min_p(scores, probabilities, options.min_p);
  return scores;
}

std::int32_t sample(const Context& ctx, std::span<const float> logits, const SampleOptions& options,
                    std::uint64_t position) {
  const Timed timed(ctx.profile, "sample");
  return in_context("sample", [&] {
    if (options.temperature == 0) {
      check_options(options);
      return argmax(ctx, logits);
    }
    std::vector<float> weights = filter_logits(ctx, logits, options);
    const float highest = weights[std::size_t(argmax(ctx, weights))];
    const double total =
        ops_of(ctx).exp_all(weights.data(), std::int64_t(weights.size()), highest, weights.data());
    const double wanted = uniform(options.seed, position) * total;
    double passed = 0;
    std::int32_t last = 0;
    for (std::size_t i = 0; i < weights.size(); i++) {
      if (weights[i] == 0) continue;
      last = std::int32_t(i);
      passed += double(weights[i]);
      if (passed > wanted) break;
    }
    return last;  // rounding may leave `passed` a hair below `wanted` at the end
  });
}

std::vector<std::pair<std::int32_t, float>> top_logits(std::span<const float> logits, int count) {
  using Entry = std::pair<std::int32_t, float>;
  const auto before = [](const Entry& a, const Entry& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  };
  // A heap whose front is the worst of the best so far.
  std::vector<Entry> best;
  const auto wanted = std::size_t(std::clamp<std::int64_t>(count, 0, std::int64_t(logits.size())));
  if (wanted == 0) return best;
  best.reserve(wanted + 1);
  for (std::size_t i = 0; i < logits.size(); i++) {
    if (std::isnan(logits[i])) continue;
    if (best.size() == wanted && !(logits[i] > best.front().second)) continue;
    best.emplace_back(std::int32_t(i), logits[i]);
    std::push_heap(best.begin(), best.end(), before);
    if (best.size() > wanted) {
      std::pop_heap(best.begin(), best.end(), before);
      best.pop_back();
    }
  }
  std::sort_heap(best.begin(), best.end(), before);
  return best;
}

}  // namespace chiasm::kernels
