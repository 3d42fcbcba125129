#pragma once
/// Speech to text, window by window.
#include <memory>

#include "language/tokenizer.h"
#include "runtime/engine.h"
#include "runtime/lora.h"
#include "runtime/transcript.h"

namespace chiasm {

/// What one window's tokens say, and how far to go on.
struct SpokenWindow {
  std::vector<TranscriptSegment> segments;  // times count from the window's begin, no text yet
  std::int64_t advance = 0;                 // frames
};

/// Cuts the tokens of a window of `frames` frames of sound where two times stand together. Speech
/// that no time ends is left to the next window. Source: transformers'
/// WhisperGenerationMixin._retrieve_segment.
SpokenWindow split_window(const SpeechTokens& speech, std::span<const std::int32_t> tokens,
                          std::int64_t frames);

/// Writes down a sound of any length. RequestError for families without speech and for languages
/// that the model does not know; MediaError; Interrupted by `poll`. `adapter`: that of the options;
/// null: none.
Transcript transcribe(Engine& engine, const Family& family, const language::Tokenizer& tokenizer,
                      const Context& ctx, const AudioInput& input, const TranscribeOptions& options,
                      std::shared_ptr<const Lora> adapter, const OnSegment& on_segment,
                      const Poll& poll);

}  // namespace chiasm
