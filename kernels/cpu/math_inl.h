#pragma once
/// exp, tanh and friends over a vector V of simd_*.h, good to a few ulp and the same in every lane.
/// Polynomials are minimax fits (Remez exchange, double coefficients rounded to float32); the error
/// in each comment is that of the fit alone.
#include <cstdint>

namespace chiasm::kernels::cpu {
namespace {

/// c[0] + c[1] x + ... + c[N-1] x^(N-1).
template <class V, int N>
inline V polynomial(V x, const float (&c)[N]) {
  V y = V::set(c[N - 1]);
#pragma GCC unroll 16
  for (int i = N - 2; i >= 0; i--) y = fma(y, x, V::set(c[i]));
  return y;
}

/// exp(n ln 2 + r) for an integral n and |r| <= ln(2) / 2.
template <class V>
inline V exp_reduced(V n, V r) {
  // (exp(r) - 1 - r) / r^2: 3.1e-9 of exp(r).
  constexpr float kTail[] = {0.49999994f, 0.166665196f, 0.0416683927f, 0.00836878084f,
                             0.00138144672f};
  const V y = fma(polynomial(r, kTail), r * r, r) + V::set(1.0f);
  return times_power_of_two(y, n);
}

/// What is left of x after n = round(x / ln 2) times ln 2, which comes in two parts, the first of
/// few enough bits that n times it is exact (Cody and Waite, 1980).
template <class V>
inline V minus_multiple_of_ln2(V x, V n) {
  const V r = fma(n, V::set(-0.693359375f), x);
  return fma(n, V::set(2.12194440e-4f), r);
}

/// x where exp neither overflows beyond infinity nor underflows beyond 0: exp(-104) rounds to 0,
/// exp(89) to infinity. min and max give their second argument for NaN.
template <class V>
inline V clamp_for_exp(V x) {
  return max(V::set(-104.0f), min(V::set(89.0f), x));
}

/// exp(x). 1.5 ulp; subnormal results are right, overflow gives infinity, NaN stays NaN, exp(0) is
/// 1 and exp(-infinity) is 0.
template <class V>
inline V exp(V x) {
  x = clamp_for_exp(x);
  const V n = round(x * V::set(1.44269504f));
  return exp_reduced(n, minus_multiple_of_ln2(x, n));
}

/// exp(x + low) for |low| <= ulp(x), otherwise like exp.
template <class V>
inline V exp_of_sum(V x, V low) {
  x = clamp_for_exp(x);
  const V n = round(x * V::set(1.44269504f));
  return exp_reduced(n, minus_multiple_of_ln2(x, n) + low);
}

/// 1 / (1 + exp(-x)). 3 ulp; 0 below -88.8.
template <class V>
inline V sigmoid(V x) {
  return V::set(1.0f) / (V::set(1.0f) + exp(V::zero() - x));
}

/// tanh(x). 3 ulp.
template <class V>
inline V tanh(V x) {
  const V a = abs(x), square = x * x;
  // (tanh(x) - x) / x^3 in x^2 on |x| <= 0.632: 4.7e-9 of tanh(x).
  constexpr float kTail[] = {-0.333332777f, 0.133313283f, -0.0537292324f, 0.0206020139f,
                             -0.00566079468f};
  const V small = fma(polynomial(square, kTail), square * x, x);
  const V large = V::set(1.0f) - V::set(2.0f) / (exp(a + a) + V::set(1.0f));
  return select(less(a, V::set(0.625f)), small, copysign(large, x));
}

/// The standard normal distribution function Phi(x) = (1 + erf(x / sqrt(2))) / 2, with a small
/// relative error in the lower tail too (6 ulp), where 1 + erf would cancel.
template <class V>
inline V normal_cdf(V x) {
  // Phi(-15) is below the smallest float32. NaN passes, as the second argument.
  const V a = min(V::set(15.0f), abs(x));
  // exp(-a^2 / 2): the square as a rounded value and its exact remainder.
  const V upper = upper_half(a), lower = a - upper;
  const V square = a * a;
  const V remainder = (upper * upper - square) + lower * (upper + a);
  const V half = V::set(-0.5f);
  const V bell = exp_of_sum(half * square, half * remainder);
  // Phi(-a) exp(a^2 / 2) (1 + 2 a) in k = (a - 3) / (a + 3), -1 <= k <= 2/3: 3.9e-8.
  // The change of variable is that of Shepherd and Laframboise, 1981.
  constexpr float kRatio[] = {0.85059762f,     0.0133486968f,    -0.156089053f,  0.13655135f,
                              -0.0515916497f,  -0.000655403943f, 0.00697174389f, -0.000177380658f,
                              -0.00100228225f, -0.000180851493f};
  const V k = (a - V::set(3.0f)) / (a + V::set(3.0f));
  const V tail = bell * polynomial(k, kRatio) / (V::set(1.0f) + (a + a));
  return select(less(x, V::zero()), tail, V::set(1.0f) - tail);
}

}  // namespace
}  // namespace chiasm::kernels::cpu
