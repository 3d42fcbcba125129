#include <cstddef>
#include <cstring>

#include "core/dtype.h"
#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/simd_portable.h"

namespace chiasm::kernels::cpu {

namespace {

constexpr int kTileRows = 4;
constexpr int kStep = 64;  // inputs widened at a time

void pack_rows(const PackRows& p) {
  auto* out = static_cast<float*>(p.out);
  for (int r = 0; r < p.rows; r++) {
    for (std::int64_t k = 0; k < p.k; k++) out[k * p.rows + r] = p.x[r * p.x_stride + k];
  }
}

// Weights of inputs [k, k + count) as float32, [count][width].
struct F32 {
  static const float* widen(const void* b, std::int64_t k, std::int64_t, int width, float*) {
    return static_cast<const float*>(b) + k * width;
  }
};
struct F16 {
  static const float* widen(const void* b, std::int64_t k, std::int64_t count, int width,
                            float* out) {
    const f16* in = static_cast<const f16*>(b) + k * width;
    for (std::int64_t i = 0; i < count * width; i++) out[i] = to_float(in[i]);
    return out;
  }
};
struct Bf16 {
  static const float* widen(const void* b, std::int64_t k, std::int64_t count, int width,
                            float* out) {
    const bf16* in = static_cast<const bf16*>(b) + k * width;
    for (std::int64_t i = 0; i < count; i++) {
      const bf16* pairs = in + i / 2 * 2 * width + i % 2;
      for (int j = 0; j < width; j++) out[i * width + j] = to_float(pairs[2 * j]);
    }
    return out;
  }
};

// c[r, 0..8) += sum over k of a[k, r] * b[k, 0..8)
template <int R>
void multiply(const float* a, const float* b, std::int64_t count, int width, float* c) {
  constexpr int kCols = 8;
  float sum[R][kCols];
  for (int r = 0; r < R; r++) std::memcpy(sum[r], c + r * kPanel, sizeof sum[r]);
  for (std::int64_t k = 0; k < count; k++) {
    for (int r = 0; r < R; r++) {
      for (int j = 0; j < kCols; j++) sum[r][j] += a[k * R + r] * b[k * width + j];
    }
  }
  for (int r = 0; r < R; r++) std::memcpy(c + r * kPanel, sum[r], sizeof sum[r]);
}

template <class Weights>
void tile(const Tile& t) {
  if (!t.resume) std::memset(t.c, 0, sizeof(float) * std::size_t(t.rows * kPanel));
  float wide[kStep * kPanel];
  for (std::int64_t k = 0; k < t.k; k += kStep) {
    const std::int64_t count = t.k - k < kStep ? t.k - k : kStep;
    const float* b = Weights::widen(t.b, k, count, t.width, wide);
    const float* a = static_cast<const float*>(t.a) + k * t.rows;
    for (int j = 0; j < t.width; j += 8) {
      switch (t.rows) {
        case 1:
          multiply<1>(a, b + j, count, t.width, t.c + j);
          break;
        case 2:
          multiply<2>(a, b + j, count, t.width, t.c + j);
          break;
        case 3:
          multiply<3>(a, b + j, count, t.width, t.c + j);
          break;
        case 4:
          multiply<4>(a, b + j, count, t.width, t.c + j);
          break;
      }
    }
  }
}

template <class Weights>
constexpr GemmKernel kKernel = {kTileRows,          1, 4, pack_rows, tile<Weights>, tile<Weights>,
                                finish<VecPortable>};

}  // namespace

const GemmKernel kGemmPortable[3] = {kKernel<F32>, kKernel<Bf16>, kKernel<F16>};

}  // namespace chiasm::kernels::cpu
