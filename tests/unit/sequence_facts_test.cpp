// What a library's attention is told of a call's sequences.
#include "kernels/sequence_facts.h"

#include <gtest/gtest.h>

#include "tests/support/attention_problem.h"

namespace chiasm::kernels {
namespace {

using device::Mask;
using device::SequenceFacts;

SequenceFacts facts_of(std::vector<Request> requests, std::vector<std::int32_t> pages = {}) {
  const Problem p = make(shape_of(1, 1, 8), std::move(requests));
  return sequence_facts(sequences(p), p.first, p.last, pages);
}

TEST(SequenceFacts, NamesMasksThatAllRowsShare) {
  EXPECT_EQ(facts_of({full(4, 7), full(1, 3)}).mask, Mask::full);
  EXPECT_EQ(facts_of({causal(4, 7), causal(3, 3)}).mask, Mask::causal);
  // A row alone sees all of its keys under either.
  EXPECT_EQ(facts_of({causal(4, 7), full(1, 3)}).mask, Mask::causal);
  EXPECT_EQ(facts_of({full(4, 7), causal(1, 3)}).mask, Mask::full);
  EXPECT_EQ(facts_of({full(4, 7), causal(2, 3)}).mask, Mask::by_row);
  EXPECT_EQ(facts_of({prefix(9, 4)}).mask, Mask::by_row);
  EXPECT_EQ(facts_of({ragged(9, 20, 7)}).mask, Mask::by_row);
}

TEST(SequenceFacts, TellsAWindowThatAllRowsShare) {
  EXPECT_EQ(facts_of({causal(4, 7)}).window, 0);
  const SequenceFacts both = facts_of({window(6, 9, 4), window(5, 5, 4)});
  EXPECT_EQ(both.mask, Mask::causal);
  EXPECT_EQ(both.window, 4);
  EXPECT_EQ(facts_of({window(6, 9, 4), window(6, 9, 3)}).mask, Mask::by_row);
  // The first sequence is too long for what its rows see.
  EXPECT_EQ(facts_of({causal(6, 9), window(6, 9, 4)}).mask, Mask::by_row);
}

TEST(SequenceFacts, RowsWithoutKeysFitNoMask) {
  EXPECT_EQ(facts_of({full(4, 7), full(3, 0)}).mask, Mask::by_row);
  EXPECT_EQ(facts_of({causal(4, 3)}).mask, Mask::by_row);  // the first of its rows sees none
}

TEST(SequenceFacts, SaysWhetherSequencesAreAlike) {
  const SequenceFacts alike = facts_of({full(4, 7), full(4, 7), full(4, 7)});
  EXPECT_EQ(alike.count, 3);
  EXPECT_EQ(alike.most_rows, 4);
  EXPECT_EQ(alike.even_keys, 7);
  EXPECT_EQ(facts_of({full(4, 7), full(4, 6)}).even_keys, 0);
  EXPECT_EQ(facts_of({full(4, 7), full(3, 7)}).even_keys, 0);
  EXPECT_EQ(facts_of({full(4, 7), full(5, 7)}).most_rows, 5);
}

TEST(SequenceFacts, RoundsPagesUpAndKnowsNothingOfSteps) {
  EXPECT_EQ(facts_of({full(4, 7)}, {3, 0}).page_count, 4);
  EXPECT_EQ(facts_of({full(4, 7)}, {4}).page_count, 8);
  EXPECT_EQ(facts_of({full(4, 7)}).page_count, 0);
  EXPECT_EQ(facts_of({causal(1, 7), causal(1, 9)}, {3}), SequenceFacts());
}

}  // namespace
}  // namespace chiasm::kernels
