#pragma once
/// What goes into a model and what comes out: plain data.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "audio/sound.h"
#include "core/tensor.h"
#include "vision/image.h"
#include "vision/video_sampler.h"

namespace chiasm {

/// A picture as the user holds it: encoded bytes (a file's content) or pixels.
struct ImageInput {
  std::string name = "image";                  // for errors: a path, or "image 2"
  std::shared_ptr<const std::string> encoded;  // JPEG, PNG, ... ; null when pixels are given
  std::shared_ptr<const vision::Image> pixels;

  /// Reads a file's bytes; MediaError when it cannot be read or is over the limit.
  static ImageInput from_file(const std::string& path, std::size_t max_bytes = std::size_t(256)
                                                                               << 20);
  static ImageInput from_bytes(std::string bytes, std::string name = "image");
  static ImageInput from_pixels(vision::Image image, std::string name = "image");
};

/// A sound as the user holds it: encoded bytes (a file's content) or samples of one channel.
struct AudioInput {
  std::string name = "sound";                  // for errors
  std::shared_ptr<const std::string> encoded;  // WAV, FLAC, Ogg, MP3; null when samples are given
  std::shared_ptr<const audio::Waveform> samples;

  /// Reads a file's bytes; MediaError when it cannot be read or is over the limit.
  static AudioInput from_file(const std::string& path,
                              std::size_t max_bytes = audio::SoundLimits().max_bytes);
  static AudioInput from_bytes(std::string bytes, std::string name = "sound");
  static AudioInput from_samples(audio::Waveform sound, std::string name = "sound");
};

/// A video as the user holds it: a file, a file's content, or frames as pictures of one size.
struct VideoInput {
  std::string name = "video";                  // for errors
  std::string path;                            // of a file; it is read when its turn comes
  std::shared_ptr<const std::string> encoded;  // or its content
  std::vector<ImageInput> frames;              // or frames, in order
  double fps = 0;                              // frames a second of `frames`; 0: unknown
  vision::FrameChoice choice;                  // which frames the model sees

  static VideoInput from_file(const std::string& path);
  static VideoInput from_bytes(std::string bytes, std::string name = "video");

  /// Frames that are pictures already. They are decoded one by one, those that are taken alone.
  static VideoInput from_frames(std::vector<ImageInput> frames, double fps = 0,
                                std::string name = "video");
  /// The picture files of a folder, ordered by name. MediaError when it has none, or when one
  /// cannot be read.
  static VideoInput from_folder(const std::string& path, double fps = 0);
};

/// A stretch of prompt text. Trusted text is structure: special tokens and picture placeholders in
/// it are parsed. Words of a user are not trusted: they are tokenized as plain text, whatever they
/// spell.
struct PromptSpan {
  std::string text;
  bool trusted = true;
};

/// Says which tokens may follow `tokens`, the answer so far: sets the bits of those in `allowed`
/// (token i: bit i % 32 of word i / 32), which come cleared. Called once for each token of an
/// answer, in order, from whichever thread drives the engine. What it throws fails its own request.
using TokenMask =
    std::function<void(std::span<const std::int32_t> tokens, std::span<std::uint32_t> allowed)>;

/// When a beam search ends, as transformers' early_stopping: once as many answers have ended as
/// there are beams (True); once, besides, the best running one is no longer likely to beat the
/// worst of them, as short as it is (False); or not even at its longest ("never").
enum class EarlyStopping { at_once, likely, never };

struct GenerateOptions {
  std::int64_t max_tokens = 128;
  double temperature = 0;  // 0: greedy
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;
  std::optional<std::uint64_t> seed;  // none: drawn anew for each request
  std::vector<std::string> stop;      // text that ends the answer; not part of it
  int logprobs = 0;                   // alternatives to report per token; 0: no log-probabilities
  // Added to logits, by token id.
  std::vector<std::pair<std::int32_t, float>> logit_bias;
  double presence_penalty = 0;   // taken from the logits of tokens that the answer has
  double frequency_penalty = 0;  // likewise, times how often
  /// Makes the mask of one answer, for answers of a given form; none: any token may follow.
  std::function<TokenMask()> constraint;
  std::string adapter;        // one of Model::load_adapter's, by name; empty: the model as it is
  std::int64_t priority = 0;  // lower ones are admitted first
  /// At a full context: go on with the prompt and the newer half of the answer, computed anew, as
  /// if these were the prompt; false: a request that could fill it is refused.
  bool slide = false;
  /// Tokens guessed ahead at most, from what stands in prompt and answer already, and checked in
  /// one step (prompt lookup); 0: none. The answer stays the same.
  std::int64_t lookup = 0;
  /// Tokens guessed ahead at most by the model's draft (LoadOptions::draft) and checked in one
  /// step, where prompt lookup finds none; none: as many as the model was loaded with. The answer
  /// stays the same.
  std::optional<std::int64_t> draft_tokens;
  /// Answers that are followed side by side, the likeliest of all their continuations each time
  /// (beam search); 1: none but the answer. A sequence's log-probability, divided by its length to
  /// the power of `length_penalty`, is what counts at the end.
  std::int64_t num_beams = 1;
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::likely;
  /// How many of a search's answers are wanted: the best, and so many less one in Result::others.
  std::int64_t answers = 1;
  bool ignore_eos = false;  // end tokens are tokens like any other (benchmarks)
};

struct Request {
  /// The prompt as text, or as token ids (with the model's image and sound tokens already in place,
  /// once per row of features) when `token_ids` is not empty.
  std::vector<PromptSpan> prompt;
  std::vector<std::int32_t> token_ids;
  std::vector<ImageInput> images;
  std::vector<AudioInput> audio;
  std::vector<VideoInput> videos;
  bool add_special_tokens = true;  // a beginning-of-text token where the tokenizer adds one
  GenerateOptions options;

  static Request text(std::string prompt, std::vector<ImageInput> images = {});
};

struct Usage {
  std::int64_t prompt_tokens = 0;  // image tokens included
  std::int64_t image_tokens = 0;
  std::int64_t video_tokens = 0;
  std::int64_t audio_tokens = 0;
  std::int64_t cached_tokens = 0;  // prompt tokens whose keys and values were still at hand
  std::int64_t completion_tokens = 0;
  std::int64_t guessed_tokens = 0;   // of these, such as came with another in one step
  std::int64_t rejected_tokens = 0;  // guesses that proved wrong
};

/// Seconds. `encode`, `prefill` and `decode` are shared with requests that ran in the same step.
struct Timings {
  double preprocess = 0, encode = 0, prefill = 0, decode = 0;
};

struct TokenLogprob {
  std::int32_t id = 0;
  std::string text;
  double logprob = 0;
  std::vector<std::pair<std::int32_t, double>> top;  // (id, logprob), best first
};

struct Result {
  std::string text;
  std::vector<std::int32_t> token_ids;  // without the end token
  std::string finish_reason;            // "stop" (end token or stop text), "length", "cancelled"
  Usage usage;
  Timings timings;
  std::vector<TokenLogprob> logprobs;
  /// Of a beam search: the log-probability of the answer over its length to the power of
  /// length_penalty, its end token counted.
  std::optional<double> score;
  std::vector<Result> others;  // of a beam search: the next best answers
};

/// Memory and length of a request, told before it runs. Bytes.
struct Plan {
  std::int64_t tokens = 0;  // prompt tokens, those of pictures and videos included
  std::int64_t image_tokens = 0;
  std::int64_t audio_tokens = 0;
  std::int64_t video_tokens = 0;
  std::int64_t frames = 0;        // of videos, that are taken
  std::int64_t tiles = 0;         // pieces of all media that an encoder takes whole
  std::int64_t encode_macs = 0;   // multiply-adds of the encoder and projector, all of them
  std::int64_t weight_bytes = 0;  // resident packed weights
  std::int64_t fixed_bytes = 0;   // tokenizer, tables and program
  std::int64_t kv_bytes = 0;      // prompt + max_tokens
  std::int64_t activation_bytes = 0;
  std::int64_t draft_bytes = 0;  // all of these of the draft model
  std::int64_t peak_bytes = 0;   // the sum
};

/// How busy an engine is.
struct EngineStats {
  std::int64_t waiting = 0, running = 0;     // requests
  std::int64_t pages = 0, pages_in_use = 0;  // of the KV cache, those kept for prefixes included
  /// Media whose features were still at hand, those that were encoded, and the bytes kept.
  std::int64_t encoder_hits = 0, encoder_misses = 0, encoder_bytes = 0;
  /// Of the folder that features are kept in: media whose features were found there, such as were
  /// written, and such as could not be.
  std::int64_t encoder_disk_hits = 0, encoder_disk_writes = 0, encoder_disk_failures = 0;
  /// Steps that a device was asked for before the tokens of the step before were read.
  std::int64_t steps_ahead = 0;
};

/// Receives each piece of text as it is ready; returning false cancels the request.
using OnText = std::function<bool(std::string_view piece)>;
/// Likewise, with the number of the answer that it belongs to.
using OnChoice = std::function<bool(std::size_t choice, std::string_view piece)>;
/// Receives how many requests of a batch are done, whenever that grows.
using OnDone = std::function<void(std::size_t done)>;
/// Hears the name and the values of an intermediate.
using Tap = std::function<void(std::string_view, TensorView<const float>)>;
/// Polled between pieces of work; returning true makes the call throw Interrupted.
using Poll = std::function<bool()>;

}  // namespace chiasm
