#include "runtime/prefix_cache.h"

#include <algorithm>
#include <utility>

namespace chiasm {

namespace {

std::int64_t common_prefix(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
  const auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return end.first - a.begin();
}

}  // namespace

language::SequenceState PrefixCache::take(language::KvPages& pages,
                                          std::span<const std::uint64_t> keys, std::int64_t most) {
  auto best = entries_.end();
  std::int64_t length = 0;
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    const std::int64_t shared = it->state.shareable(std::min(common_prefix(it->keys, keys), most));
    if (shared > length) {
      length = shared;
      best = it;
    }
  }
  if (best == entries_.end()) return language::SequenceState(pages);
  entries_.splice(entries_.begin(), entries_, best);
  return best->state.fork(length);
}

void PrefixCache::put(std::vector<std::uint64_t> keys, language::SequenceState state) {
  // An entry that this one continues would never be the longer match again.
  std::erase_if(entries_, [&](const Entry& e) {
    return common_prefix(e.keys, keys) == std::int64_t(e.keys.size());
  });
  entries_.push_front({std::move(keys), std::move(state)});
  if (entries_.size() > limit_) entries_.pop_back();
}

bool PrefixCache::forget_one() {
  if (entries_.empty()) return false;
  entries_.pop_back();
  return true;
}

}  // namespace chiasm
