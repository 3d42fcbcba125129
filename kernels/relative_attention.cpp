#include "kernels/relative_attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/simd_portable.h"
#include "kernels/on_device.h"

namespace chiasm::kernels {

namespace {

using V = cpu::VecPortable;

float dot(const float* a, const float* b, std::int64_t n) {
  V sums[2] = {V::zero(), V::zero()};
  std::int64_t i = 0;
  for (; i + 2 * V::kLanes <= n; i += 2 * V::kLanes) {
    sums[0] = sums[0] + V::load(a + i) * V::load(b + i);
    sums[1] = sums[1] + V::load(a + i + V::kLanes) * V::load(b + i + V::kLanes);
  }
  float sum = cpu::sum(sums[0] + sums[1]);
  for (; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/// y += factor * x.
void add_scaled(float factor, const float* x, std::int64_t n, float* y) {
  const V f = V::set(factor);
  std::int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) (V::load(y + i) + f * V::load(x + i)).store(y + i);
  for (; i < n; i++) y[i] += factor * x[i];
}

/// Weights that add up to 1, in place.
void softmax(std::span<float> scores) {
  const float largest = *std::ranges::max_element(scores);
  float sum = 0;
  for (float& s : scores) sum += s = std::exp(s - largest);
  for (float& s : scores) s /= sum;
}

/// A text's rows, and the bucket of each distance: that of d places ahead at [d + count - 1].
struct Text {
  std::int64_t begin, count;
  std::vector<std::int64_t> buckets;
};

}  // namespace

std::int64_t relative_bucket(std::int64_t ahead, std::int64_t count, std::int64_t farthest) {
  const std::int64_t half = count / 2, exact = half / 2;
  const std::int64_t side = ahead > 0 ? half : 0, distance = std::abs(ahead);
  if (distance < exact) return side + distance;
  // In float32, as the reference: a distance on a border falls on either side by its rounding.
  const float share =
      std::log(float(distance) / float(exact)) / float(std::log(double(farthest) / double(exact)));
  const auto beyond = std::int64_t(share * float(half - exact));
  return side + std::min(exact + beyond, half - 1);
}

void relative_attention(const Context& ctx, std::int64_t heads, float scale,
                        TensorView<const float> qkv, std::span<const std::int64_t> counts,
                        TensorView<const float> bias, std::int64_t farthest,
                        TensorView<float> out) {
  const Timed timed(ctx.profile, "attention");
  in_context("relative_attention", [&] {
    const std::int64_t dim = out.cols(), rows = out.rows(), buckets = bias.rows();
    if (heads < 1 || dim % heads != 0 || buckets < 4 || buckets % 2 != 0) {
      fail<ShapeError>(out.name(), ": shape ", out.shape(), " for ", heads, " heads and ", buckets,
                       " buckets");
    }
    qkv.expect({rows, 3 * dim});
    bias.expect({buckets, heads});
    on_device::refuse(ctx, "relative attention");
    std::vector<Text> texts;
    std::int64_t begin = 0;
    for (const std::int64_t count : counts) {
      Text text{begin, count, {}};
      for (std::int64_t d = 1 - count; d < count; d++) {
        text.buckets.push_back(relative_bucket(d, buckets, farthest));
      }
      texts.push_back(std::move(text));
      begin += count;
    }
    if (begin != rows) fail<ShapeError>(out.name(), ": ", rows, " rows, texts have ", begin);
    const std::int64_t head_dim = dim / heads;
    const auto head_of_text = [&](const Text& text, std::int64_t head) {
      std::vector<float> scores(std::size_t(text.count));
      const std::int64_t q = head * head_dim, k = dim + q, v = 2 * dim + q;
      for (std::int64_t i = 0; i < text.count; i++) {
        const float* row = qkv.row(text.begin + i) + q;
        for (std::int64_t j = 0; j < text.count; j++) {
          const auto bucket = text.buckets[std::size_t(j - i + text.count - 1)];
          scores[std::size_t(j)] =
              scale * dot(row, qkv.row(text.begin + j) + k, head_dim) + bias.row(bucket)[head];
        }
        softmax(scores);
        float* const to = out.row(text.begin + i) + q;
        std::fill_n(to, head_dim, 0.0f);
        for (std::int64_t j = 0; j < text.count; j++) {
          add_scaled(scores[std::size_t(j)], qkv.row(text.begin + j) + v, head_dim, to);
        }
      }
    };
    ctx.pool->parallel_for(std::int64_t(texts.size()) * heads, 1,
                           [&](std::int64_t first, std::int64_t last) {
                             for (std::int64_t i = first; i < last; i++) {
                               head_of_text(texts[std::size_t(i / heads)], i % heads);
                             }
                           });
  });
}

}  // namespace chiasm::kernels
