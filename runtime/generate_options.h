#pragma once
/// What settings of a request make sense.
#include <cstdint>

#include "runtime/request.h"

namespace chiasm {

/// RequestError for a setting that is out of range, or that does not go together with another.
void check_options(const GenerateOptions& options, std::int64_t vocab_size);

}  // namespace chiasm
