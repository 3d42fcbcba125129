// The backend's matrix product: plain loops in place of cuBLASLt, and what it would ask for.
#include <string>

#include "kernels/cuda/emulation/dev.h"
#include "kernels/cuda/emulation/memory.h"
#include "kernels/cuda/functions.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

namespace {

void expect(bool holds, const std::string& what) {
  if (!holds) throw Failure(Status::failed, "matrix product: " + what);
}

/// A matrix of a product: `rows` rows of `cols` numbers of `size` bytes, `stride` numbers apart.
struct Operand {
  const char* name;
  const void* data;
  std::int64_t rows, cols, stride, size;

  std::uintptr_t begin() const { return reinterpret_cast<std::uintptr_t>(data); }
  std::uintptr_t bytes() const { return std::uintptr_t(((rows - 1) * stride + cols) * size); }
};

/// cuBLASLt's algorithms on tensor cores want 16 bytes of bfloat16 matrices and of their strides;
/// of float32 ones, the alignment of their numbers is enough.
void expect_fit(const Operand& m) {
  constexpr std::int64_t kFast = 16;
  const std::string name = m.name;
  expect(m.rows > 0 && m.cols > 0, name + " is empty");
  expect(m.stride >= m.cols, name + "'s rows overlap: a stride of " + std::to_string(m.stride) +
                                 " for " + std::to_string(m.cols) + " numbers");
  const std::int64_t unit = m.size == sizeof(float) ? m.size : kFast;
  expect(std::int64_t(m.begin() % std::uintptr_t(unit)) == 0 && m.stride * m.size % unit == 0,
         name + " or its stride is not aligned to " + std::to_string(unit) + " bytes");
  emulation::Memory::current().expect_own(m.data, m.bytes(), ("matrix product: " + name).c_str());
}

/// Whether a number of one may be a number of the other. Columns of the same rows may be apart.
bool overlap(const Operand& a, const Operand& b) {
  if (a.begin() >= b.begin() + b.bytes() || b.begin() >= a.begin() + a.bytes()) return false;
  if (a.begin() > b.begin()) return overlap(b, a);
  const auto pitch = std::uintptr_t(a.stride * a.size), between = (b.begin() - a.begin()) % pitch;
  const bool apart = b.stride * b.size == a.stride * a.size &&
                     between >= std::uintptr_t(a.cols * a.size) &&
                     pitch - between >= std::uintptr_t(b.cols * b.size);
  return !apart;
}

void check(const Product& p) {
  const std::int64_t size = p.bf16 ? sizeof(std::uint16_t) : sizeof(float);
  const Operand x{"x", p.x, p.rows, p.in, p.x_stride, size},
      w{"w", p.w, p.out, p.in, p.w_stride, size},
      y{"y", p.y, p.rows, p.out, p.y_stride, sizeof(float)};
  for (const Operand& m : {x, w, y}) expect_fit(m);
  expect(!overlap(x, y) && !overlap(w, y), "y overlaps x or w, which are read while it is written");
}

void multiply_now(const Product& p) {
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
      if (p.accumulate) sum += *y;
      *y = apply(p.function, sum + (p.bias != nullptr ? p.bias[o] : 0.0f));
    }
  }
}

}  // namespace

void multiply(Session& session, const Product& p) {
  check(p);
  emulation::submit(session, [p] { multiply_now(p); });
}

}  // namespace chiasm::device
