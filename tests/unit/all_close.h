#pragma once
/// Comparators of float arrays. NaN never passes unless it was expected bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>

namespace chiasm::testing {

/// Success when |got - want| <= bound(i) for every i; a bound may depend on the element.
inline ::testing::AssertionResult all_close(std::span<const float> got, std::span<const float> want,
                                            const std::function<double(std::size_t)>& bound) {
  if (got.size() != want.size()) {
    return ::testing::AssertionFailure() << got.size() << " values, want " << want.size();
  }
  for (std::size_t i = 0; i < got.size(); i++) {
    const double error = std::fabs(double(got[i]) - double(want[i])), limit = bound(i);
    // Equal infinities pass, an infinite error never; NaN fails: no comparison with it is true.
    if (got[i] == want[i] || (std::isfinite(error) && error <= limit)) continue;
    return ::testing::AssertionFailure()
           << "at " << i << " of " << got.size() << ": got " << got[i] << ", want " << want[i]
           << ", error " << error << ", bound " << limit;
  }
  return ::testing::AssertionSuccess();
}

/// Success when |got - want| <= relative * |want| + absolute everywhere.
inline ::testing::AssertionResult all_close(std::span<const float> got, std::span<const float> want,
                                            double relative, double absolute) {
  return all_close(got, want,
                   [&](std::size_t i) { return relative * std::fabs(double(want[i])) + absolute; });
}

/// Success when every bit agrees.
inline ::testing::AssertionResult bit_equal(std::span<const float> got,
                                            std::span<const float> want) {
  if (got.size() != want.size()) {
    return ::testing::AssertionFailure() << got.size() << " values, want " << want.size();
  }
  for (std::size_t i = 0; i < got.size(); i++) {
    std::uint32_t g = 0, w = 0;
    std::memcpy(&g, &got[i], sizeof g);
    std::memcpy(&w, &want[i], sizeof w);
    if (g != w) {
      return ::testing::AssertionFailure()
             << "at " << i << " of " << got.size() << ": got " << got[i] << " (0x" << std::hex << g
             << "), want " << want[i] << " (0x" << w << ")";
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace chiasm::testing
