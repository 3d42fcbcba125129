#include "kernels/sequence_facts.h"

#include <algorithm>
#include <bit>

namespace chiasm::kernels {

namespace {

using device::Mask;
using device::SequenceFacts;

/// A row's keys, and how many it would see up to its own place.
struct Seen {
  std::int64_t first, last, keys, up_to_itself;
};

/// Whether `holds` is true of every row.
template <class Holds>
bool all_rows(std::span<const AttentionSequence> sequences, std::span<const std::int32_t> first_key,
              std::span<const std::int32_t> last_key, Holds&& holds) {
  for (const AttentionSequence& s : sequences) {
    for (std::int64_t i = 0; i < s.q_count; i++) {
      const auto row = std::size_t(s.q_begin + i);
      if (!holds(Seen{first_key[row], last_key[row], s.key_count, s.key_count - s.q_count + i + 1}))
        return false;
    }
  }
  return true;
}

/// Whether each has most_rows rows and as many keys as the first, behind those of the one before.
bool even(std::span<const AttentionSequence> sequences, std::int64_t most_rows) {
  const AttentionSequence& begin = sequences.front();
  for (std::size_t i = 0; i < sequences.size(); i++) {
    const AttentionSequence& s = sequences[i];
    if (s.q_count != most_rows || s.key_count != begin.key_count ||
        s.q_begin != begin.q_begin + std::int64_t(i) * most_rows ||
        s.k_begin != begin.k_begin + std::int64_t(i) * begin.key_count) {
      return false;
    }
  }
  return begin.q_begin == 0 && begin.k_begin == 0;
}

}  // namespace

SequenceFacts sequence_facts(std::span<const AttentionSequence> sequences,
                             std::span<const std::int32_t> first_key,
                             std::span<const std::int32_t> last_key,
                             std::span<const std::int32_t> pages) {
  SequenceFacts facts;
  for (const AttentionSequence& s : sequences) {
    facts.most_rows = std::max(facts.most_rows, s.q_count);
  }
  if (facts.most_rows <= 1) return {};
  facts.count = std::int64_t(sequences.size());
  if (even(sequences, facts.most_rows)) facts.even_keys = sequences.front().key_count;
  if (!pages.empty()) {  // a power of two: a library makes a plan for each number
    facts.page_count = std::int64_t(std::bit_ceil(std::uint64_t(std::ranges::max(pages)) + 1));
  }
  const auto all = [&](auto&& holds) { return all_rows(sequences, first_key, last_key, holds); };
  if (all([](const Seen& s) { return s.first == 0 && s.last == s.keys && s.keys > 0; })) {
    facts.mask = Mask::full;
    return facts;
  }
  std::int64_t window = 0;
  for (std::size_t row = 0; row < first_key.size() && window == 0; row++) {
    if (first_key[row] > 0) window = last_key[row] - first_key[row];
  }
  if (all([&](const Seen& s) {
        const std::int64_t first = window > 0 ? std::max<std::int64_t>(s.last - window, 0) : 0;
        return s.last == s.up_to_itself && s.first == first && s.first < s.last;
      })) {
    facts.mask = Mask::causal;
    facts.window = window;
  }
  return facts;
}

}  // namespace chiasm::kernels
