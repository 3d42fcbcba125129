#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/attention.h"
#include "kernels/cpu/choose.h"
#include "kernels/on_device.h"

namespace chiasm::kernels {

namespace {

constexpr bf16 kNan{0x7fc0};

std::int64_t groups_of(std::int64_t head_dim) { return (head_dim + kPageGroup - 1) / kPageGroup; }

/// The largest magnitude; NaN counts as more than infinity.
float largest(const float* x, std::int64_t count) {
  std::uint32_t most = 0;
  for (std::int64_t i = 0; i < count; i++) {
    most = std::max(most, std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu);
  }
  return std::bit_cast<float>(most);
}

/// The least bfloat16 that 127 times reaches `largest`, but for one rounding.
bf16 scale_for(float largest) {
  if (!std::isfinite(largest)) return kNan;
  const auto bits = std::bit_cast<std::uint32_t>(largest / 127);
  return {std::uint16_t((bits + 0xffffu) >> 16)};
}

/// Nearest integers of x * factor, at most 127.5 in magnitude; ties to even.
void round_all(const float* x, std::int64_t count, float factor, std::int8_t* out) {
  for (std::int64_t i = 0; i < count; i++) {
    // Where the last bit of a sum this large is worth one, the sum is rounded to an integer.
    const float shifted = x[i] * factor + 0x1.8p23f;
    out[i] = std::int8_t(std::bit_cast<std::uint32_t>(shifted) & 0xffu);
  }
}

/// One row of a KV head whose part of the page begins at `head`.
void write_int8(const float* x, std::int64_t head_dim, std::int64_t key, std::byte* head) {
  auto* const row = reinterpret_cast<std::int8_t*>(head) + key * head_dim;
  auto* const scales = reinterpret_cast<bf16*>(head + kPageTokens * head_dim);
  for (std::int64_t group = 0; group < groups_of(head_dim); group++) {
    const std::int64_t at = group * kPageGroup, count = std::min(kPageGroup, head_dim - at);
    const bf16 scale = scale_for(largest(x + at, count));
    const float wide = to_float(scale);
    // Numbers so small that their scale has no inverse are zeros.
    const float factor = std::isnormal(wide) ? 1 / wide : 0;
    round_all(x + at, count, factor, row + at);
    scales[group * kPageTokens + key] = scale;
  }
}

void write_row(const float* x, std::int64_t head_dim, std::int64_t key, std::byte* head,
               DType page_dtype) {
  if (page_dtype == DType::f32) {
    std::copy_n(x, head_dim, reinterpret_cast<float*>(head) + key * head_dim);
  } else if (page_dtype == DType::bf16) {
    std::transform(x, x + head_dim, reinterpret_cast<bf16*>(head) + key * head_dim, to_bf16);
  } else {
    write_int8(x, head_dim, key, head);
  }
}

}  // namespace

std::size_t page_bytes(std::int64_t kv_heads, std::int64_t head_dim, DType page_dtype) {
  if (page_dtype != DType::f32 && page_dtype != DType::bf16 && page_dtype != DType::i8) {
    fail<ShapeError>("pages of ", name(page_dtype), ", expected float32, bfloat16 or int8");
  }
  std::size_t row = std::size_t(head_dim) * size_of(page_dtype);
  if (page_dtype == DType::i8) row += std::size_t(groups_of(head_dim)) * sizeof(bf16);
  return std::size_t(kv_heads * kPageTokens) * row;
}

void write_pages(const Context& ctx, TensorView<const float> x, std::int64_t kv_heads,
                 std::int64_t head_dim, std::span<const std::int64_t> slot, std::byte* pages,
                 DType page_dtype) {
  const Timed timed(ctx.profile, "write_pages");
  in_context("write_pages", [&] {
    x.expect({std::int64_t(slot.size()), kv_heads * head_dim});
    const std::size_t head_bytes = page_bytes(1, head_dim, page_dtype);
    if (ctx.device != nullptr) {
      if (page_dtype == DType::i8) on_device::refuse(ctx, "a cache of int8");
      return on_device::write_pages(*ctx.device, x, kv_heads, head_dim, slot, pages, page_dtype);
    }
    const std::int64_t grain = cpu::rows_per_piece(x.cols());
    ctx.pool->parallel_for(x.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; i++) {
        const std::int64_t page = slot[std::size_t(i)] / kPageTokens;
        const std::int64_t key = slot[std::size_t(i)] % kPageTokens;
        for (std::int64_t h = 0; h < kv_heads; h++) {
          write_row(x.row(i) + h * head_dim, head_dim, key,
                    pages + std::size_t(page * kv_heads + h) * head_bytes, page_dtype);
        }
      }
    });
  });
}

}  // namespace chiasm::kernels
