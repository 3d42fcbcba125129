#pragma once
/// Written-down speech: plain data.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/request.h"

namespace chiasm {

struct TranscribeOptions {
  std::string language;    // "en", "de", ...; empty: detected in the first window
  bool translate = false;  // into English
  bool timestamps = true;  // else windows follow one another blindly and are a segment each
  /// A window is taken for silence, and skipped, where the model is surer than this that nobody
  /// speaks and less sure of its words than `logprob_threshold`, their mean log-probability.
  double no_speech_threshold = 0.6, logprob_threshold = -1;
};

struct TranscriptSegment {
  double start = 0, end = 0;            // seconds
  std::string text;                     // without the spaces around it
  std::vector<std::int32_t> token_ids;  // time tokens included
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
