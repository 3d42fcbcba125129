#include "vision/feature_resize.h"

#include <algorithm>
#include <cmath>
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

/// The rows or columns, from `first` on, that one of the output is made of, and their shares.
struct Under {
  std::int64_t first;
  std::vector<float> shares;
};

/// Tents as wide as two of the output, or of the input where that is coarser.
std::vector<Under> under(std::int64_t from, std::int64_t to) {
  const float scale = float(from) / float(to), reach = std::max(scale, 1.0f);
  std::vector<Under> out;
  for (std::int64_t i = 0; i < to; i++) {
    const float center = scale * (float(i) + 0.5f);
    const std::int64_t first = std::max(std::int64_t(center - reach + 0.5f), std::int64_t(0));
    const std::int64_t end = std::min(std::int64_t(center + reach + 0.5f), from);
    Under one{first, {}};
    float total = 0;
    for (std::int64_t k = first; k < end; k++) {
      const float distance = std::abs((float(k) - center + 0.5f) / reach);
      one.shares.push_back(std::max(1 - distance, 0.0f));
      total += one.shares.back();
    }
    for (float& share : one.shares) share /= total;
    out.push_back(std::move(one));
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

void resize_features_antialiased(TensorView<const float> x, GridSize from, GridSize to,
                                 TensorView<float> y) {
  const std::int64_t dim = x.cols();
  x.expect({from.height * from.width, dim});
  y.expect({to.height * to.width, dim});
  const auto rows = under(from.height, to.height), cols = under(from.width, to.width);
  std::vector<float> across(static_cast<std::size_t>(dim));  // of one row of x, between its columns
  for (std::int64_t i = 0; i < y.rows(); i++) {
    const Under& row = rows[std::size_t(i / to.width)];
    const Under& col = cols[std::size_t(i % to.width)];
    float* const out = y.row(i);
    std::fill_n(out, dim, 0.0f);
    for (std::size_t r = 0; r < row.shares.size(); r++) {
      std::ranges::fill(across, 0.0f);
      for (std::size_t c = 0; c < col.shares.size(); c++) {
        const float* in =
            x.row((row.first + std::int64_t(r)) * from.width + col.first + std::int64_t(c));
        for (std::size_t d = 0; d < across.size(); d++) across[d] += col.shares[c] * in[d];
      }
      for (std::size_t d = 0; d < across.size(); d++) out[d] += row.shares[r] * across[d];
    }
  }
}

}  // namespace chiasm::vision
