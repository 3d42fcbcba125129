#include "kernels/embed.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/choose.h"
#include "kernels/on_device.h"

namespace chiasm::kernels {

namespace {

void copy(const float* from, std::int64_t count, float* to) {
  std::memcpy(to, from, std::size_t(count) * sizeof(float));
}

// Before any row is written, so that a bad id leaves the output alone.
void check_ids(std::span<const std::int32_t> ids, std::int64_t rows) {
  for (std::size_t i = 0; i < ids.size(); i++) {
    if (ids[i] < 0 || ids[i] >= rows) {
      fail<RequestError>("id ", ids[i], " at index ", i, " is outside the table of ", rows,
                         " rows");
    }
  }
}

}  // namespace

void embed(const Context& ctx, const Matrix& table, std::span<const std::int32_t> ids,
           TensorView<float> y) {
  const Timed timed(ctx.profile, "embed");
  in_context("embed", [&] {
    y.expect({std::int64_t(ids.size()), table.in()});
    check_ids(ids, table.out());
    if (ctx.device != nullptr) return on_device::embed(*ctx.device, table, ids, y);
    const std::int64_t grain = cpu::rows_per_piece(table.in());
    ctx.pool->parallel_for(y.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; i++) table.row(ids[std::size_t(i)], y.row(i));
    });
  });
}

void copy_rows(const Context& ctx, TensorView<const float> table, std::span<const std::int32_t> ids,
               TensorView<float> y) {
  in_context("copy_rows", [&] {
    y.expect({std::int64_t(ids.size()), table.cols()});
    check_ids(ids, table.rows());
    if (ctx.device != nullptr) return on_device::table_rows(*ctx.device, table, ids, false, y);
    for (std::int64_t i = 0; i < y.rows(); i++) {
      copy(table.row(ids[std::size_t(i)]), y.cols(), y.row(i));
    }
  });
}

void mean_rows(const Context& ctx, TensorView<const float> x, std::span<const std::int32_t> from,
               TensorView<float> y) {
  const Timed timed(ctx.profile, "mean_rows");
  in_context("mean_rows", [&] {
    const std::int64_t rows = y.rows(), all = std::int64_t(from.size()), cols = x.cols();
    if (rows == 0 ? all > 0 : all % rows != 0 || all < rows) {
      fail<ShapeError>(all, " rows are not the same number for each of ", rows);
    }
    y.expect({rows, cols});
    check_ids(from, x.rows());
    if (ctx.device != nullptr) return on_device::mean_rows(*ctx.device, x, from, y);
    const std::int64_t joined = rows > 0 ? all / rows : 0;
    const float share = 1.0f / float(joined);
    ctx.pool->parallel_for(rows, cpu::rows_per_piece(cols * joined),
                           [&](std::int64_t begin, std::int64_t end) {
                             for (std::int64_t i = begin; i < end; i++) {
                               float* const mean = y.row(i);
                               std::fill_n(mean, cols, 0.0f);
                               for (std::int64_t j = i * joined; j < (i + 1) * joined; j++) {
                                 const float* const row = x.row(from[std::size_t(j)]);
                                 for (std::int64_t d = 0; d < cols; d++) mean[d] += row[d];
                               }
                               for (std::int64_t d = 0; d < cols; d++) mean[d] *= share;
                             }
                           });
  });
}

void add_rows(const Context& ctx, TensorView<const float> table, std::span<const std::int32_t> ids,
              TensorView<float> y) {
  const Timed timed(ctx.profile, "add_rows");
  in_context("add_rows", [&] {
    y.expect({std::int64_t(ids.size()), table.cols()});
    check_ids(ids, table.rows());
    if (ctx.device != nullptr) return on_device::table_rows(*ctx.device, table, ids, true, y);
    const std::int64_t cols = y.cols(), grain = cpu::rows_per_piece(cols);
    ctx.pool->parallel_for(y.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; i++) {
        const float* from = table.row(ids[std::size_t(i)]);
        float* to = y.row(i);
        for (std::int64_t j = 0; j < cols; j++) to[j] += from[j];
      }
    });
  });
}

void move_rows(const Context& ctx, TensorView<const float> x, std::span<const std::int32_t> from,
               TensorView<float> y) {
  in_context("move_rows", [&] {
    if (!from.empty()) {
      check_ids(from, x.rows());
      y.expect({std::int64_t(from.size()), x.cols()});
    } else {
      y.expect(x.shape());
    }
    if (ctx.device != nullptr) return on_device::move_rows(*ctx.device, x, from, y);
    for (std::int64_t i = 0; i < y.rows(); i++) {
      copy(x.row(from.empty() ? i : from[std::size_t(i)]), y.cols(), y.row(i));
    }
  });
}

void extract_patches(const Context& ctx, TensorView<const float> pixels, std::int64_t patch,
                     TensorView<float> y) {
  const Timed timed(ctx.profile, "extract_patches");
  in_context("extract_patches", [&] {
    const Shape& s = pixels.shape();
    if (s.rank() != 3 || patch <= 0 || s[1] % patch != 0 || s[2] % patch != 0) {
      fail<ShapeError>(pixels.name(), ": shape ", s,
                       ", expected [channels, height, width] in whole patches of ", patch);
    }
    const std::int64_t channels = s[0], height = s[1], down = s[1] / patch, across = s[2] / patch;
    y.expect({down * across, channels * patch * patch});
    if (ctx.device != nullptr) return on_device::extract_patches(*ctx.device, pixels, patch, y);
    const std::int64_t grain = cpu::rows_per_piece(y.cols());
    ctx.pool->parallel_for(down * across, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; p++) {
        const std::int64_t top = p / across * patch, left = p % across * patch;
        float* to = y.row(p);
        for (std::int64_t c = 0; c < channels; c++) {
          for (std::int64_t u = 0; u < patch; u++, to += patch) {
            copy(pixels.row(c * height + top + u) + left, patch, to);
          }
        }
      }
    });
  });
}

void extract_stretches(const Context& ctx, TensorView<const float> x, std::int64_t kernel,
                       std::int64_t stride, std::int64_t padding, TensorView<float> y) {
  const Timed timed(ctx.profile, "extract_stretches");
  in_context("extract_stretches", [&] {
    const std::int64_t frames = x.rows(), channels = x.cols();
    if (kernel <= 0 || stride <= 0 || padding < 0 || frames + 2 * padding < kernel) {
      fail<ShapeError>(x.name(), ": shape ", x.shape(), ", too short for a kernel of ", kernel,
                       " at stride ", stride, " and padding ", padding);
    }
    y.expect({(frames + 2 * padding - kernel) / stride + 1, channels * kernel});
    if (ctx.device != nullptr) {
      return on_device::extract_stretches(*ctx.device, x, kernel, stride, padding, y);
    }
    const std::int64_t grain = cpu::rows_per_piece(y.cols());
    ctx.pool->parallel_for(y.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; i++) {
        for (std::int64_t k = 0; k < kernel; k++) {
          const std::int64_t t = i * stride + k - padding;
          const float* from = t >= 0 && t < frames ? x.row(t) : nullptr;
          float* to = y.row(i) + k;
          for (std::int64_t c = 0; c < channels; c++) {
            to[c * kernel] = from != nullptr ? from[c] : 0;
          }
        }
      }
    });
  });
}

namespace {

void shuffle(const Context& ctx, TensorView<const float> x, std::int64_t height, std::int64_t width,
             std::int64_t factor, bool interleaved, TensorView<float> y) {
  if (height <= 0 || width <= 0 || factor <= 0 || height % factor != 0 || width % factor != 0) {
    fail<ShapeError>("a grid of ", height, " x ", width, " does not divide into blocks of ",
                     factor);
  }
  const std::int64_t dim = x.cols(), down = height / factor, across = width / factor;
  x.expect({height * width, dim});
  y.expect({down * across, dim * factor * factor});
  if (ctx.device != nullptr) {
    return on_device::pixel_shuffle(*ctx.device, x, height, width, factor, interleaved, y);
  }
  const std::int64_t grain = cpu::rows_per_piece(y.cols()), square = factor * factor;
  ctx.pool->parallel_for(down * across, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; p++) {
      const std::int64_t top = p / across * factor, left = p % across * factor;
      float* const to = y.row(p);
      for (std::int64_t s = 0; s < square; s++) {
        const float* const from = x.row((top + s / factor) * width + left + s % factor);
        if (!interleaved) {
          copy(from, dim, to + s * dim);
          continue;
        }
        for (std::int64_t d = 0; d < dim; d++) to[d * square + s] = from[d];
      }
    }
  });
}

}  // namespace

void pixel_shuffle(const Context& ctx, TensorView<const float> x, std::int64_t height,
                   std::int64_t width, std::int64_t factor, TensorView<float> y) {
  const Timed timed(ctx.profile, "pixel_shuffle");
  in_context("pixel_shuffle", [&] { shuffle(ctx, x, height, width, factor, false, y); });
}

void unfold(const Context& ctx, TensorView<const float> x, std::int64_t height, std::int64_t width,
            std::int64_t factor, TensorView<float> y) {
  const Timed timed(ctx.profile, "unfold");
  in_context("unfold", [&] { shuffle(ctx, x, height, width, factor, true, y); });
}

}  // namespace chiasm::kernels
