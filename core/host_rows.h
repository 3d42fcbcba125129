#pragma once
/// Rows that the host computes and operators then read.
#include <vector>

#include "core/staged.h"

namespace chiasm {

/// `rows` to be written by the host: themselves on the CPU; on a device memory beside them, which
/// `send` copies there.
class HostRows {
 public:
  HostRows(const Context& ctx, TensorView<float> rows) : device_(ctx.device), rows_(rows) {
    if (device_ != nullptr) memory_.resize(std::size_t(rows.shape().count()));
  }
  TensorView<float> view() {
    return device_ == nullptr ? rows_ : TensorView<float>(memory_.data(), rows_.shape());
  }
  void send() {
    if (device_ != nullptr) upload(*device_, view(), rows_);
  }

 private:
  Device* device_;
  TensorView<float> rows_;
  std::vector<float> memory_;
};

}  // namespace chiasm
