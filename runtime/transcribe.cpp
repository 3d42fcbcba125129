#include "runtime/transcribe.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/sample.h"
#include "runtime/confidence.h"

namespace chiasm {

namespace {

/// What is left of a sound after its last time is no speech when it is shorter.
constexpr std::int64_t kLeastFrames = 10;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \n\t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \n\t") - first + 1);
}

class Transcriber {
 public:
  Transcriber(Engine& engine, const Family& family, const language::Tokenizer& tokenizer,
              const Context& ctx, const TranscribeOptions& options,
              std::shared_ptr<const Lora> adapter, const Poll& poll)
      : engine_(engine),
        family_(family),
        tokenizer_(tokenizer),
        ctx_(ctx),
        options_(options),
        adapter_(std::move(adapter)),
        poll_(poll),
        speech_(*family.speech()) {}

  Transcript run(const AudioInput& input, const OnSegment& on_segment) {
    check_options();
    choose_language();
    listen(input);
    for (std::int64_t at = 0; at + std::min(kLeastFrames, frames_) <= frames_;) {
      const SpokenWindow window = write_down(at);
      at += std::max<std::int64_t>(window.advance, 1);
      const double done = std::min(1.0, double(at) / double(frames_));
      for (const TranscriptSegment& segment : window.segments) {
        if (segment.text.empty()) continue;
        if (on_segment) on_segment(segment, done);
        out_.segments.push_back(segment);
      }
    }
    out_.text = std::string(trimmed(out_.text));
    return std::move(out_);
  }

 private:
  void check_options() const {
    if (options_.temperatures.empty()) fail<RequestError>("temperatures: the list is empty");
    for (const double t : options_.temperatures) {
      if (!(t >= 0 && t <= 100)) {
        fail<RequestError>("temperatures: ", t, " is not between 0 and 100");
      }
    }
  }

  void choose_language() {
    const bool english_alone = speech_.tokens.languages.empty();
    if (english_alone && options_.translate) {
      fail<RequestError>("this model knows English alone and translates nothing");
    }
    const std::string& wanted = options_.language;
    if (wanted.empty() || (english_alone && wanted == "en")) return;
    language_ = speech_.tokens.language(wanted);
  }

  /// Features of the whole sound. Those of a short one are what the processor makes of it, unless
  /// its window shall be filled with zeros; of a longer one, transformers takes them without
  /// padding.
  void listen(const AudioInput& input) {
    const double start = seconds_now();
    const audio::LogMel& features = *speech_.features;
    const audio::LogMelConfig& c = features.config();
    const audio::Waveform sound = waveform(input, engine_.options().limits.sounds, c.rate);
    const auto samples = std::int64_t(sound.samples.size());
    const bool zeros = options_.padding == SoundPadding::zeros;
    const std::int64_t length = std::max(samples, zeros ? c.window : c.chunk_samples());
    auto mel = std::make_shared<Tensor>(float_tensor({features.frames(length), c.bins}));
    features(ctx_, sound.samples, length, mel->view<float>());
    mel_ = std::move(mel);
    frames_ = std::max<std::int64_t>(1, samples / c.hop);
    seconds_per_frame_ = double(c.hop) / double(c.rate);
    out_.duration = sound.seconds();
    out_.timings.preprocess = seconds_now() - start;
  }

  /// A sequence over the window that begins at frame `at`.
  std::shared_ptr<Sequence> sequence(std::int64_t at, std::vector<std::int32_t> ids) const {
    auto s = std::make_shared<Sequence>();
    for (const std::int32_t id : ids) s->prompt.keys.push_back(token_key(id));
    s->prompt.ids = std::move(ids);
    s->adapter = adapter_;
    PlacedMedium medium;
    medium.window = audio::PreparedSound{mel_, at};
    medium.layout = family_.sound_layout(0);
    s->prompt.media.push_back(std::move(medium));
    s->first_logits = s->prompt_length() - 1;
    return s;
  }

  void wait(const std::shared_ptr<Sequence>& s) {
    engine_.submit({&s, 1});
    engine_.wait({&s, 1}, {}, poll_);
    const Timings& t = s->result.timings;
    out_.timings.encode += t.encode;
    out_.timings.prefill += t.prefill;
    out_.timings.decode += t.decode;
  }

  /// The logits after the first token tell the language and whether anybody speaks at all.
  std::shared_ptr<const language::CrossMemory> begin(std::int64_t at, double& no_speech) {
    const auto s = sequence(at, {speech_.tokens.start});
    s->on_logits = [&](std::int64_t, std::span<const float> logits) {
      const double sum = kernels::log_sum_exp(ctx_, logits);
      no_speech = std::exp(double(logits[std::size_t(speech_.tokens.no_speech)]) - sum);
      const auto& known = speech_.tokens.languages;
      if (language_ || known.empty()) return;
      const auto best = std::max_element(known.begin(), known.end(), [&](auto& a, auto& b) {
        return logits[std::size_t(a.second)] < logits[std::size_t(b.second)];
      });
      language_ = best->second;
    };
    wait(s);
    if (out_.language.empty()) name_language();
    return s->cross;
  }

  void name_language() {
    out_.language = "en";
    for (const auto& [code, id] : speech_.tokens.languages) {
      if (id == language_) out_.language = code;
    }
  }

  std::vector<std::int32_t> prompt() const {
    std::vector<std::int32_t> ids{speech_.tokens.start};
    if (language_) {
      ids.push_back(*language_);
      ids.push_back(options_.translate ? speech_.tokens.translate : speech_.tokens.transcribe);
    }
    if (!options_.timestamps) ids.push_back(speech_.tokens.no_timestamps);
    return ids;
  }

  SpokenWindow write_down(std::int64_t at) {
    Confidence confidence;
    const auto cross = begin(at, confidence.no_speech);
    std::vector<std::int32_t> tokens;
    bool silent = false;
    for (const double temperature : options_.temperatures) {
      tokens = attempt(at, cross, temperature, confidence);
      const bool unsure = confidence.mean_logprob < options_.logprob_threshold;
      silent = unsure && confidence.no_speech > options_.no_speech_threshold;
      const bool repeats = options_.compression_threshold > 0 &&
                           confidence.compression_ratio > options_.compression_threshold;
      if (silent || !(unsure || repeats)) break;
    }
    // transformers pads a short sound to a window and takes all of that for sound.
    const std::int64_t there = mel_->view<float>().rows() - at;
    const std::int64_t frames = std::min(there, speech_.window_frames);
    if (silent) return {{}, frames};
    SpokenWindow window;
    if (options_.timestamps) {
      window = split_window(speech_.tokens, tokens, frames);
    } else {
      const double end = double(frames) * seconds_per_frame_;
      window = {{TranscriptSegment{0, end, {}, tokens, {}}}, frames};
    }
    for (TranscriptSegment& segment : window.segments) {
      segment.confidence = confidence;
      finish(segment, at);
    }
    return window;
  }

  /// The window's tokens at a temperature, and what they are to be judged by.
  std::vector<std::int32_t> attempt(std::int64_t at,
                                    const std::shared_ptr<const language::CrossMemory>& cross,
                                    double temperature, Confidence& confidence) {
    const auto s = sequence(at, prompt());
    s->cross = cross;
    s->options.max_tokens = engine_.options().max_context - s->prompt_length();
    s->options.temperature = temperature;
    s->seed = mix64(options_.seed + mix64(std::uint64_t(at)));
    MeanLogprob logprob(ctx_);
    s->adjust = [&](std::span<const std::int32_t> tokens, std::span<float> logits) {
      if (options_.timestamps) apply_time_rules(speech_.tokens, tokens, logits);
      logprob.step(tokens, logits);
    };
    wait(s);
    std::vector<std::int32_t> tokens = s->result.token_ids;
    const bool ended = s->result.finish_reason == "stop";
    confidence.temperature = temperature;
    confidence.mean_logprob = logprob.mean(tokens, ended, speech_.tokens.end);
    std::vector<std::int32_t> packed = tokens;
    if (ended) packed.push_back(speech_.tokens.end);
    confidence.compression_ratio = compression_ratio(packed, family_.decoder().config().vocab_size);
    return tokens;
  }

  /// From times in the window to times in the sound, and from tokens to text.
  void finish(TranscriptSegment& segment, std::int64_t at) {
    const double begin = double(at) * seconds_per_frame_;
    segment.start = std::min(begin + segment.start, out_.duration);
    segment.end = std::min(begin + segment.end, out_.duration);
    std::vector<std::int32_t> words = segment.token_ids;
    std::erase_if(words, [&](std::int32_t id) { return id >= speech_.tokens.end; });
    const std::string text = tokenizer_.decode(words, /*skip_special_tokens=*/true);
    segment.text = std::string(trimmed(text));
    if (!segment.text.empty()) out_.text += text;
  }

  Engine& engine_;
  const Family& family_;
  const language::Tokenizer& tokenizer_;
  const Context& ctx_;
  const TranscribeOptions& options_;
  std::shared_ptr<const Lora> adapter_;  // null: none
  const Poll& poll_;
  const Speech& speech_;
  std::shared_ptr<const Tensor> mel_;  // [frames, bins]
  std::int64_t frames_ = 0;            // of sound, without padding
  double seconds_per_frame_ = 0;
  std::optional<std::int32_t> language_;
  Transcript out_;
};

}  // namespace

SpokenWindow split_window(const SpeechTokens& speech, std::span<const std::int32_t> tokens,
                          std::int64_t frames) {
  constexpr std::int64_t kFramesPerStep = 2;
  const std::size_t n = tokens.size();
  const auto is_time = [&](std::size_t i) { return speech.is_time(tokens[i]); };
  const auto steps = [&](std::size_t i) { return std::int64_t(tokens[i] - speech.first_time); };
  SpokenWindow out;
  const auto add = [&](std::size_t first, std::size_t last, std::int64_t begin, std::int64_t end) {
    TranscriptSegment segment;
    segment.start = double(begin) * SpeechTokens::kTimeStep;
    segment.end = double(end) * SpeechTokens::kTimeStep;
    segment.token_ids.assign(tokens.begin() + std::ptrdiff_t(first),
                             tokens.begin() + std::ptrdiff_t(last));
    out.segments.push_back(std::move(segment));
  };
  std::vector<std::size_t> cuts;  // between two times
  for (std::size_t i = 1; i < n; i++) {
    if (is_time(i - 1) && is_time(i)) cuts.push_back(i);
  }
  // One time at the end: what follows it is silence.
  const bool ended = n >= 2 && is_time(n - 1) && !is_time(n - 2);
  out.advance = frames;
  if (cuts.empty()) {
    std::int64_t end = frames / kFramesPerStep;
    std::size_t last = n;
    while (last > 0 && !is_time(last - 1)) last--;
    if (last > 0 && steps(last - 1) != 0) end = steps(last - 1);
    if (n > 0) add(0, n, 0, end);
    return out;
  }
  std::size_t first = 0;
  for (const std::size_t cut : cuts) {
    add(first, cut, steps(first), steps(cut - 1));
    first = cut;
  }
  if (ended) {
    add(first, n, steps(first), steps(n - 1));
  } else {
    out.advance = steps(first - 1) * kFramesPerStep;
  }
  return out;
}

Transcript transcribe(Engine& engine, const Family& family, const language::Tokenizer& tokenizer,
                      const Context& ctx, const AudioInput& input, const TranscribeOptions& options,
                      std::shared_ptr<const Lora> adapter, const OnSegment& on_segment,
                      const Poll& poll) {
  if (family.speech() == nullptr) {
    fail<RequestError>("this model writes down no speech; load a Whisper model");
  }
  Transcriber transcriber(engine, family, tokenizer, ctx, options, std::move(adapter), poll);
  return transcriber.run(input, on_segment);
}

}  // namespace chiasm
