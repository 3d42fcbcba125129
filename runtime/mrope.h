#pragma once
/// Positions along time, height and width.
#include "runtime/prompt.h"

namespace chiasm {

/// Positions [3][rows] of a prompt whose media are grids (MediumLayout::grid): words count on along
/// all axes at once; a medium's rows stand where their grid says, from the next position on, and
/// the words after it go on behind the larger of its sides, even where its time reaches further.
/// Without media: nothing. Source: Wang et al., 2024, arXiv:2409.12191; transformers' Qwen2VLModel,
/// Qwen2_5_VLModel and Qwen3VLModel, get_rope_index.
Arrangement grid_positions(const Prompt& prompt);

}  // namespace chiasm
