#pragma once
/// What rows attend to, for whoever asks: the weights that the attention kernels never write down.
#include <cstdint>
#include <span>
#include <vector>

#include "core/context.h"
#include "core/tensor.h"
#include "kernels/attention.h"

namespace chiasm::language {

/// Collects, of a batch that is one sequence from its beginning, how much its last rows attend to
/// each row: softmax weights, averaged over the heads and over the layers. They are computed anew
/// from float32 queries and keys (double sums); on the CPU.
struct AttentionWatch {
  std::vector<std::int64_t> layers;  // of the decoder, ascending; those that are averaged
  TensorView<float> weights{};       // [rows watched, rows of the sequence]; zero before the pass

  /// Adds what layer `layer` gives, where it is one of `layers`. Rows of q and k as the kernel gets
  /// them (kernels/attention.h): [rows, heads * head_dim], [rows, kv_heads * head_dim]; row r sees
  /// the keys in [first_key[r], last_key[r]). ShapeError where they are of another number of rows.
  void see(const Context& ctx, std::int64_t layer, const kernels::AttentionShape& shape,
           TensorView<const float> q, TensorView<const float> k,
           std::span<const std::int32_t> first_key, std::span<const std::int32_t> last_key);
};

}  // namespace chiasm::language
