#include "projector/pooling.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "kernels/embed.h"

namespace chiasm::projector {

namespace {

void check(std::string_view name, TensorView<const float> x, std::span<const std::int64_t> counts,
           TensorView<float> out) {
  std::int64_t rows = 0;
  for (const std::int64_t count : counts) {
    if (count < 1) fail<ShapeError>(name, ": ", count, " rows to pool");
    rows += count;
  }
  x.expect({rows, x.cols()});
  out.expect({std::int64_t(counts.size()), x.cols()});
}

}  // namespace

void max_pool(TensorView<const float> x, std::span<const std::int64_t> counts,
              TensorView<float> out) {
  check("max_pool", x, counts, out);
  std::int64_t row = 0;
  for (std::size_t i = 0; i < counts.size(); i++) {
    float* const largest = out.row(std::int64_t(i));
    std::copy_n(x.row(row), x.cols(), largest);
    for (const std::int64_t end = row++ + counts[i]; row < end; row++) {
      const float* const values = x.row(row);
      for (std::int64_t k = 0; k < x.cols(); k++) largest[k] = std::max(largest[k], values[k]);
    }
  }
}

void pool(Pooling pooling, TensorView<const float> x, std::span<const std::int64_t> counts,
          TensorView<float> out) {
  if (pooling == Pooling::mean) return mean_pool(x, counts, out);
  if (pooling == Pooling::max) return max_pool(x, counts, out);
  check("pool", x, counts, out);
  std::int64_t row = 0;
  for (std::size_t i = 0; i < counts.size(); i++) {
    const std::int64_t taken = pooling == Pooling::first ? row : row + counts[i] - 1;
    std::copy_n(x.row(taken), x.cols(), out.row(std::int64_t(i)));
    row += counts[i];
  }
}

void mean_pool(TensorView<const float> x, std::span<const std::int64_t> counts,
               TensorView<float> out) {
  check("mean_pool", x, counts, out);
  const std::int64_t dim = x.cols();
  std::int64_t row = 0;
  for (std::size_t i = 0; i < counts.size(); i++) {
    float* const mean = out.row(std::int64_t(i));
    std::fill_n(mean, dim, 0.0f);
    for (const std::int64_t end = row + counts[i]; row < end; row++) {
      const float* const values = x.row(row);
      for (std::int64_t k = 0; k < dim; k++) mean[k] += values[k];
    }
    const float share = 1.0f / float(counts[i]);
    for (std::int64_t k = 0; k < dim; k++) mean[k] *= share;
  }
}

void average_pool(const Context& ctx, TensorView<const float> x, std::int64_t side,
                  std::int64_t kernel, TensorView<float> out) {
  if (side < 1 || kernel < 1 || kernel > side || x.rows() % (side * side) != 0) {
    fail<ShapeError>("average_pool: ", x.rows(), " rows in grids of side ", side, ", squares of ",
                     kernel);
  }
  const std::int64_t small = side / kernel, grids = x.rows() / (side * side);
  out.expect({grids * small * small, x.cols()});
  std::vector<std::int32_t> from;
  for (std::int64_t r = 0; r < out.rows(); r++) {
    const std::int64_t grid = r / (small * small), i = r / small % small, j = r % small;
    for (std::int64_t u = 0; u < kernel; u++) {
      for (std::int64_t v = 0; v < kernel; v++) {
        from.push_back(std::int32_t((grid * side + i * kernel + u) * side + j * kernel + v));
      }
    }
  }
  kernels::mean_rows(ctx, x, from, out);
}

void unit_rows(TensorView<float> x) {
  constexpr double kShortest = 1e-12;
  for (std::int64_t r = 0; r < x.rows(); r++) {
    float* const row = x.row(r);
    double square = 0;
    for (std::int64_t k = 0; k < x.cols(); k++) square += double(row[k]) * double(row[k]);
    const double inverse = 1 / std::max(std::sqrt(square), kShortest);
    for (std::int64_t k = 0; k < x.cols(); k++) row[k] = float(double(row[k]) * inverse);
  }
}

}  // namespace chiasm::projector
