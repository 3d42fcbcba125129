#pragma once
/// Keys and values of finished sequences, for prompts that begin the same way (a chat's next turn).
#include <cstdint>
#include <list>
#include <span>
#include <vector>

#include "language/kv_cache.h"

namespace chiasm {

/// Remembers the latest sequences, each with the keys of its tokens (see Prompt::keys), and shares
/// their pages. Gives up the least recently used first. Owned by the engine's loop.
class PrefixCache {
 public:
  explicit PrefixCache(std::size_t sequences) : limit_(sequences) {}

  /// A sequence holding the longest remembered prefix of `keys` of at most `most` tokens; its
  /// length says how many. `pages` is used for an empty one.
  language::SequenceState take(language::KvPages& pages, std::span<const std::uint64_t> keys,
                               std::int64_t most);
  /// Remembers a sequence; `keys` are of its tokens, one each.
  void put(std::vector<std::uint64_t> keys, language::SequenceState state);
  /// Forgets the least recently used sequence; false when there is none.
  bool forget_one();
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    std::vector<std::uint64_t> keys;
    language::SequenceState state;
  };
  std::size_t limit_;
  std::list<Entry> entries_;  // most recently used first
};

}  // namespace chiasm
