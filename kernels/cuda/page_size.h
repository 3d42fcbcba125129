#pragma once
#include <cstdint>

namespace chiasm::device {

/// Keys that a page of the cache holds, as kernels/attention.h has it.
inline constexpr std::int64_t kPageTokens = 64;

}  // namespace chiasm::device
