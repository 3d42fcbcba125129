#pragma once
/// The operators' way to a device: what their headers promise, by the table of the plug-in. Their
/// doors have checked the shapes. Rows lie in the device's memory; weights (norms, biases, tables,
/// matrices) lie in the host's, and are uploaded at their first use (Device::constant).
/// DeviceError for rows that lie elsewhere.
#include <span>
#include <string_view>
#include <vector>

#include "core/device.h"
#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/matrix.h"
#include "kernels/sample.h"

namespace chiasm::kernels::on_device {

/// `heads` vectors in each row; an RMS norm where `bias` has no data.
void norm(Device& device, TensorView<const float> x, std::int64_t heads,
          TensorView<const float> weight, TensorView<const float> bias, float eps,
          TensorView<float> y);
void rotate_half(Device& device, TensorView<float> x, std::int64_t heads, std::int64_t head_dim,
                 TensorView<const float> cosine, TensorView<const float> sine);
void write_pages(Device& device, TensorView<const float> x, std::int64_t kv_heads,
                 std::int64_t head_dim, std::span<const std::int64_t> slot, std::byte* pages,
                 DType page_dtype);

void activate(Device& device, Activation act, TensorView<float> x);
void gated_activation(Device& device, Activation act, TensorView<const float> gate_up,
                      TensorView<float> y);
void add(Device& device, TensorView<const float> x, TensorView<float> y);
void add_scaled(Device& device, TensorView<const float> x, TensorView<const float> scale,
                TensorView<float> y);
void scale(Device& device, float factor, TensorView<float> x);
void softcap(Device& device, float cap, TensorView<float> x);

void embed(Device& device, const Matrix& table, std::span<const std::int32_t> ids,
           TensorView<float> y);
/// `ids` lie in the device's memory, [rows of y].
void embed(Device& device, const Matrix& table, const std::int32_t* ids, TensorView<float> y);
/// Rows of a table of weights, copied or added.
void table_rows(Device& device, TensorView<const float> table, std::span<const std::int32_t> ids,
                bool add, TensorView<float> y);
void move_rows(Device& device, TensorView<const float> x, std::span<const std::int32_t> from,
               TensorView<float> y);
/// `x` may lie in the host's memory; its rows have no gaps then.
void extract_stretches(Device& device, TensorView<const float> x, std::int64_t kernel,
                       std::int64_t stride, std::int64_t padding, TensorView<float> y);
void mean_rows(Device& device, TensorView<const float> x, std::span<const std::int32_t> from,
               TensorView<float> y);
/// `pixels` may lie in the host's memory.
void extract_patches(Device& device, TensorView<const float> pixels, std::int64_t patch,
                     TensorView<float> y);
void pixel_shuffle(Device& device, TensorView<const float> x, std::int64_t height,
                   std::int64_t width, std::int64_t factor, bool interleaved, TensorView<float> y);

void linear(Device& device, TensorView<const float> x, const Matrix& w, const Epilogue& epilogue,
            TensorView<float> y);
void attention(Device& device, const AttentionShape& shape, TensorView<const float> q,
               const KeyValues& kv, std::span<const AttentionSequence> sequences,
               std::span<const std::int32_t> first_key, std::span<const std::int32_t> last_key,
               TensorView<float> out);

/// tokens: in the device's memory, [rows of logits].
void draw(Device& device, TensorView<const float> logits, std::span<const Draw> draws,
          std::int32_t* tokens);

/// A matrix in the device's layout (core/device_calls.h), uploaded at its first use. DeviceError
/// for formats that no device reads.
device::MatrixRef matrix(Device& device, const Matrix& w);

/// For operators without a device's form.
inline void refuse(const Context& ctx, std::string_view operation) {
  if (ctx.device != nullptr) fail<DeviceError>(operation, " does not run on a device yet");
}

}  // namespace chiasm::kernels::on_device
