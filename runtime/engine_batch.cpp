// The engine's decoder side: one batch of prompt rows and new tokens in each step.
#include <algorithm>
#include <limits>
#include <utility>

#include "runtime/engine.h"
#include "runtime/part_rows.h"

namespace chiasm {

namespace {

/// Prompt rows of one step whose logits are computed together: bounds the logits in memory.
constexpr std::int64_t kLogitRows = 64;

}  // namespace

/// Rows of one step: which sequences, and which of their rows.
struct Engine::Batch {
  struct Part {
    std::shared_ptr<Sequence> sequence;
    std::int64_t first,
        count;  // of the prompt, then of the answer's tokens
    bool of_prompt() const { return first < sequence->prompt_length(); }
  };
  std::vector<Part> parts;
  std::int64_t rows = 0;
  bool has_prompt() const { return std::ranges::any_of(parts, &Part::of_prompt); }
  List sequences() const {
    List out;
    for (const Part& part : parts) out.push_back(part.sequence);
    return out;
  }
};

/// The context is full: the older half of the answer goes, and what is left is computed anew in its
/// new places, since keys hold the places they were made for.
void Engine::slide(Sequence& s) const {
  const std::int64_t held = s.rows() - s.prompt_length();
  s.dropped += std::max<std::int64_t>(held / 2, 1);
  s.state->truncate(s.prompt_length());
  s.prefilled = s.prompt_length();
  s.first_logits = s.rows() - 1;
}

/// How many rows a sequence may take now, of `budget`: the token of one that decodes always.
std::int64_t Engine::rows_now(const Sequence& s, std::int64_t budget) {
  if (s.prefilled >= s.prompt_length()) {
    const std::int64_t left = s.rows() - s.prefilled;
    return left == 1 ? 1 : std::min(left, budget);
  }
  std::int64_t end = s.prompt_length();
  for (const EncodingMedium& medium : s.media) {
    if (medium.ready) continue;
    const auto& rows = s.prompt.media[medium.index].rows;
    end = std::min(end, rows.empty() ? 0 : std::int64_t(rows.front()));  // none: all rows see it
  }
  end = std::min(end, s.prefilled + budget);
  if (const auto* span = s.prompt.span_across(end)) {  // never taken apart
    const bool waits = span->begin > s.prefilled || budget <= 0;
    const bool encoded = std::ranges::none_of(s.media, [&](const EncodingMedium& m) {
      return !m.ready && s.prompt.media[m.index].rows.front() < span->end;
    });
    end = waits || !encoded ? span->begin : span->end;
  }
  return end - s.prefilled;
}

/// Of each running sequence, the rows it takes in this step. Half of the budget goes to those whose
/// prompts are nearest to their end, so that a short one does not wait for a long one; the rest to
/// the oldest, so that a long one does not wait for ever.
std::vector<std::int64_t> Engine::share_rows() const {
  std::vector<std::int64_t> shares(running_.size(), 0);
  std::vector<std::size_t> prompts;
  for (std::size_t i = 0; i < running_.size(); i++) {
    const Sequence& s = *running_[i];
    if (s.done) continue;
    if (s.decoding()) {
      shares[i] = 1 + std::int64_t(s.guesses.size());
    } else {
      prompts.push_back(i);
    }
  }
  std::vector<std::size_t> shortest = prompts;
  std::ranges::stable_sort(
      shortest, {}, [&](std::size_t i) { return running_[i]->rows() - running_[i]->prefilled; });
  std::int64_t budget = options_.prefill_rows;
  const auto give = [&](std::size_t i, std::int64_t most) {
    const std::int64_t rows = std::max(rows_now(*running_[i], most), shares[i]);
    budget -= rows - shares[i];
    shares[i] = rows;
  };
  const std::int64_t kept = budget / 2;
  for (const std::size_t i : shortest) give(i, std::max<std::int64_t>(budget - kept, 0));
  for (const std::size_t i : prompts) give(i, shares[i] + std::max<std::int64_t>(budget, 0));
  return shares;
}

Engine::Batch Engine::gather() const {
  Batch batch;
  const std::vector<std::int64_t> shares = share_rows();
  for (std::size_t i = 0; i < running_.size(); i++) {
    if (shares[i] <= 0) continue;
    batch.parts.push_back({running_[i], running_[i]->prefilled, shares[i]});
    batch.rows += shares[i];
  }
  return batch;
}

/// Embeddings of the batch's tokens, with the media's features laid over their rows. What features
/// hold beyond d_model is for the first layers.
language::DeepRows Engine::fill_rows(const Batch& batch, TensorView<float> x, Tensor& deep) const {
  std::vector<std::int32_t> ids;
  for (const Batch::Part& part : batch.parts) {
    for (std::int64_t row = part.first; row < part.first + part.count; row++) {
      ids.push_back(part.sequence->id_of(row));
    }
  }
  family_.decoder().embed(ctx_, ids, x);
  language::DeepRows extra;
  std::vector<const float*> sources;
  std::int64_t begin = 0;
  for (const Batch::Part& part : batch.parts) {
    for (const EncodingMedium& medium : part.sequence->media) {
      const auto& rows = part.sequence->prompt.media[medium.index].rows;
      auto at = std::lower_bound(rows.begin(), rows.end(), part.first);
      for (; at != rows.end() && *at < part.first + part.count; ++at) {
        const float* feature = medium.rows->view<float>().row(at - rows.begin());
        const std::int64_t row = begin + *at - part.first;
        std::copy_n(feature, x.cols(), x.row(row));
        extra.rows.push_back(row);
        sources.push_back(feature + x.cols());
      }
    }
    begin += part.count;
  }
  const std::int64_t more = family_.feature_width() - x.cols();
  if (more == 0 || sources.empty()) return {};
  deep = float_tensor({std::int64_t(sources.size()), more});
  const auto view = deep.view<float>();
  for (std::size_t i = 0; i < sources.size(); i++) {
    std::copy_n(sources[i], more, view.row(std::int64_t(i)));
  }
  extra.features = view;
  return extra;
}

/// Which rows go through which adapter.
AdaptedRows Engine::adapted_rows(const Batch& batch) {
  AdaptedRows out;
  out.arena = &arena_;
  for (const Batch::Part& part : batch.parts) {
    const Lora* const lora = part.sequence->adapter.get();
    if (lora != nullptr) out.runs.push_back({out.rows, part.count, &lora->weights});
    out.rows += part.count;
  }
  return out;
}

/// What the decoder is told of a sequence's next rows; `rows`, which must not move, holds what the
/// part looks into.
language::BatchPart Engine::decoder_part(Sequence& s, std::int64_t count,
                                         std::vector<PartRows>& rows) {
  const PartRows& r = rows.emplace_back(part_rows(s.prompt.arrangement, s.state->length(), count));
  return {&*s.state, count, r.positions, r.last_key, r.span_begin, s.cross.get(), s.is_long};
}

/// The batch's rows through the decoder, and what follows from their logits.
void Engine::forward(const Batch& batch) {
  arena_.reserve(step_bytes({}, batch.rows));
  Arena::Frame frame(arena_);
  const auto x = arena_.floats({batch.rows, family_.decoder().config().hidden_size}, "rows");
  Tensor deep;
  const language::DeepRows extra = fill_rows(batch, x, deep);
  std::vector<PartRows> rows;
  rows.reserve(batch.parts.size());
  std::vector<language::BatchPart> parts;
  for (const Batch::Part& part : batch.parts) {
    parts.push_back(decoder_part(*part.sequence, part.count, rows));
  }
  const AdaptedRows adapted = adapted_rows(batch);
  Context ctx = ctx_;
  if (!adapted.runs.empty()) ctx.adapted = &adapted;
  family_.decoder().forward(ctx, pages_, parts, arena_, x, extra.rows.empty() ? nullptr : &extra);
  use_logits(batch, x);
}

/// False where no sequence had a row for it.
bool Engine::run_batch() {
  if (ahead_) {
    follow_device();
    return true;
  }
  const Batch batch = gather();
  if (batch.rows == 0) return false;
  if (ctx_.device != nullptr) {
    const List all = batch.sequences();
    if (chooses_on_device(all)) {
      decode_on_device(all);
      return true;
    }
  }
  const double start = seconds_now();
  const Timed timed = enter(batch.has_prompt() ? "prefill" : "decode");
  try {
    forward(batch);
  } catch (...) {
    for (const Batch::Part& part : batch.parts) abandon(*part.sequence, std::current_exception());
    return true;
  }
  const double seconds = seconds_now() - start;
  for (const Batch::Part& part : batch.parts) {
    Sequence& s = *part.sequence;
    if (s.done) continue;  // its own failure
    const bool prompt = part.of_prompt();
    (prompt ? s.result.timings.prefill : s.result.timings.decode) += seconds;
    s.prefilled += settle_guesses(s, part.count);
    std::erase_if(s.media, [&](const EncodingMedium& m) {
      const auto& rows = s.prompt.media[m.index].rows;
      return m.ready && (rows.empty() || rows.back() < s.prefilled);
    });
    if (s.ends_here() && s.prefilled == s.prompt_length()) finish(s, "length");
  }
  advance_searches();
  for (const auto& s : running_) {
    if (!s->done && !s->result.finish_reason.empty()) finish(*s, s->result.finish_reason);
  }
  return true;
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
      if (part.first + i < part.sequence->first_logits) continue;
      if (part.sequence->on_rows) {
        const std::span<const float> values(features.row(begin + i), std::size_t(features.cols()));
        part.sequence->on_rows(part.first + i, values);
      } else {
        rows.push_back({part.sequence.get(), part.first + i, begin + i});
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
      } else if (row.sequence->beams) {
        propose(*row.sequence, values);
      } else if (counts(*row.sequence, row.prompt_row)) {
        branch(*row.sequence, values);
        choose_or_abandon(*row.sequence, values);
        check_guess(*row.sequence);
      }
    }
  }
}

/// The leader's prompt is in: its followers go on from there on their own.
void Engine::branch(Sequence& leader, std::span<const float> logits) {
  for (const auto& follower : std::exchange(leader.followers, {})) {
    Sequence& s = *follower;
    s.state = leader.state->fork(leader.prompt_length());
    s.prefilled = leader.prompt_length();
    s.is_long = leader.is_long;
    s.cross = leader.cross;
    s.seen = leader.seen;
    s.stream.emplace(tokenizer_, s.options.stop);
    s.result.usage = leader.result.usage;
    s.result.timings = leader.result.timings;
    running_.push_back(follower);
    std::vector<float> own(logits.begin(), logits.end());
    choose_or_abandon(s, own);
  }
}

/// What goes wrong with one sequence's token is its own: a mask that throws, logits without a
/// number.
void Engine::choose_or_abandon(Sequence& s, std::span<float> logits) {
  try {
    choose(s, logits);
  } catch (...) {
    abandon(s, std::current_exception());
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
  shape(s, logits);
  const std::int32_t token = kernels::sample(ctx_, logits, s.sampling(), s.tokens.size());
  if (log_sum) {
    report.id = token;
    report.text = tokenizer_.decode({&token, 1}, false);
    report.logprob = double(raw[std::size_t(token)]) - *log_sum;
    s.result.logprobs.push_back(std::move(report));
  }
  accept(s, token);
}

/// What of a request's settings and the model's own changes the logits of the token after `tokens`.
/// `seen`: distinct ids of prompt and answer, where there is a repetition penalty.
void Engine::penalize(const GenerateOptions& o, std::span<const std::int32_t> tokens,
                      std::span<const std::int32_t> seen, std::span<float> logits) const {
  if (o.repetition_penalty != 1) {
    kernels::penalize_repetition(logits, seen, float(o.repetition_penalty));
  }
  kernels::penalize_counts(logits, tokens, float(o.presence_penalty), float(o.frequency_penalty));
  kernels::add_bias(logits, o.logit_bias);
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const auto rule_out = [&](const std::vector<std::int32_t>& ids) {
    for (const std::int32_t id : ids) {
      if (std::size_t(id) < logits.size()) logits[std::size_t(id)] = kNever;
    }
  };
  rule_out(options_.suppressed);
  if (tokens.empty()) rule_out(options_.suppressed_first);
}

/// From the model's logits to those that a token is drawn from.
void Engine::shape(Sequence& s, std::span<float> logits) const {
  penalize(s.options, s.tokens, s.seen, logits);
  if (s.adjust) s.adjust(s.tokens, logits);
  if (s.mask) {
    std::vector<std::uint32_t> allowed((logits.size() + 31) / 32);
    s.mask(s.tokens, allowed);
    if (!kernels::keep_allowed(logits, allowed)) {
      fail<RequestError>("no token may follow the ", s.tokens.size(),
                         " that the answer has: its form allows none that the model can say");
    }
  }
}

/// Whether a token ends an answer instead of being one of its own.
bool Engine::is_end(const Sequence& s, std::int32_t token) const {
  return !s.options.ignore_eos &&
         std::ranges::find(options_.end_tokens, token) != options_.end_tokens.end();
}

void Engine::accept(Sequence& s, std::int32_t token) {
  if (is_end(s, token)) {
    if (!s.result.logprobs.empty()) s.result.logprobs.pop_back();  // one entry per token returned
    s.result.finish_reason = "stop";
    return;
  }
  s.say(token);
  show(s, s.stream->push(token));
  if (s.stream->stopped()) {
    s.result.finish_reason = "stop";
  } else if (std::int64_t(s.tokens.size()) == s.options.max_tokens) {
    s.result.finish_reason = "length";
  }
}

}  // namespace chiasm
