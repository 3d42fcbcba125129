#pragma once
/// What an answer attended to: a pass of its own over the finished sequence, for whoever asks.
#include <cstdint>
#include <vector>

#include "core/context.h"
#include "runtime/engine.h"

namespace chiasm {

/// Runs `prompt`, to which `answer` tokens were appended, in one batch with float32 keys and
/// values, beside the engine: it waits for nobody and changes nothing. `layers`: of the decoder,
/// which are averaged; empty: all that attend. `lora`: what the rows go through; null: none.
/// RequestError for layers that there are not, a length over `options.max_context` or a decoder
/// that looks at an encoder; DeviceError on a device; MediaError, Interrupted.
Attention attend(const Family& family, const Context& ctx, const EngineOptions& options,
                 const Prompt& prompt, std::int64_t answer, std::vector<std::int64_t> layers,
                 const Lora* lora);

}  // namespace chiasm
