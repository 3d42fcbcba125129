#include "core/staged.h"

#include <algorithm>
#include <vector>

namespace chiasm {

namespace {

/// Calls copy(row, rows, bytes) for stretches of rows that lie without gaps on both sides.
template <class Copy>
void in_stretches(TensorView<const float> a, TensorView<const float> b, const Copy& copy) {
  a.expect(b.shape());
  const std::size_t row_bytes = std::size_t(a.cols()) * sizeof(float);
  if (a.shape().count() == 0) return;
  if (a.contiguous() && b.contiguous()) return copy(0, row_bytes * std::size_t(a.rows()));
  for (std::int64_t r = 0; r < a.rows(); r++) copy(r, row_bytes);
}

template <class T>
auto* bytes(T* p) {
  using Byte = std::conditional_t<std::is_const_v<T>, const std::byte, std::byte>;
  return reinterpret_cast<Byte*>(p);
}

}  // namespace

void upload(Device& device, TensorView<const float> host, TensorView<float> rows) {
  in_stretches(host, rows, [&](std::int64_t r, std::size_t count) {
    device.upload(bytes(rows.row(r)), {bytes(host.row(r)), count});
  });
}

void download(Device& device, TensorView<const float> rows, TensorView<float> host) {
  in_stretches(rows, host, [&](std::int64_t r, std::size_t count) {
    device.download({bytes(host.row(r)), count}, bytes(rows.row(r)));
  });
}

void clear(const Context& ctx, TensorView<float> rows) {
  if (ctx.device != nullptr) {
    const std::vector<float> zeros(std::size_t(rows.shape().count()), 0.0f);
    return upload(*ctx.device, {zeros.data(), rows.shape()}, rows);
  }
  for (std::int64_t r = 0; r < rows.rows(); r++) std::fill_n(rows.row(r), rows.cols(), 0.0f);
}

}  // namespace chiasm
