#include "kernels/reference/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace chiasm::kernels::reference {

namespace {

/// Element `i` of key (or value) `key` of one sequence and KV head.
double element(const AttentionShape& shape, const KeyValues& kv, const AttentionSequence& s,
               TensorView<const float> rows, const std::byte* pages, std::int64_t kv_head,
               std::int64_t key, std::int64_t i) {
  if (!kv.paged()) return double(rows.row(s.k_begin + key)[kv_head * shape.head_dim + i]);
  const std::int64_t page = s.pages[key / kPageTokens];
  const std::int64_t dim = shape.head_dim, place = key % kPageTokens, at = place * dim + i;
  const std::int64_t index = page * shape.kv_heads + kv_head,
                     rows_before = index * kPageTokens * dim;
  if (kv.page_dtype == DType::f32) {
    return double(reinterpret_cast<const float*>(pages)[rows_before + at]);
  }
  if (kv.page_dtype == DType::bf16) {
    return double(to_float(reinterpret_cast<const bf16*>(pages)[rows_before + at]));
  }
  const std::byte* head = pages + std::size_t(index) * page_bytes(1, dim, kv.page_dtype);
  const auto* scales = reinterpret_cast<const bf16*>(head + kPageTokens * dim);
  return double(reinterpret_cast<const std::int8_t*>(head)[at]) *
         double(to_float(scales[i / kPageGroup * kPageTokens + place]));
}

}  // namespace

void attention(const AttentionShape& shape, TensorView<const float> q, const KeyValues& kv,
               std::span<const AttentionSequence> sequences,
               std::span<const std::int32_t> first_key, std::span<const std::int32_t> last_key,
               TensorView<float> out) {
  const std::int64_t dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  for (const AttentionSequence& s : sequences) {
    for (std::int64_t r = s.q_begin; r < s.q_begin + s.q_count; r++) {
      for (std::int64_t h = 0; h < shape.heads; h++) {
        const std::int64_t first = first_key[std::size_t(r)], last = last_key[std::size_t(r)];
        std::vector<double> score;
        for (std::int64_t key = first; key < last; key++) {
          double dot = 0;
          for (std::int64_t i = 0; i < dim; i++) {
            dot += double(q.row(r)[h * dim + i]) *
                   element(shape, kv, s, kv.k, kv.k_pages, h / group, key, i);
          }
          dot *= double(shape.scale);
          if (shape.softcap > 0) {
            dot = double(shape.softcap) * std::tanh(dot / double(shape.softcap));
          }
          score.push_back(dot);
        }
        const double highest = score.empty() ? 0 : *std::max_element(score.begin(), score.end());
        double total = 0;
        for (double& x : score) total += x = std::exp(x - highest);
        for (std::int64_t i = 0; i < dim; i++) {
          double sum = 0;
          for (std::int64_t key = first; key < last; key++) {
            sum += score[std::size_t(key - first)] / total *
                   element(shape, kv, s, kv.v, kv.v_pages, h / group, key, i);
          }
          out.row(r)[h * dim + i] = float(sum);
        }
      }
    }
  }
}

}  // namespace chiasm::kernels::reference
