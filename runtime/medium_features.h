#pragma once
/// Encoding a medium on the calling thread, beside the engine.
#include <cstdint>

#include "runtime/prompt.h"

namespace chiasm {

/// The features of a placed medium, [tokens, feature_width()]: prepared, encoded in calls of about
/// `patches_per_step` patches and assembled, with the bits that the engine gives them. MediaError,
/// Interrupted.
Tensor medium_features(const Family& family, const Context& ctx, const PlacedMedium& medium,
                       const AllLimits& limits, std::int64_t patches_per_step);

}  // namespace chiasm
