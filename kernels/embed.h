#pragma once
/// From indices or pixels to rows.
#include <cstdint>
#include <span>

#include "core/context.h"
#include "core/tensor.h"
#include "kernels/matrix.h"

namespace chiasm::kernels {

/// y[i, :] = table row ids[i]. y: [ids, in]. Throws RequestError for an id outside the table.
void embed(const Context& ctx, const Matrix& table, std::span<const std::int32_t> ids,
           TensorView<float> y);

/// y[i, :] += table[ids[i], :]. table: [n, dim] float32; y: [ids, dim].
void add_rows(const Context& ctx, TensorView<const float> table, std::span<const std::int32_t> ids,
              TensorView<float> y);

/// y[i, :] = x[from[i], :]; x itself where `from` is empty. x: [n, dim]; y: [from, dim]. They do
/// not overlap. Throws RequestError for an index outside x.
void move_rows(const Context& ctx, TensorView<const float> x, std::span<const std::int32_t> from,
               TensorView<float> y);

/// y[i, :] = table[ids[i], :], as add_rows adds them.
void copy_rows(const Context& ctx, TensorView<const float> table, std::span<const std::int32_t> ids,
               TensorView<float> y);

/// y[i, :] = the mean of rows from[i * n + j] of x, j < n, added in this order; n = from / y's
/// rows. x: [rows, dim]. RequestError for an index outside x.
void mean_rows(const Context& ctx, TensorView<const float> x, std::span<const std::int32_t> from,
               TensorView<float> y);

/// Non-overlapping patches as rows for a matrix product with a convolution weight
/// [dim, channels, patch, patch]: y[i * (width / patch) + j, (c * patch + u) * patch + v] =
/// pixels[c, i * patch + u, j * patch + v]. pixels: [channels, height, width]; y: [patches,
/// channels * patch^2].
void extract_patches(const Context& ctx, TensorView<const float> pixels, std::int64_t patch,
                     TensorView<float> y);

/// Overlapping stretches of rows for a matrix product with a one-dimensional convolution's weight
/// [dim, channels, kernel]: y[i, c * kernel + k] = x[i * stride + k - padding, c], 0 outside x.
/// x: [frames, channels]; y: [(frames + 2 * padding - kernel) / stride + 1, channels * kernel].
void extract_stretches(const Context& ctx, TensorView<const float> x, std::int64_t kernel,
                       std::int64_t stride, std::int64_t padding, TensorView<float> y);

/// Pixel shuffle of Idefics3: a grid of height x width rows [height * width, dim] becomes
/// [height * width / factor^2, dim * factor^2]; output row (i, j) holds, in this order, the rows
/// (i * factor + u, j * factor + v) for u, then v. `factor` divides both sides; ShapeError.
/// Source: transformers' Idefics3Connector.pixel_shuffle.
void pixel_shuffle(const Context& ctx, TensorView<const float> x, std::int64_t height,
                   std::int64_t width, std::int64_t factor, TensorView<float> y);

/// The same with the rows of a block interleaved: number d of the row at (u, v) of a block stands
/// at d * factor^2 + u * factor + v, as torch.nn.functional.unfold has it.
void unfold(const Context& ctx, TensorView<const float> x, std::int64_t height, std::int64_t width,
            std::int64_t factor, TensorView<float> y);

}  // namespace chiasm::kernels
