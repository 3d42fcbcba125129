#pragma once
/// Pages of the KV cache, counted.
#include <cstdint>

#include "kernels/attention.h"

namespace chiasm::kernels {

/// How many pages so many tokens fill, the last one perhaps in part.
constexpr std::int64_t pages_for(std::int64_t tokens) {
  return (tokens + kPageTokens - 1) / kPageTokens;
}

}  // namespace chiasm::kernels
