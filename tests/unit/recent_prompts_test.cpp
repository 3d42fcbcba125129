// Which engine a prompt's beginning and pictures are likely to be at hand in.
#include "runtime/recent_prompts.h"

#include <gtest/gtest.h>

namespace chiasm {
namespace {

/// `tokens` of text, those from `changed` on unlike those of other prompts.
Prompt text(std::int64_t tokens, std::int64_t changed = 1 << 20, std::int32_t by = 0) {
  Prompt prompt;
  for (std::int64_t i = 0; i < tokens; i++) {
    prompt.ids.push_back(std::int32_t(i) + (i >= changed ? by : 0));
    prompt.keys.push_back(token_key(prompt.ids.back()));
  }
  return prompt;
}

/// Shows a picture at rows [first, first + tokens), which its keys say too.
void show(Prompt& prompt, std::uint64_t picture, std::int64_t first, std::int64_t tokens) {
  PlacedMedium& medium = prompt.media.emplace_back();
  medium.hash = {picture, picture};
  medium.layout.tokens = tokens;
  for (std::int64_t i = first; i < first + tokens; i++) {
    medium.rows.push_back(std::int32_t(i));
    prompt.keys[std::size_t(i)] = mix64(picture + std::uint64_t(i));
  }
}

TEST(RecentPrompts, CountsWholePagesOfACommonBeginning) {
  RecentPrompts recent(4);
  EXPECT_EQ(recent.known_tokens(marks_of(text(300))), 0);
  recent.add(marks_of(text(200)));
  EXPECT_EQ(recent.known_tokens(marks_of(text(300))), 192);
  EXPECT_EQ(recent.known_tokens(marks_of(text(300, 130, 7))), 128);
  EXPECT_EQ(recent.known_tokens(marks_of(text(300, 63, 7))), 0);
  EXPECT_EQ(recent.known_tokens(marks_of(text(60))), 0);
}

TEST(RecentPrompts, CountsPicturesThatWereShownElsewhere) {
  RecentPrompts recent(4);
  Prompt before = text(100), again = text(400, 0, 9), both = text(400);
  show(before, 5, 10, 30);
  recent.add(marks_of(before));
  show(again, 5, 300, 30);
  show(again, 6, 340, 30);
  EXPECT_EQ(recent.known_tokens(marks_of(again)), 30);
  // Within the common beginning its keys and values are at hand, and it is not counted twice.
  show(both, 5, 10, 30);
  EXPECT_EQ(recent.known_tokens(marks_of(both)), 64);
}

TEST(RecentPrompts, KeepsTheLatestAndForgetsWhatIsContinued) {
  RecentPrompts recent(2);
  recent.add(marks_of(text(128)));
  recent.add(marks_of(text(256)));  // goes on from the first, which needs no place of its own
  recent.add(marks_of(text(256, 0, 5)));
  EXPECT_EQ(recent.known_tokens(marks_of(text(256))), 256);
  recent.add(marks_of(text(256, 0, 6)));
  EXPECT_EQ(recent.known_tokens(marks_of(text(256))), 0);
  EXPECT_EQ(recent.known_tokens(marks_of(text(256, 0, 5))), 256);
}

}  // namespace
}  // namespace chiasm
