#pragma once
/// What a config.json's `quantization_config` says of weights that others have quantized.
#include <string>

#include "core/json.h"

namespace chiasm {

/// "gptq" or "awq" where the weights are theirs and can be read (kernels/grouped.h), else "".
/// ModelError for other bits than 4 and other packings of these two.
std::string weight_quantization(const Json& config);

}  // namespace chiasm
