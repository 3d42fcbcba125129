#pragma once
/// A second, smaller model that guesses how answers go on (speculative decoding: Leviathan et al.,
/// 2023, arXiv:2211.17192; Chen et al., 2023, arXiv:2302.01318). What it guesses is checked by the
/// engine as other guesses are, so it decides about nothing but the speed.
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/arena.h"
#include "language/kv_cache.h"
#include "runtime/loader.h"
#include "runtime/prefix_cache.h"
#include "runtime/sequence.h"

namespace chiasm {

/// How far the draft has followed a sequence. It reads the words alone: of pictures, videos and
/// sounds it knows nothing, which costs few right guesses (Gagrani et al., 2024, arXiv:2404.08856).
struct Drafted {
  language::SequenceState kv;
  std::vector<std::int32_t> text = {};  // of the sequence, without the rows of media
  std::vector<std::int32_t> fed = {};   // whose keys and values are in: of `text`, then of guesses
  std::vector<bool> is_medium = {};     // [rows of the prompt]
  std::int64_t told = 0;                // rows of the sequence that `text` is of
  std::int64_t dropped = 0;             // as Sequence::dropped was
  bool is_long = false;                 // as Sequence::is_long, for the draft's own turns
  bool unknown = false;                 // there are tokens that the draft has no rows for
};

/// Owned by the engine's loop. It holds keys and values of its own, for as many tokens as its own
/// model would; a sequence that finds no room there is not guessed ahead.
class Draft {
 public:
  /// Runs `model` with the pool of `ctx`. RequestError where its tokens are not those of `target`,
  /// or where it cannot take guesses back.
  Draft(LoadedModel model, const language::Tokenizer& target, std::int64_t target_vocab,
        const Context& ctx);

  struct Wanted {
    Sequence* sequence;  // one that decodes, without guesses
    std::int64_t most;   // guesses, at least 1
  };
  /// The token after an answer and Sequence::guesses, from the draft's logits; none: it ends there.
  using Choose = std::function<std::optional<std::int32_t>(const Sequence&, std::span<float>)>;
  /// Guesses for all of them, in common batches. A long prompt is read some hundred rows a call;
  /// until then there are no guesses.
  void guess(std::span<const Wanted> wanted, const Choose& choose);
  /// The sequence has ended: what was computed of it is kept for such as begin the same.
  void end(Sequence& sequence);

  /// Of the weights, and of what it keeps and uses for an answer to a prompt.
  std::int64_t weight_bytes() const { return std::int64_t(model_.family->weight_bytes()); }
  std::int64_t request_bytes(const Sequence& sequence, std::int64_t most) const;
  const std::string& path() const { return model_.info.path; }

 private:
  const language::Decoder& decoder() const { return model_.family->decoder(); }
  bool follow(Sequence& sequence, std::int64_t most, std::int64_t& promised);
  bool read(Sequence& sequence);
  std::vector<bool> feed(std::span<const Wanted> active, std::int64_t& budget,
                         const Choose& choose);
  std::size_t step_bytes(std::int64_t rows) const;

  LoadedModel model_;
  Context ctx_;
  std::int64_t vocab_;  // ids that both have rows for
  language::KvPages pages_;
  PrefixCache prefixes_;
  Arena arena_;
};

/// RequestError unless ids stand for the same tokens in both, as far as each has any.
void check_same_vocabulary(const language::Tokenizer& target, const language::Tokenizer& draft);

}  // namespace chiasm
