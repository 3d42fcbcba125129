#include "audio/fft.h"

#include <array>
#include <cmath>
#include <numbers>
#include <utility>

namespace chiasm::audio {

namespace {

/// Radices whose product is `n`, 4 before 2; empty when there are none.
std::vector<int> factors(std::int64_t n) {
  std::vector<int> out;
  for (const int radix : {5, 3, 4, 2}) {
    for (; n > 1 && n % radix == 0; n /= radix) out.push_back(radix);
  }
  if (n != 1) out.clear();
  return out;
}

std::complex<double> root_of_unity(std::int64_t k, std::int64_t n) {
  const double angle = -2 * std::numbers::pi * double(k) / double(n);
  return {std::cos(angle), std::sin(angle)};
}

/// Real and imaginary parts of complex numbers, apart from each other.
struct Complexes {
  double* re;
  double* im;
};

/// One pass of Stockham's transform of `size` = R * m points: with x read as [R][m][stride] and y
/// written as [m][R][stride], y[p][k] = sum_j exp(-2 pi i k (p + j m) / size) x[j][p].
/// `roots` are those of the whole length, `step` apart for this size.
template <int R>
void pass(Complexes x, Complexes y, std::int64_t m, std::int64_t stride,
          const std::vector<std::complex<double>>& roots, std::int64_t step) {
  const auto length = std::int64_t(roots.size());
  for (std::int64_t p = 0; p < m; p++) {
    for (std::int64_t k = 0; k < R; k++) {
      std::array<double, R> re, im;
      for (std::int64_t j = 0; j < R; j++) {
        const auto root = roots[std::size_t(k * (p + j * m) * step % length)];
        re[std::size_t(j)] = root.real();
        im[std::size_t(j)] = root.imag();
      }
      double* __restrict to_re = y.re + (p * R + k) * stride;
      double* __restrict to_im = y.im + (p * R + k) * stride;
      const double* from_re = x.re + p * stride;
      const double* from_im = x.im + p * stride;
      for (std::int64_t q = 0; q < stride; q++) {
        double sum_re = 0, sum_im = 0;
        for (std::int64_t j = 0; j < R; j++) {
          const double a = from_re[j * m * stride + q], b = from_im[j * m * stride + q];
          sum_re += re[std::size_t(j)] * a - im[std::size_t(j)] * b;
          sum_im += re[std::size_t(j)] * b + im[std::size_t(j)] * a;
        }
        to_re[q] = sum_re;
        to_im[q] = sum_im;
      }
    }
  }
}

}  // namespace

bool RealFft::supports(std::int64_t size) {
  return size >= 4 && size <= (1 << 20) && size % 2 == 0 && !factors(size / 2).empty();
}

RealFft::RealFft(std::int64_t size) : half_(size / 2), radices_(factors(size / 2)) {
  for (std::int64_t k = 0; k < half_; k++) roots_.push_back(root_of_unity(k, half_));
  for (std::int64_t k = 0; k <= half_; k++) turns_.push_back(root_of_unity(k, size));
}

void RealFft::power(const double* x, double* scratch, double* out) const {
  const std::int64_t values = half_ * kLanes;
  Complexes from{scratch, scratch + values}, to{scratch + 2 * values, scratch + 3 * values};
  // Even samples are real parts, odd samples imaginary ones.
  for (std::int64_t t = 0; t < half_; t++) {
    for (std::int64_t lane = 0; lane < kLanes; lane++) {
      from.re[t * kLanes + lane] = x[2 * t * kLanes + lane];
      from.im[t * kLanes + lane] = x[(2 * t + 1) * kLanes + lane];
    }
  }
  std::int64_t size = half_, done = 1;
  for (const int radix : radices_) {
    const std::int64_t m = size / radix, stride = done * kLanes;
    if (radix == 2) pass<2>(from, to, m, stride, roots_, done);
    if (radix == 3) pass<3>(from, to, m, stride, roots_, done);
    if (radix == 4) pass<4>(from, to, m, stride, roots_, done);
    if (radix == 5) pass<5>(from, to, m, stride, roots_, done);
    std::swap(from, to);
    size = m;
    done *= radix;
  }
  // With Z the transform of the packed signal and Z' = conj(Z[half - k]):
  // X[k] = (Z[k] + Z') / 2 - i exp(-2 pi i k / size) (Z[k] - Z') / 2.
  for (std::int64_t k = 0; k <= half_; k++) {
    const std::int64_t a = k % half_ * kLanes, b = (half_ - k) % half_ * kLanes;
    const double c = turns_[std::size_t(k)].real(), s = turns_[std::size_t(k)].imag();
    for (std::int64_t lane = 0; lane < kLanes; lane++) {
      const double even_re = from.re[a + lane] + from.re[b + lane];
      const double even_im = from.im[a + lane] - from.im[b + lane];
      const double odd_re = from.im[a + lane] + from.im[b + lane];
      const double odd_im = from.re[b + lane] - from.re[a + lane];
      const double re = (even_re + c * odd_re - s * odd_im) / 2;
      const double im = (even_im + c * odd_im + s * odd_re) / 2;
      out[k * kLanes + lane] = re * re + im * im;
    }
  }
}

}  // namespace chiasm::audio
