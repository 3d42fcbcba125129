#pragma once
/// What SmolVLM, its search head and its prompts of videos share.
#include <cstdint>
#include <string>

#include "core/json.h"
#include "vision/siglip.h"
#include "vision/video_sampler.h"

namespace chiasm {

/// `vision_config` of a smolvlm or idefics3 config.json.
vision::SiglipConfig smolvlm_vision_config(const Json& config);

/// What a video becomes in a prompt: how many frames and how long it is, then the time of each
/// frame and `frame`, the text that stands for a picture's only tile.
/// Source: transformers' SmolVLMProcessor.replace_video_token.
std::string smolvlm_video_text(const vision::TakenFrames& video, const std::string& frame);

/// 0 to 999,999 in English words, as the Python package num2words writes them ("one hundred and
/// twenty-three").
std::string number_words(std::int64_t number);

}  // namespace chiasm
