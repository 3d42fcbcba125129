#pragma once
/// Guesses from what stands in a text already: documents are quoted, code and tables repeat.
#include <cstdint>
#include <span>
#include <vector>

namespace chiasm {

/// At most `most` tokens that followed the latest earlier place in `text` where its last three
/// tokens stand, or its last two; empty where there is none.
/// Source: prompt lookup decoding (Saxena, 2023, github.com/apoorvumang/prompt-lookup-decoding).
std::vector<std::int32_t> look_up(std::span<const std::int32_t> text, std::int64_t most);

}  // namespace chiasm
