#pragma once
/// Written-down speech: plain data.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/request.h"

namespace chiasm {

/// What fills the window of a sound that is shorter than one. The encoder sees zeros behind the end
/// of a longer sound either way.
enum class SoundPadding {
  silence,  // features of silence, as transformers and openai-whisper
  zeros     // features that are zero, as faster-whisper
};

struct TranscribeOptions {
  std::string language;    // "en", "de", ...; empty: detected in the first window
  bool translate = false;  // into English
  SoundPadding padding = SoundPadding::silence;
  bool timestamps = true;  // else windows follow one another blindly and are a segment each
  /// A window is written down at the first of these, and again at the next as long as its words
  /// are not to be believed: their mean log-probability is under `logprob_threshold`, or they
  /// repeat themselves over `compression_threshold` (compression_ratio() in confidence.h; 0: they
  /// may). What the last one gives is kept. 0 is greedy; draws of others depend on `seed` alone.
  std::vector<double> temperatures{0};
  double logprob_threshold = -1, compression_threshold = 1.35;
  std::uint64_t seed = 0;
  /// A window is taken for silence, and skipped, where the model is surer than this that nobody
  /// speaks and less sure of its words than `logprob_threshold`.
  double no_speech_threshold = 0.6;
  std::string adapter;  // one of Model::load_adapter's, by name; empty: the model as it is
};

/// What a window's words were judged by; the segments of a window share it.
struct Confidence {
  double temperature = 0;
  double mean_logprob = 0;
  double compression_ratio = 0;
  double no_speech = 0;  // the model's probability that nobody speaks
};

struct TranscriptSegment {
  double start = 0, end = 0;            // seconds
  std::string text;                     // without the spaces around it
  std::vector<std::int32_t> token_ids;  // time tokens included
  Confidence confidence;
};

struct Transcript {
  std::string text, language;
  double duration = 0;  // of the sound, seconds
  std::vector<TranscriptSegment> segments;
  Timings timings;
};

/// Receives each segment as it is ready, and what part of the sound is done.
using OnSegment = std::function<void(const TranscriptSegment&, double done)>;

}  // namespace chiasm
