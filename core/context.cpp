#include "core/context.h"

#include "core/staged.h"

namespace chiasm {

void Context::show(std::string_view stage, TensorView<const float> values) const {
  if (tap == nullptr) return;
  if (device == nullptr || !device->owns(values.data())) return (*tap)(stage, values);
  Tensor copy = float_tensor({values.rows(), values.cols()});
  download(*device, values, copy.view<float>());
  (*tap)(stage, TensorView<const float>(copy.view<float>().data(), values.shape(), values.name()));
}

}  // namespace chiasm
