#include "vision/feature_resize.h"

#include <algorithm>
#include <vector>

namespace chiasm::vision {

namespace {

/// The two rows or columns that one of the output lies between, and the second's share.
struct Between {
  std::int64_t first, second;
  float share;
};

std::vector<Between> between(std::int64_t from, std::int64_t to) {
  const float scale = float(from) / float(to);
  std::vector<Between> out;
  for (std::int64_t i = 0; i < to; i++) {
    const float at = std::max(scale * (float(i) + 0.5f) - 0.5f, 0.0f);
    const std::int64_t first = std::min(std::int64_t(at), from - 1);
    out.push_back({first, std::min(first + 1, from - 1), std::min(at - float(first), 1.0f)});
  }
  return out;
}

}  // namespace

void resize_features(TensorView<const float> x, GridSize from, GridSize to, TensorView<float> y) {
  const std::int64_t dim = x.cols();
  x.expect({from.height * from.width, dim});
  y.expect({to.height * to.width, dim});
  const auto rows = between(from.height, to.height), cols = between(from.width, to.width);
  float* out = y.data();
  for (const Between& row : rows) {
    for (const Between& col : cols) {
      const float* top_left = x.row(row.first * from.width + col.first);
      const float* top_right = x.row(row.first * from.width + col.second);
      const float* low_left = x.row(row.second * from.width + col.first);
      const float* low_right = x.row(row.second * from.width + col.second);
      const float right = col.share, left = 1 - right, low = row.share, top = 1 - low;
      for (std::int64_t d = 0; d < dim; d++) {
        *out++ = top * (left * top_left[d] + right * top_right[d]) +
                 low * (left * low_left[d] + right * low_right[d]);
      }
    }
  }
}

}  // namespace chiasm::vision
