#pragma once
/// Weights that GPTQ and AWQ quantized to 4 bits: w = scale * (q - zero), with a scale and a zero
/// for each output and group of inputs. Sources: Frantar et al., 2022, arXiv:2210.17323, and
/// AutoGPTQ's qlinear_cuda; Lin et al., 2023, arXiv:2306.00978, and AutoAWQ's WQLinear_GEMM.
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/weights.h"

namespace chiasm::kernels {

/// The tensors of one product [out, in], as they lie in the file. Integers are packed in 32 bits:
///   GPTQ:  qweight [in / 8, out], eight inputs in turn; qzeros [groups, out / 8], eight outputs in
///          turn, each zero less one; g_idx [in], the group of each input
///   AWQ:   qweight [in, out / 8], qzeros [groups, out / 8], of eight outputs 0, 2, 4, 6, 1, 3, 5,
///   7 both:  scales [groups, out]
struct GroupedWeight {
  const TensorEntry* q = nullptr;
  const TensorEntry* zeros = nullptr;
  const TensorEntry* scales = nullptr;
  bool awq = false;
  std::int64_t out = 0, in = 0, group = 0;
  /// Which input stands at each place, so that groups lie one after the other; empty: as they are.
  std::vector<std::int32_t> order;

  int weight(std::int64_t output, std::int64_t input) const;
  int zero(std::int64_t output, std::int64_t group_index) const;
  float scale(std::int64_t output, std::int64_t group_index) const;
};

/// The tensors under `scope`, or none where it has no "qweight". ModelError for shapes and types
/// that do not fit together, groups of a size that is no multiple of 32, and a g_idx whose groups
/// differ in size.
std::optional<GroupedWeight> find_grouped(const Weights& weights, std::string_view scope,
                                          std::int64_t out, std::int64_t in);

}  // namespace chiasm::kernels
