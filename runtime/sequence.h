#pragma once
/// One request on its way through the engine.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/sample.h"
#include "language/decoder_cross.h"
#include "language/kv_cache.h"
#include "runtime/beam_search.h"
#include "runtime/encoder_cache.h"
#include "runtime/lora.h"
#include "runtime/prompt.h"
#include "runtime/request.h"
#include "runtime/text_stream.h"

namespace chiasm {

/// A medium being encoded. Its features stay until its prompt rows have been prefilled.
struct EncodingMedium {
  std::size_t index = 0;                      // in Prompt::media
  std::optional<Prepared> prepared;           // a picture
  std::optional<audio::PreparedSound> sound;  // or a sound
  std::int64_t pieces_done = 0, rows_done = 0;
  Tensor features;                     // [rows of all pieces, feature_width]
  std::shared_ptr<const Tensor> rows;  // [tokens, feature_width], once ready
  bool ready = false;
};

struct Sequence;
struct Drafted;  // draft.h

/// The beams of one request. Each is a sequence of its own in the engine's batches; they wait for
/// one another and go on together.
struct Beams {
  BeamSearch search;
  Sequence* leader;  // the caller's; always the first of `running`
  std::vector<Sequence*> running;
  std::size_t proposed = 0;  // of these, such as have named their continuations in this step
  std::vector<BeamCandidate> candidates;  // the continuations
};

/// Owned jointly by the caller that waits and the engine that works on it. The engine's loop alone
/// touches everything but the fields marked shared.
struct Sequence {
  // Set once by the caller.
  Prompt prompt;
  GenerateOptions options;
  std::uint64_t seed = 0;
  std::int64_t first_logits = 0;  // prompt rows from here on need logits
  /// Where set, nothing is generated: it receives (prompt row, logits [vocab]) of the rows from
  /// first_logits on, and the sequence ends with its prompt.
  std::function<void(std::int64_t, std::span<const float>)> on_logits;
  /// The same for the decoder's rows [hidden] after its last norm; no logits are made then.
  std::function<void(std::int64_t, std::span<const float>)> on_rows;
  /// Where set, has a say in the logits of the next token after `tokens`, once what the model
  /// never says is ruled out.
  std::function<void(std::span<const std::int32_t> tokens, std::span<float> logits)> adjust;
  /// What the decoder's cross-attention looks at. Where the caller sets it, from an earlier
  /// sequence, the prompt's sound is not encoded again.
  std::shared_ptr<const language::CrossMemory> cross;

  /// Other answers to the same prompt: they go on from its keys, values and last logits. The
  /// caller waits for them too.
  std::vector<std::shared_ptr<Sequence>> followers;
  std::shared_ptr<const Lora> adapter;  // that its rows go through; null: none
  TokenMask mask;                       // where set, says which tokens may follow
  std::shared_ptr<Beams> beams;         // the search that it is a part of; null: none

  // The loop's.
  std::optional<language::SequenceState> state;
  std::int64_t prefilled = 0;  // rows whose keys and values are in
  /// First tokens of the answer that do not stand behind the prompt: the context has forgotten
  /// them, or they stand at the prompt's end (see is_long).
  std::int64_t dropped = 0;
  /// Whether its rows are turned as those of long sequences (longrope). Once an answer outgrows
  /// the short ones, what it has said becomes the end of its prompt.
  bool is_long = false;
  std::vector<EncodingMedium> media;
  std::vector<std::int32_t> tokens;  // sampled, the one being fed included
  // How this step supposes them to go on, and how many of these proved right.
  std::vector<std::int32_t> guesses;
  std::int64_t accepted = 0;
  std::shared_ptr<Drafted> drafted;  // how far the draft model has followed it; null: not at all
  std::vector<std::int32_t> seen;    // distinct ids, for the repetition penalty
  float score = 0;                   // of a beam: the log-probability of `tokens`
  std::optional<TextStream> stream;
  Result result;

  // Shared, guarded by the engine's mutex.
  std::string pending;  // text not yet taken by the caller
  std::exception_ptr error;
  bool done = false;
  std::atomic<bool> cancelled = false;

  std::int64_t prompt_length() const { return std::int64_t(prompt.ids.size()); }
  /// Tokens whose keys and values the sequence may come to hold.
  std::int64_t longest(std::int64_t max_context) const {
    if (ends_here()) return prompt_length();
    const std::int64_t all = prompt_length() + options.max_tokens;
    const bool may_slide = options.slide && prompt_length() < max_context;
    return may_slide ? std::min(all, max_context) : all - dropped;
  }
  /// Rows of the prompt and of the answer's tokens behind it.
  std::int64_t rows() const { return prompt_length() + std::int64_t(tokens.size()) - dropped; }
  std::int32_t id_of(std::int64_t row) const {
    if (row < prompt_length()) return prompt.ids[std::size_t(row)];
    if (row >= rows()) return guesses[std::size_t(row - rows())];
    return tokens[std::size_t(dropped + row - prompt_length())];
  }
  /// Adds a token to the answer.
  void say(std::int32_t token) {
    tokens.push_back(token);
    if (options.repetition_penalty == 1) return;
    const auto at = std::ranges::lower_bound(seen, token);
    if (at == seen.end() || *at != token) seen.insert(at, token);
  }
  /// Answers that it may yet become, itself among them: each holds keys and values of its own.
  std::int64_t branches() const {
    const std::int64_t beams_there = beams ? std::int64_t(beams->running.size()) - 1 : 0;
    const bool leads = !beams || beams->leader == this;
    return leads ? options.num_beams - beams_there + std::int64_t(followers.size()) : 1;
  }
  kernels::SampleOptions sampling() const {
    return {float(options.temperature), std::int32_t(options.top_k), options.top_p,
            float(options.min_p), seed};
  }
  /// Whether the sequence ends with its prompt.
  bool ends_here() const { return on_logits || on_rows; }
  /// The adapter that its media's encoding goes through; null: none.
  const Lora* encoder_adapter() const {
    return adapter && adapter->changes_encoder ? adapter.get() : nullptr;
  }
  /// What the encoder cache knows a medium of the prompt by.
  EncoderCache::Key cache_key(const PlacedMedium& medium) const {
    EncoderCache::Key key{medium.hash, medium.layout.tokens};
    if (const Lora* lora = encoder_adapter()) {
      key.hash.high ^= lora->content.high;
      key.hash.low ^= lora->content.low;
    }
    return key;
  }
  /// Whether its last token is all that is to be computed.
  bool decoding() const { return prefilled >= prompt_length() && rows() == prefilled + 1; }
};

/// Has the engine write all rows of a prompt into `out` [tokens, hidden], which outlives it.
inline void collect_rows(Sequence& s, TensorView<float> out) {
  s.first_logits = 0;
  s.on_rows = [out](std::int64_t row, std::span<const float> values) {
    std::ranges::copy(values, out.row(row));
  };
}

}  // namespace chiasm
