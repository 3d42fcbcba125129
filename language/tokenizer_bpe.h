#pragma once
/// Byte-pair encoding: Sennrich et al., 2016, arXiv:1508.07909, as the `tokenizers` library does
/// it.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/json.h"
#include "language/vocabulary.h"

namespace chiasm::language {

/// A vocabulary and its merges. Immutable but for marks right after construction; not copyable.
class Bpe {
 public:
  /// Reads the "model" object. ModelError names what is inconsistent or not supported.
  explicit Bpe(const Json& json);

  /// What encoding many words needs between them; one object serves one thread.
  struct Scratch {
    struct Symbol {
      std::int32_t id;
      std::int32_t previous, next;  // positions; -1: none
      bool alive;
    };
    struct Candidate {
      std::int32_t rank, position, result;
      bool operator<(const Candidate& o) const {  // std::push_heap puts the largest first
        return rank != o.rank ? rank > o.rank : position > o.position;
      }
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
    std::unordered_map<std::string, std::vector<std::int32_t>> known;
    bool trusted = true;  // whether merges may lead to structure; constant while words are known

    void trust(bool value);
  };

  /// Appends the ids of one word of the pre-tokenizer. Time is n log n in its length.
  void encode(std::string_view word, Scratch& scratch, std::vector<std::int32_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  Vocabulary& vocabulary() { return vocabulary_; }

 private:
  struct Merge {
    std::uint64_t pair;  // left id << 32 | right id
    std::int32_t rank, result;
  };

  void read_merges(const Json& json);
  void insert_merge(const Merge& merge);
  const Merge* merge_of(std::int32_t left, std::int32_t right, bool trusted) const;
  std::optional<std::int32_t> find(std::string_view token) const { return vocabulary_.find(token); }
  void split_characters(std::string_view word, Scratch& scratch) const;
  bool append_fallback(std::string_view character, Scratch& scratch) const;
  void merge_all(Scratch& scratch) const;
  void propose(std::int32_t position, Scratch& scratch) const;

  Vocabulary vocabulary_;
  std::vector<Merge> merges_;  // open addressing; rank < 0: free
  std::string suffix_;         // of tokens that end a word
  std::array<std::int32_t, 256> byte_ids_{};
  std::optional<std::int32_t> unknown_;
  bool fuse_unknown_ = false, byte_fallback_ = false, ignore_merges_ = false;
};

}  // namespace chiasm::language
