#pragma once
/// What SmolVLM and its search head share.
#include "core/json.h"
#include "vision/siglip.h"

namespace chiasm {

/// `vision_config` of a smolvlm or idefics3 config.json.
vision::SiglipConfig smolvlm_vision_config(const Json& config);

}  // namespace chiasm
