#pragma once
/// Four float32 lanes by the compilers' vector extension: SSE2 on x86-64, NEON on ARM. There is no
/// fused multiply-add here. See simd_avx512.h for what each operation promises.
#include <cstdint>

namespace chiasm::kernels::cpu {
namespace {

typedef float Float4 __attribute__((vector_size(16)));
typedef std::int32_t Int4 __attribute__((vector_size(16)));

struct MaskPortable {
  Int4 v;  // -1 in true lanes
};

struct VecPortable {
  static constexpr int kLanes = 4;
  static constexpr int kRegisters = 16;
  using Mask = MaskPortable;
  Float4 v;

  static VecPortable zero() { return set(0.0f); }
  static VecPortable set(float x) { return {Float4{x, x, x, x}}; }
  static VecPortable load(const float* p) {
    VecPortable out;
    __builtin_memcpy(&out.v, p, sizeof out.v);
    return out;
  }
  static VecPortable load_first(const float* p, int n) {
    VecPortable out = zero();
    for (int i = 0; i < n; i++) out.v[i] = p[i];
    return out;
  }
  static VecPortable load_bf16(const std::uint16_t* p) {
    const Int4 wide = {p[0], p[1], p[2], p[3]};
    return {reinterpret_cast<Float4>(wide << 16)};
  }
  static VecPortable load_int8(const std::int8_t* p) {
    return {Float4{float(p[0]), float(p[1]), float(p[2]), float(p[3])}};
  }
  void store(float* p) const { __builtin_memcpy(p, &v, sizeof v); }
  void store_first(float* p, int n) const {
    for (int i = 0; i < n; i++) p[i] = v[i];
  }

  static Mask between(int begin, int end) {
    const Int4 lane = {0, 1, 2, 3};
    return {(lane >= begin) & (lane < end)};
  }
};

inline VecPortable operator+(VecPortable a, VecPortable b) { return {a.v + b.v}; }
inline VecPortable operator-(VecPortable a, VecPortable b) { return {a.v - b.v}; }
inline VecPortable operator*(VecPortable a, VecPortable b) { return {a.v * b.v}; }
inline VecPortable operator/(VecPortable a, VecPortable b) { return {a.v / b.v}; }
inline VecPortable fma(VecPortable a, VecPortable b, VecPortable c) { return {a.v * b.v + c.v}; }
inline VecPortable select(MaskPortable m, VecPortable yes, VecPortable no) {
  return {reinterpret_cast<Float4>((m.v & reinterpret_cast<Int4>(yes.v)) |
                                   (~m.v & reinterpret_cast<Int4>(no.v)))};
}
inline MaskPortable less(VecPortable a, VecPortable b) { return {a.v < b.v}; }
inline MaskPortable equal(VecPortable a, VecPortable b) { return {a.v == b.v}; }
inline bool any(MaskPortable m) { return (m.v[0] | m.v[1] | m.v[2] | m.v[3]) != 0; }
inline VecPortable min(VecPortable a, VecPortable b) { return select(less(a, b), a, b); }
inline VecPortable max(VecPortable a, VecPortable b) { return select(less(b, a), a, b); }
inline VecPortable abs(VecPortable a) {
  return {reinterpret_cast<Float4>(reinterpret_cast<Int4>(a.v) & 0x7fffffff)};
}
inline VecPortable copysign(VecPortable a, VecPortable b) {
  const Int4 sign = reinterpret_cast<Int4>(b.v) & INT32_MIN;
  return {reinterpret_cast<Float4>(reinterpret_cast<Int4>(abs(a).v) | sign)};
}
// Adding and taking away 1.5 * 2^23 leaves no room for a fraction; |a| < 2^22.
inline VecPortable round(VecPortable a) {
  const VecPortable magic = VecPortable::set(12582912.0f);
  return (a + magic) - magic;
}
inline VecPortable times_power_of_two(VecPortable a, VecPortable n) {
  const Int4 whole = __builtin_convertvector(n.v, Int4);
  const Int4 half = whole >> 1, rest = whole - half;
  const Float4 first = reinterpret_cast<Float4>((half + 127) << 23);
  const Float4 second = reinterpret_cast<Float4>((rest + 127) << 23);
  return {a.v * first * second};
}
inline VecPortable upper_half(VecPortable a) {
  return {reinterpret_cast<Float4>(reinterpret_cast<Int4>(a.v) & std::int32_t(0xfffff000u))};
}
inline float sum(VecPortable a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
inline float largest(VecPortable a) {
  const float x = a.v[0] > a.v[2] ? a.v[0] : a.v[2];
  const float y = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
  return x > y ? x : y;
}
inline void load_transposed(const float* src, std::int64_t stride, VecPortable (&out)[4]) {
  for (int c = 0; c < 4; c++) {
    const float* p = src + c;
    out[c] = {Float4{p[0], p[stride], p[2 * stride], p[3 * stride]}};
  }
}

}  // namespace
}  // namespace chiasm::kernels::cpu
