#include "runtime/engine.h"

#include <algorithm>
#include <utility>

#include "kernels/pages.h"
#include "runtime/draft.h"
#include "runtime/encoder_lane.h"
#include "runtime/encoder_store.h"

namespace chiasm {

namespace {

language::KvPages make_pages(const language::KvShape& shape, std::int64_t capacity,
                             const Context& ctx) {
  if (ctx.device != nullptr) return {shape, capacity, *ctx.device};
  return {shape, capacity};
}

std::unique_ptr<EncoderLane> make_lane(const Family& family, const Context& ctx,
                                       const EngineOptions& options) {
  if (options.encoder_device == nullptr) return nullptr;
  Context own = ctx;
  own.device = options.encoder_device;
  return std::make_unique<EncoderLane>(
      family, own,
      EncoderLaneOptions{options.patches_per_step, options.cross_dtype(), options.limits});
}

/// Keys of what a sequence holds. Those of long ones are others': their rows are turned otherwise.
std::vector<std::uint64_t> prefix_keys(const Sequence& s) {
  std::vector<std::uint64_t> keys = s.prompt.keys;
  for (std::size_t i = std::size_t(s.dropped); i < s.tokens.size(); i++) {
    keys.push_back(token_key(s.tokens[i]));
  }
  if (s.is_long) std::ranges::transform(keys, keys.begin(), mix64);
  return keys;
}

}  // namespace

Engine::Engine(const Family& family, const language::Tokenizer& tokenizer, const Context& ctx,
               EngineOptions options)
    : Engine(family, tokenizer, ctx, std::move(options), nullptr) {}

Engine::Engine(const Family& family, const language::Tokenizer& tokenizer, const Context& ctx,
               EngineOptions options, std::unique_ptr<Draft> draft)
    : family_(family),
      tokenizer_(tokenizer),
      ctx_(ctx),
      options_(std::move(options)),
      pages_(make_pages(family.decoder().kv_shape(options_.kv_dtype), options_.kv_pages, ctx)),
      prefixes_(options_.remembered_prefixes),
      encoded_(options_.encoder_cache_bytes),
      draft_(std::move(draft)),
      lane_(make_lane(family, ctx, options_)) {
  if (ctx.device != nullptr) drawn_.emplace(*ctx.device);
}

Engine::~Engine() = default;

EngineStats Engine::stats() const {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

void Engine::set_tap(Tap tap) {
  const std::scoped_lock lock(mutex_);
  tap_ = std::move(tap);
}

void Engine::set_profile(std::shared_ptr<Profile> profile) {
  const std::scoped_lock lock(mutex_);
  profile_ = std::move(profile);
}

void Engine::submit(std::span<const std::shared_ptr<Sequence>> sequences) {
  for (const auto& sequence : sequences) check(*sequence);
  const std::scoped_lock lock(mutex_);
  const std::int64_t queue = std::int64_t(incoming_.size()) + stats_.waiting;
  if (queue > 0 && queue + std::int64_t(sequences.size()) > options_.max_waiting) {
    fail<RequestError>("the queue is full: ", queue, " requests wait, at most ",
                       options_.max_waiting, " may; try again later");
  }
  incoming_.insert(incoming_.end(), sequences.begin(), sequences.end());
}

void Engine::check(const Sequence& sequence) const {
  check_ids(sequence.prompt.ids, family_.decoder().config().vocab_size);
  const std::int64_t longest = sequence.longest(options_.max_context);
  if (sequence.options.slide && longest < sequence.prompt_length() + sequence.options.max_tokens &&
      family_.decoder().kv_shape(options_.kv_dtype).fixed > 0) {
    fail<RequestError>(
        "the context of a decoder with a state of fixed size cannot slide: what it "
        "forgets cannot be told apart; lower max_tokens to ",
        options_.max_context - sequence.prompt_length());
  }
  if (longest > options_.max_context) {
    fail<RequestError>(
        "the prompt has ", sequence.prompt_length(), " tokens and max_tokens asks for ",
        longest - sequence.prompt_length(), " more, over the context of ", options_.max_context,
        "; shorten the prompt, lower max_tokens, let the context slide or load with a larger "
        "max_context");
  }
  const GenerateOptions& o = sequence.options;
  if (draft_ == nullptr && o.draft_tokens.value_or(0) > 0) {
    fail<RequestError>("draft_tokens is ", *o.draft_tokens,
                       ", but the model was loaded without a draft; load it with one, or leave "
                       "draft_tokens out");
  }
  const auto& rope = family_.decoder().config().rope;
  if (sequence.options.num_beams > 1 &&
      rope.is_long(sequence.prompt_length()) != rope.is_long(longest)) {
    fail<RequestError>("num_beams: the answer may reach where the model turns its rows otherwise (",
                       rope.short_length, " tokens), which a beam search cannot cross; lower ",
                       "max_tokens to ", rope.short_length - sequence.prompt_length());
  }
  if (most_pages(sequence) > options_.kv_pages) {
    fail<RequestError>("the request needs ", most_pages(sequence) * kernels::kPageTokens,
                       " tokens of KV cache, the model has ",
                       options_.kv_pages * kernels::kPageTokens);
  }
}

void Engine::cancel(Sequence& sequence) { sequence.cancelled = true; }

void Engine::wait(std::span<const std::shared_ptr<Sequence>> sequences, const OnChoice& on_text,
                  const Poll& poll, const OnDone& on_done) {
  bool stop = false;
  std::size_t told = 0;  // sequences that `on_done` knows of
  std::exception_ptr error;
  const Poll interrupted = [&] {
    if (!stop && poll && poll()) stop = true;
    return stop;
  };
  // After an error or an interruption the rest is cancelled but still waited for: the loop may be
  // using what the caller's stack holds.
  const auto cancel_all = [&] {
    for (const auto& sequence : sequences) cancel(*sequence);
  };
  std::unique_lock lock(mutex_);
  for (;;) {
    std::vector<std::pair<std::size_t, std::string>> texts;
    std::size_t done = 0;
    for (const auto& sequence : sequences) {
      done += sequence->done ? 1 : 0;
      if (sequence->error && !error) error = sequence->error;
    }
    for (std::size_t i = 0; on_text && i < sequences.size(); i++) {
      if (sequences[i]->pending.empty()) continue;
      texts.emplace_back(i, std::exchange(sequences[i]->pending, {}));
    }
    lock.unlock();
    try {
      for (const auto& [i, text] : texts) {
        if (!error && !stop && !on_text(i, text)) cancel_all();
      }
      if (on_done && !error && !stop && done > told) on_done(told = done);
      if (interrupted() && !error) {
        error = std::make_exception_ptr(Interrupted("interrupted by the caller"));
      }
    } catch (...) {
      if (!error) error = std::current_exception();
    }
    if (error) cancel_all();
    lock.lock();
    if (done == sequences.size()) break;
    if (driving_) {
      using namespace std::chrono_literals;
      changed_.wait_for(lock, 50ms);  // bounded, so that `poll` is heard
    } else {
      driving_ = true;
      lock.unlock();
      try {
        step(error ? Poll{} : interrupted);
      } catch (
          ...) {  // such as no memory for the loop itself; the sequences' own errors stay theirs
        if (!error) error = std::current_exception();
      }
      lock.lock();
      driving_ = false;
      changed_.notify_all();
    }
  }
  if (error) std::rethrow_exception(error);
}

void Engine::step(const Poll& interrupted) {
  {
    const std::scoped_lock lock(mutex_);
    waiting_.insert(waiting_.end(), incoming_.begin(), incoming_.end());
    incoming_.clear();
    tap_in_use_ = tap_;
    profile_in_use_ = profile_;
  }
  ctx_.profile = profile_in_use_.get();
  ctx_.tap = tap_in_use_ ? &tap_in_use_ : nullptr;
  drop_cancelled(waiting_);
  drop_cancelled(running_);
  save_features();
  if (!ahead_) {
    for (const auto& s : running_) {
      if (s->rows() > options_.max_context) slide(*s);
      if (outgrows(*s)) begin_again(*s);
    }
  }
  admit();
  encode_some(interrupted);
  guess();
  const bool ran = run_batch();
  if (!ran && lane_ && lane_->busy()) {
    using namespace std::chrono_literals;
    lane_->wait(5ms);  // bounded, so that new requests and `interrupted` are heard
  }
  std::erase_if(running_, [](const auto& s) { return s->done; });
  if (running_.empty()) save_features();
  const EncoderStore::Counts disk =
      options_.encoder_store ? options_.encoder_store->counts() : EncoderStore::Counts();
  const std::scoped_lock lock(mutex_);
  stats_ = {std::int64_t(waiting_.size()),
            std::int64_t(running_.size()),
            options_.kv_pages,
            options_.kv_pages - pages_.available(),
            encoded_.hits(),
            encoded_.misses() - disk.hits,
            std::int64_t(encoded_.bytes()),
            disk.hits,
            disk.writes,
            disk.failures,
            steps_ahead_};
}

/// Times a whole stage, and has the operators inside count for it.
Timed Engine::enter(std::string_view stage) const {
  if (ctx_.profile != nullptr) ctx_.profile->enter(stage);
  return Timed(ctx_.profile, "");
}

void Engine::drop_cancelled(List& list) {
  for (const auto& sequence : list) {
    if (sequence->cancelled) finish(*sequence, "cancelled");
  }
  std::erase_if(list, [](const auto& s) { return s->done; });
}

/// First come, first served among those of one priority: a large request is never overtaken for
/// ever by small ones.
void Engine::admit() {
  std::ranges::stable_sort(waiting_, {}, [](const auto& s) { return s->options.priority; });
  while (!waiting_.empty() && std::int64_t(running_.size()) < options_.max_batch) {
    const std::shared_ptr<Sequence> next = waiting_.front();
    while (!fits(*next) && prefixes_.forget_one()) {
    }
    if (!fits(*next)) return;
    waiting_.erase(waiting_.begin());
    try {
      start(*next);
      running_.push_back(next);
    } catch (...) {  // in neither list now, and somebody waits for it
      abandon(*next, std::current_exception());
    }
  }
}

/// Pages that a sequence may come to need with all that branch off it, which share those that its
/// prompt fills. For each one more: the last shared page is copied before it is written.
std::int64_t Engine::most_pages(const Sequence& s) const {
  const std::int64_t one = kernels::pages_for(s.longest(options_.max_context)) + 1;
  const std::int64_t shared = s.prompt_length() / kernels::kPageTokens;
  return one + (s.branches() - 1) * (one - shared);
}

/// Whether the pages that `sequence` may come to need are there besides those promised to others.
bool Engine::fits(const Sequence& sequence) const {
  std::int64_t promised = most_pages(sequence);
  for (const auto& other : running_) {
    promised += most_pages(*other) - std::int64_t(other->state->pages().size());
  }
  return promised <= pages_.available();
}

void Engine::start(Sequence& s) {
  s.is_long = family_.decoder().config().rope.is_long(s.prompt_length());
  // Keys and values of a decoder with an encoder depend on what it looked at.
  const bool reuse = !family_.decoder().has_cross();
  const std::int64_t reusable = reuse ? std::min(s.first_logits, s.prompt_length() - 1) : 0;
  s.state = prefixes_.take(pages_, prefix_keys(s), reusable);
  // What a span's rows leave behind depends on the whole span.
  if (const auto* span = s.prompt.span_across(s.state->length())) s.state->truncate(span->begin);
  s.prefilled = s.state->length();
  s.stream.emplace(tokenizer_, s.options.stop);
  s.result.usage.prompt_tokens = s.prompt_length();
  s.result.usage.image_tokens = s.prompt.image_tokens;
  s.result.usage.video_tokens = s.prompt.video_tokens;
  s.result.usage.audio_tokens = s.prompt.sound_tokens;
  s.result.usage.cached_tokens = s.prefilled;
  list_media(s);
  if (s.options.num_beams > 1) {
    s.beams = std::make_shared<Beams>(Beams{BeamSearch(s.options), &s, {&s}, 0, {}});
  }
  if (s.options.repetition_penalty != 1) {
    s.seen = s.prompt.ids;
    std::sort(s.seen.begin(), s.seen.end());
    s.seen.erase(std::unique(s.seen.begin(), s.seen.end()), s.seen.end());
  }
}

/// Which media are still to be encoded, and which features are there.
void Engine::list_media(Sequence& s) {
  for (std::size_t i = 0; i < s.prompt.media.size(); i++) {
    const PlacedMedium& medium = s.prompt.media[i];
    const bool taken = medium.rows.empty() ? s.cross != nullptr || !family_.decoder().has_cross()
                                           : medium.rows.back() < s.prefilled;
    if (taken) continue;
    s.media.emplace_back();
    s.media.back().index = i;
    if (medium.rows.empty() || medium.window) continue;  // features that no key stands for
    if (tap_in_use_) continue;                           // it hears every stage
    s.media.back().rows = find_features(s.cache_key(medium));
    s.media.back().ready = s.media.back().rows != nullptr;
  }
}

/// Whether the next token of an answer makes its sequence a long one, see RopeFrequencies.
bool Engine::outgrows(const Sequence& s) const {
  return s.decoding() && !s.is_long &&
         family_.decoder().config().rope.is_long(s.state->length() + 1);
}

/// Computes a sequence anew as a long one: what it has said is now the end of its prompt.
/// Source: Phi3ForCausalLM.prepare_inputs_for_generation of transformers.
void Engine::begin_again(Sequence& s) {
  s.is_long = true;
  s.dropped = std::int64_t(s.tokens.size());
  s.prompt.append(s.tokens);
  s.first_logits = s.prompt_length() - 1;
  s.state->clear();
  s.prefilled = 0;
  list_media(s);
}

void Engine::show(Sequence& s, const std::string& text) {
  if (text.empty()) return;
  s.result.text += text;
  const std::scoped_lock lock(mutex_);
  s.pending += text;
}

void Engine::finish(Sequence& s, std::string reason) {
  if (s.done) return;
  if (s.beams) {
    s.result.text = text_of(s.tokens, s.options.stop);
  } else if (s.stream) {
    show(s, s.stream->flush());
  }
  s.result.finish_reason = std::move(reason);
  s.result.usage.completion_tokens = std::int64_t(s.tokens.size());
  s.result.token_ids = s.tokens;
  retire(s);
}

/// Ends a sequence whose result is told: what it holds is given up or remembered.
void Engine::retire(Sequence& s) {
  if (s.drafted) draft_->end(s);
  const bool leads = !s.beams || s.beams->leader == &s;
  if (s.beams && leads) {
    for (Sequence* beam : std::exchange(s.beams->running, {})) {
      if (beam != &s) retire(*beam);
    }
  }
  if (leads && s.state && s.state->length() > 0 && !family_.decoder().has_cross()) {
    // A device may have been asked for a step behind the last one.
    if (s.state->length() > s.rows()) s.state->truncate(s.rows());
    std::vector<std::uint64_t> keys = prefix_keys(s);
    keys.resize(std::size_t(s.state->length()));
    prefixes_.put(std::move(keys), std::move(*s.state));
  }
  s.state.reset();
  s.media.clear();
  for (const auto& follower : std::exchange(s.followers, {})) {
    finish(*follower, s.result.finish_reason);  // it never began
  }
  const std::scoped_lock lock(mutex_);
  s.done = true;
}

void Engine::abandon(Sequence& s, std::exception_ptr error) {
  s.drafted.reset();
  s.state.reset();
  for (const auto& follower : std::exchange(s.followers, {})) abandon(*follower, error);
  if (s.beams) {
    for (Sequence* beam : std::exchange(s.beams->running, {})) abandon(*beam, error);
  }
  const std::scoped_lock lock(mutex_);
  if (!s.done) s.error = std::move(error);
  s.done = true;
}

}  // namespace chiasm
