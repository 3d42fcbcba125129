#pragma once
/// The weights' way to a device before the first request.
#include "core/context.h"
#include "language/decoder.h"

namespace chiasm {

/// Brings all of a decoder's weights to `ctx.device`, by a step of one token whose answer nobody
/// hears: a first answer does not wait for them, and memory that is refused is an error of loading.
/// DeviceError with what was asked for and what the device has.
void upload_decoder(const language::Decoder& decoder, const Context& ctx, DType kv_dtype);

}  // namespace chiasm
