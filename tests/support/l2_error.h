#pragma once
/// How far numbers are from those that are wanted.
#include <cmath>
#include <limits>
#include <span>

#include "core/tensor.h"

namespace chiasm::testing {

/// |got - want| / |want| in L2; infinite for another number of them.
inline double l2_error(std::span<const float> got, std::span<const float> want) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < want.size(); i++) {
    difference += std::pow(double(got[i]) - double(want[i]), 2);
    norm += std::pow(double(want[i]), 2);
  }
  return std::sqrt(difference / norm);
}

inline double l2_error(const Tensor& got, const Tensor& want) {
  const auto numbers = [](const Tensor& t) {
    const auto view = t.view<float>();
    return std::span(view.data(), std::size_t(view.shape().count()));
  };
  return l2_error(numbers(got), numbers(want));
}

}  // namespace chiasm::testing
