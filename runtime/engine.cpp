#include "runtime/engine.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace chiasm {

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::int64_t pages_for(std::int64_t tokens) {
  return (tokens + kernels::kPageTokens - 1) / kernels::kPageTokens;
}

/// Prompt rows of one step whose logits are computed together: bounds the logits in memory.
constexpr std::int64_t kLogitRows = 64;

}  // namespace

Engine::Engine(const Family& family, const language::Tokenizer& tokenizer, const Context& ctx,
               EngineOptions options)
    : family_(family),
      tokenizer_(tokenizer),
      ctx_(ctx),
      options_(std::move(options)),
      pages_(family.decoder().kv_shape(options_.kv_dtype), options_.kv_pages),
      prefixes_(options_.remembered_prefixes) {}

void Engine::set_tap(std::function<void(std::string_view, TensorView<const float>)> tap) {
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
  incoming_.insert(incoming_.end(), sequences.begin(), sequences.end());
}

void Engine::check(const Sequence& sequence) const {
  check_ids(sequence.prompt.ids, family_.decoder().config().vocab_size);
  const std::int64_t longest = sequence.longest();
  if (longest > options_.max_context) {
    fail<RequestError>(
        "the prompt has ", sequence.prompt_length(), " tokens and max_tokens asks for ",
        longest - sequence.prompt_length(), " more, over the context of ", options_.max_context,
        "; shorten the prompt, lower max_tokens or load with a ", "larger max_context");
  }
  // One page more: the last shared page of a reused prefix is copied before it is written.
  if (pages_for(longest) + 1 > options_.kv_pages) {
    fail<RequestError>("the request needs ", pages_for(longest) * kernels::kPageTokens,
                       " tokens of KV cache, the model has ",
                       options_.kv_pages * kernels::kPageTokens);
  }
}

void Engine::cancel(Sequence& sequence) { sequence.cancelled = true; }

void Engine::wait(std::span<const std::shared_ptr<Sequence>> sequences, const OnText& on_text,
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
    std::string text;
    std::size_t done = 0;
    for (const auto& sequence : sequences) {
      done += sequence->done ? 1 : 0;
      if (sequence->error && !error) error = sequence->error;
    }
    if (!sequences.empty()) text = std::exchange(sequences.front()->pending, {});
    lock.unlock();
    try {
      if (!text.empty() && on_text && !error && !stop && !on_text(text)) cancel_all();
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
  admit();
  encode_some(interrupted);
  run_batch();
  std::erase_if(running_, [](const auto& s) { return s->done; });
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

/// First come, first served: a large request is never overtaken for ever by small ones.
void Engine::admit() {
  while (!waiting_.empty() && std::int64_t(running_.size()) < options_.max_batch) {
    const std::shared_ptr<Sequence> next = waiting_.front();
    while (!fits(*next) && prefixes_.forget_one()) {
    }
    if (!fits(*next)) return;
    waiting_.erase(waiting_.begin());
    start(*next);
    running_.push_back(next);
  }
}

/// Whether the pages that `sequence` may come to need are there besides those promised to others.
bool Engine::fits(const Sequence& sequence) const {
  std::int64_t promised = pages_for(sequence.longest()) + 1;
  for (const auto& other : running_) {
    promised += pages_for(other->longest()) + 1 - std::int64_t(other->state->pages().size());
  }
  return promised <= pages_.available();
}

void Engine::start(Sequence& s) {
  const std::int64_t reusable = std::min(s.first_logits, s.prompt_length() - 1);
  s.state = prefixes_.take(pages_, s.prompt.keys, reusable);
  s.prefilled = s.state->length();
  s.stream.emplace(tokenizer_, s.options.stop);
  s.result.usage.prompt_tokens = s.prompt_length();
  s.result.usage.image_tokens = s.prompt.image_tokens;
  s.result.usage.cached_tokens = s.prefilled;
  for (std::size_t i = 0; i < s.prompt.pictures.size(); i++) {
    const PlacedPicture& picture = s.prompt.pictures[i];
    if (picture.rows.empty() || picture.rows.back() < s.prefilled) continue;
    s.pictures.emplace_back();
    s.pictures.back().index = i;
  }
  if (s.options.repetition_penalty != 1) {
    s.seen = s.prompt.ids;
    std::sort(s.seen.begin(), s.seen.end());
    s.seen.erase(std::unique(s.seen.begin(), s.seen.end()), s.seen.end());
  }
}

/// Decodes and tiles a picture when its turn comes; false when it cannot be read.
bool Engine::prepare(Sequence& s, EncodingPicture& picture) {
  if (picture.tiles) return true;
  const PlacedPicture& placed = s.prompt.pictures[picture.index];
  const double start = now();
  const Timed timed = enter("preprocess");
  try {
    picture.tiles = preprocess(family_, ctx_, placed.input, options_.limits);
    if (picture.tiles->count() != placed.layout.tiles) {
      fail<MediaError>(placed.input.name, ": decodes to another size than its header says");
    }
  } catch (...) {
    abandon(s, std::current_exception());
    return false;
  }
  const std::int64_t dim = family_.decoder().config().hidden_size;
  picture.features = float_tensor({placed.layout.tokens, dim});
  s.result.timings.preprocess += now() - start;
  return true;
}

/// One packed call of the encoder over the next tiles of whichever pictures wait.
void Engine::encode_some(const Poll& interrupted) {
  struct Piece {
    Sequence* sequence;
    EncodingPicture* picture;
    std::int64_t count;
  };
  std::vector<Piece> pieces;
  std::vector<TileRef> tiles;
  for (const auto& s : running_) {
    for (EncodingPicture& picture : s->pictures) {
      if (picture.ready || std::int64_t(tiles.size()) >= options_.tiles_per_step) continue;
      if (!prepare(*s, picture)) break;
      const std::int64_t count = std::min(picture.tiles->count() - picture.tiles_done,
                                          options_.tiles_per_step - std::int64_t(tiles.size()));
      for (std::int64_t i = 0; i < count; i++) {
        tiles.push_back({&*picture.tiles, picture.tiles_done + i});
      }
      pieces.push_back({s.get(), &picture, count});
    }
  }
  if (tiles.empty()) return;

  const double start = now();
  const Timed timed = enter("encode");
  const PlacedPicture& first = pieces[0].sequence->prompt.pictures[pieces[0].picture->index];
  const std::int64_t tokens = first.layout.tokens / first.layout.tiles;
  const std::int64_t dim = family_.decoder().config().hidden_size;
  Context ctx = ctx_;
  if (interrupted) ctx.interrupted = &interrupted;
  try {
    arena_.reserve(step_bytes(std::int64_t(tiles.size()), 0));
    Arena::Frame frame(arena_);
    const auto rows = arena_.floats({std::int64_t(tiles.size()) * tokens, dim}, "image rows");
    family_.encode(ctx, tiles, arena_, rows);
    std::int64_t row = 0;
    for (const Piece& piece : pieces) {
      float* to = piece.picture->features.view<float>().row(piece.picture->tiles_done * tokens);
      std::copy_n(rows.row(row), piece.count * tokens * dim, to);
      row += piece.count * tokens;
    }
  } catch (const Interrupted&) {
    return;  // the caller that drives wants to leave; others' tiles are encoded at the next step
  } catch (...) {
    for (const Piece& piece : pieces) abandon(*piece.sequence, std::current_exception());
    return;
  }
  const double seconds = now() - start;
  const Sequence* counted = nullptr;  // a sequence's pieces stand together and waited once
  for (const Piece& piece : pieces) {
    Sequence* const s = piece.sequence;
    if (s != std::exchange(counted, s)) s->result.timings.encode += seconds;
    piece.picture->tiles_done += piece.count;
    if (piece.picture->tiles_done < piece.picture->tiles->count()) continue;
    piece.picture->ready = true;
    piece.picture->tiles.reset();
  }
}

/// Rows of one step: which sequences, and which of their rows.
struct Engine::Batch {
  struct Part {
    Sequence* sequence;
    std::int64_t first,
        count;  // rows of the prompt; first == prompt length: the last sampled token
    bool of_prompt() const { return first < sequence->prompt_length(); }
  };
  std::vector<Part> parts;
  std::int64_t rows = 0;
  bool has_prompt() const { return std::ranges::any_of(parts, &Part::of_prompt); }
};

Engine::Batch Engine::gather() const {
  Batch batch;
  std::int64_t budget = options_.prefill_rows;
  for (const auto& s : running_) {
    if (s->done) continue;
    const std::int64_t length = s->prompt_length();
    std::int64_t count = 0;
    if (s->prefilled == length) {
      count = 1;
    } else {
      std::int64_t end = length;
      for (const EncodingPicture& picture : s->pictures) {
        if (picture.ready) continue;
        end = std::min(end, std::int64_t(s->prompt.pictures[picture.index].rows.front()));
      }
      count = std::min(end - s->prefilled, budget);
      budget -= std::max<std::int64_t>(count, 0);
    }
    if (count <= 0) continue;
    batch.parts.push_back({s.get(), s->prefilled, count});
    batch.rows += count;
  }
  return batch;
}

/// Embeddings of the batch's tokens, with the pictures' features laid over their rows.
void Engine::fill_rows(const Batch& batch, TensorView<float> x) const {
  std::vector<std::int32_t> ids;
  for (const Batch::Part& part : batch.parts) {
    const auto& prompt = part.sequence->prompt.ids;
    if (part.first == std::int64_t(prompt.size())) {
      ids.push_back(part.sequence->tokens.back());
    } else {
      ids.insert(ids.end(), prompt.begin() + part.first, prompt.begin() + part.first + part.count);
    }
  }
  family_.decoder().embed(ctx_, ids, x);
  std::int64_t begin = 0;
  for (const Batch::Part& part : batch.parts) {
    for (const EncodingPicture& picture : part.sequence->pictures) {
      const auto& rows = part.sequence->prompt.pictures[picture.index].rows;
      auto at = std::lower_bound(rows.begin(), rows.end(), part.first);
      for (; at != rows.end() && *at < part.first + part.count; ++at) {
        const auto features = picture.features.view<float>();
        std::copy_n(features.row(at - rows.begin()), x.cols(), x.row(begin + *at - part.first));
      }
    }
    begin += part.count;
  }
}

void Engine::run_batch() {
  const Batch batch = gather();
  if (batch.rows == 0) return;
  const double start = now();
  const Timed timed = enter(batch.has_prompt() ? "prefill" : "decode");
  try {
    arena_.reserve(step_bytes(0, batch.rows));
    Arena::Frame frame(arena_);
    const auto x = arena_.floats({batch.rows, family_.decoder().config().hidden_size}, "rows");
    fill_rows(batch, x);
    std::vector<language::BatchPart> parts;
    for (const Batch::Part& part : batch.parts) {
      parts.push_back({&*part.sequence->state, part.count});
    }
    family_.decoder().forward(ctx_, pages_, parts, arena_, x);
    use_logits(batch, x);
  } catch (...) {
    for (const Batch::Part& part : batch.parts) abandon(*part.sequence, std::current_exception());
    return;
  }
  const double seconds = now() - start;
  for (const Batch::Part& part : batch.parts) {
    Sequence& s = *part.sequence;
    const bool prompt = part.of_prompt();
    (prompt ? s.result.timings.prefill : s.result.timings.decode) += seconds;
    if (prompt) s.prefilled += part.count;
    std::erase_if(s.pictures, [&](const EncodingPicture& p) {
      return p.ready && s.prompt.pictures[p.index].rows.back() < s.prefilled;
    });
    if (s.on_logits && s.prefilled == s.prompt_length()) finish(s, "length");
    if (!s.result.finish_reason.empty()) finish(s, s.result.finish_reason);
  }
}

/// Computes logits of the rows that need them, a block at a time, and hands them on.
void Engine::use_logits(const Batch& batch, TensorView<const float> features) {
  struct Row {
    Sequence* sequence;
    std::int64_t prompt_row, batch_row;
  };
  std::vector<Row> rows;
  std::int64_t begin = 0;
  for (const Batch::Part& part : batch.parts) {
    for (std::int64_t i = 0; i < part.count; i++) {
      if (part.first + i >= part.sequence->first_logits) {
        rows.push_back({part.sequence, part.first + i, begin + i});
      }
    }
    begin += part.count;
  }
  const auto total = std::int64_t(rows.size());
  for (std::int64_t first = 0; first < total; first += kLogitRows) {
    const std::int64_t count = std::min(kLogitRows, total - first);
    Arena::Frame frame(arena_);
    const auto picked = arena_.floats({count, features.cols()}, "picked rows");
    for (std::int64_t i = 0; i < count; i++) {
      std::copy_n(features.row(rows[std::size_t(first + i)].batch_row), features.cols(),
                  picked.row(i));
    }
    const auto logits = arena_.floats({count, family_.decoder().config().vocab_size}, "logits");
    family_.decoder().logits(ctx_, picked, logits);
    for (std::int64_t i = 0; i < count; i++) {
      const Row& row = rows[std::size_t(first + i)];
      const std::span<float> values(logits.row(i), std::size_t(logits.cols()));
      if (row.sequence->on_logits) {
        row.sequence->on_logits(row.prompt_row, values);
      } else {
        choose(*row.sequence, values);
      }
    }
  }
}

void Engine::choose(Sequence& s, std::span<float> logits) {
  const GenerateOptions& o = s.options;
  std::optional<double> log_sum;
  TokenLogprob report;
  if (o.logprobs > 0) {  // of the model's own distribution, before any processing
    log_sum = kernels::log_sum_exp(ctx_, logits);
    for (const auto& [id, logit] : kernels::top_logits(logits, o.logprobs)) {
      report.top.emplace_back(id, double(logit) - *log_sum);
    }
  }
  std::vector<float> raw;
  if (log_sum) raw.assign(logits.begin(), logits.end());
  if (o.repetition_penalty != 1) {
    kernels::penalize_repetition(logits, s.seen, float(o.repetition_penalty));
  }
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (const std::int32_t id : options_.suppressed) logits[std::size_t(id)] = kNever;
  if (s.tokens.empty()) {
    for (const std::int32_t id : options_.suppressed_first) logits[std::size_t(id)] = kNever;
  }
  const kernels::SampleOptions sampling{float(o.temperature), std::int32_t(o.top_k), o.top_p,
                                        float(o.min_p), s.seed};
  const std::int32_t token = kernels::sample(ctx_, logits, sampling, s.tokens.size());
  if (log_sum) {
    report.id = token;
    report.text = tokenizer_.decode({&token, 1}, false);
    report.logprob = double(raw[std::size_t(token)]) - *log_sum;
    s.result.logprobs.push_back(std::move(report));
  }
  accept(s, token);
}

void Engine::accept(Sequence& s, std::int32_t token) {
  const auto& ends = options_.end_tokens;
  if (!s.options.ignore_eos && std::ranges::find(ends, token) != ends.end()) {
    if (!s.result.logprobs.empty()) s.result.logprobs.pop_back();  // one entry per token returned
    s.result.finish_reason = "stop";
    return;
  }
  s.tokens.push_back(token);
  if (s.options.repetition_penalty != 1) {
    const auto at = std::ranges::lower_bound(s.seen, token);
    if (at == s.seen.end() || *at != token) s.seen.insert(at, token);
  }
  show(s, s.stream->push(token));
  if (s.stream->stopped()) {
    s.result.finish_reason = "stop";
  } else if (std::int64_t(s.tokens.size()) == s.options.max_tokens) {
    s.result.finish_reason = "length";
  }
}

void Engine::show(Sequence& s, const std::string& text) {
  if (text.empty()) return;
  s.result.text += text;
  const std::scoped_lock lock(mutex_);
  s.pending += text;
}

void Engine::finish(Sequence& s, std::string reason) {
  if (s.done) return;
  if (s.stream) show(s, s.stream->flush());
  s.result.finish_reason = std::move(reason);
  s.result.usage.completion_tokens = std::int64_t(s.tokens.size());
  s.result.token_ids = s.tokens;
  if (s.state && s.state->length() > 0) {
    std::vector<std::uint64_t> keys = s.prompt.keys;
    for (const std::int32_t token : s.tokens) keys.push_back(token_key(token));
    keys.resize(std::size_t(s.state->length()));
    prefixes_.put(std::move(keys), std::move(*s.state));
  }
  s.state.reset();
  s.pictures.clear();
  const std::scoped_lock lock(mutex_);
  s.done = true;
}

void Engine::abandon(Sequence& s, std::exception_ptr error) {
  s.state.reset();
  const std::scoped_lock lock(mutex_);
  if (!s.done) s.error = std::move(error);
  s.done = true;
}

}  // namespace chiasm
