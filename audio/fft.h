#pragma once
/// Power spectra of short real signals.
#include <complex>
#include <cstdint>
#include <vector>

namespace chiasm::audio {

/// |FFT|^2 of several real signals side by side, in double, so that nothing but the input's own
/// rounding is lost. Mixed radix (2, 3, 4, 5) in Stockham's order: Van Loan, Computational
/// Frameworks for the Fast Fourier Transform, 1992, section 1.7. Immutable; safe to share.
class RealFft {
 public:
  /// Signals in one call: each number below is that many, one for each signal.
  static constexpr std::int64_t kLanes = 8;

  /// Whether a transform of `size` is possible: even, and no prime factor but 2, 3 and 5.
  static bool supports(std::int64_t size);
  /// `size` as `supports` wants it.
  explicit RealFft(std::int64_t size);

  std::int64_t size() const { return 2 * half_; }
  std::int64_t bins() const { return half_ + 1; }  // of a spectrum: frequencies 0 to size / 2
  /// Doubles of scratch that `power` needs.
  std::int64_t scratch() const { return 4 * half_ * kLanes; }

  /// out[k] = |sum_t x[t] exp(-2 pi i k t / size)|^2.  x: [size][kLanes], out: [bins][kLanes]. A
  /// lane's arithmetic does not depend on the others.
  void power(const double* x, double* scratch, double* out) const;

 private:
  std::int64_t half_;  // two real numbers are transformed as one complex
  std::vector<int> radices_;
  std::vector<std::complex<double>> roots_;  // exp(-2 pi i k / half)
  std::vector<std::complex<double>> turns_;  // exp(-2 pi i k / size), k <= half
};

}  // namespace chiasm::audio
