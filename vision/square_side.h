#pragma once
/// A side in pixels as the vision configs write it.
#include <cstdint>
#include <string_view>

#include "core/json.h"

namespace chiasm::vision {

/// One number, or two equal ones. ModelError for two that differ.
std::int64_t square_side(const Json& config, std::string_view key, std::int64_t otherwise);

}  // namespace chiasm::vision
