#include "language/attention_watch.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace chiasm::language {

namespace {

/// scores[j] = the logit of query q for key first + j, as AttentionShape describes it; returns the
/// largest.
double score(const kernels::AttentionShape& shape, const float* q, TensorView<const float> k,
             std::int64_t column, std::int64_t first, std::span<double> scores) {
  double most = -INFINITY;
  for (std::size_t j = 0; j < scores.size(); j++) {
    const float* key = k.row(first + std::int64_t(j)) + column;
    double sum = 0;
    for (std::int64_t d = 0; d < shape.head_dim; d++) sum += double(q[d]) * double(key[d]);
    sum *= double(shape.scale);
    if (shape.softcap > 0) {
      sum = double(shape.softcap) * std::tanh(sum / double(shape.softcap));
    }
    scores[j] = sum;
    most = std::max(most, sum);
  }
  return most;
}

}  // namespace

void AttentionWatch::see(const Context& ctx, std::int64_t layer,
                         const kernels::AttentionShape& shape, TensorView<const float> q,
                         TensorView<const float> k, std::span<const std::int32_t> first_key,
                         std::span<const std::int32_t> last_key) {
  if (!std::ranges::binary_search(layers, layer)) return;
  const std::int64_t rows = q.rows(), watched = weights.rows();
  if (weights.cols() != rows || watched > rows) {
    fail<ShapeError>("attention weights ", weights.shape(), " for a batch of ", rows, " rows");
  }
  const double share = 1 / (double(shape.heads) * double(layers.size()));
  const std::int64_t group = shape.heads / shape.kv_heads;
  ctx.poll();
  ctx.pool->parallel_for(watched, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> scores, sums;
    for (std::int64_t i = begin; i < end; i++) {
      const auto row = std::size_t(rows - watched + i);
      const std::int64_t first = first_key[row], count = last_key[row] - first;
      scores.resize(std::size_t(count));
      sums.assign(std::size_t(count), 0);
      for (std::int64_t h = 0; h < shape.heads; h++) {
        const double most = score(shape, q.row(std::int64_t(row)) + h * shape.head_dim, k,
                                  h / group * shape.head_dim, first, scores);
        double total = 0;
        for (double& s : scores) total += s = std::exp(s - most);
        for (std::size_t j = 0; j < scores.size(); j++) sums[j] += scores[j] / total;
      }
      float* out = weights.row(i) + first;
      for (std::size_t j = 0; j < sums.size(); j++) out[j] += float(sums[j] * share);
    }
  });
}

}  // namespace chiasm::language
