// The backend's matrix product: plain loops in place of cuBLASLt.
#include "kernels/cuda/emulation/dev.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

void multiply(Session&, const Product& p) {
  const auto number = [&](const void* data, std::int64_t at) {
    return p.bf16 ? dev::from_bf16(static_cast<const std::uint16_t*>(data)[at])
                  : static_cast<const float*>(data)[at];
  };
  for (std::int64_t r = 0; r < p.rows; r++) {
    for (std::int64_t o = 0; o < p.out; o++) {
      float sum = 0;
      for (std::int64_t i = 0; i < p.in; i++) {
        sum += number(p.x, r * p.x_stride + i) * number(p.w, o * p.w_stride + i);
      }
      float* y = p.y + r * p.y_stride + o;
      *y = p.accumulate ? *y + sum : sum;
    }
  }
}

}  // namespace chiasm::device
