// Log-mel powers of sounds (audio/log_mel.h), one block a frame. In double, as on the CPU: a quiet
// bin beside a loud one carries no more than its own rounding. A real frame's spectrum needs only
// half of its samples, added to and taken from their mirror images: cosines multiply the one, sines
// the other.
#include "kernels/cuda/dev.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

namespace {

constexpr int kThreads = 256;
constexpr double kLeast = 1e-10;

/// The sample at `i`, reflected at the ends of the sound and silent behind its samples.
__device__ float reflected(const LogMelCall& c, std::int64_t i) {
  if (i < 0) i = -i;
  if (i >= c.length) i = 2 * (c.length - 1) - i;
  return i < c.samples ? c.sound[i] : 0.0f;
}

__global__ void __launch_bounds__(kThreads) mel_powers(LogMelCall c) {
  const int n = int(c.window), half = n / 2;
  auto* const even = dev::dynamic_shared<double>();  // [half + 1]: x[t] + x[n - t]
  double* const odd = even + half + 1;               // x[t] - x[n - t]
  double* const power = odd + half + 1;
  const std::int64_t row = blockIdx.x, begin = row * c.hop - half;
  for (int t = int(threadIdx.x); t <= half; t += kThreads) {
    const double a = double(reflected(c, begin + t)) * c.hann[t];
    const bool paired = t > 0 && t < half;
    const double b = paired ? double(reflected(c, begin + n - t)) * c.hann[n - t] : 0.0;
    even[t] = a + b;
    odd[t] = paired ? a - b : 0.0;
  }
  dev::sync_block();
  for (int k = int(threadIdx.x); k <= half; k += kThreads) {
    double real = 0, imaginary = 0;
    int at = 0;  // k t modulo n
    for (int t = 0; t <= half; t++) {
      real += even[t] * c.cosine[at];
      imaginary += odd[t] * c.sine[at];
      at += k;
      if (at >= n) at -= n;
    }
    power[k] = real * real + imaginary * imaginary;
  }
  dev::sync_block();
  for (int f = int(threadIdx.x); f < int(c.bins); f += kThreads) {
    const std::int32_t* filter = c.filters + 3 * f;
    double sum = 0;
    for (int k = 0; k < filter[1]; k++)
      sum += double(c.weights[filter[2] + k]) * power[filter[0] + k];
    c.out[row * c.bins + f] = float(log10(sum > kLeast ? sum : kLeast));
  }
}

}  // namespace

void log_mel(Session& session, const LogMelCall& call) {
  if (call.frames == 0) return;
  const std::size_t shared = std::size_t(call.window / 2 + 1) * 3 * sizeof(double);
  dev::launch(session, mel_powers, dev::Grid(unsigned(call.frames)), kThreads, shared, call);
}

}  // namespace chiasm::device
