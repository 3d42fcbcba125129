#include "runtime/device_weights.h"

#include "core/device.h"
#include "kernels/drawn_tokens.h"

namespace chiasm {

void upload_decoder(const language::Decoder& decoder, const Context& ctx, DType kv_dtype) {
  try {
    language::KvPages pages(decoder.kv_shape(kv_dtype), 1, *ctx.device);
    language::SequenceState state(pages);
    const language::BatchPart part{&state, 1};
    kernels::DrawnTokens tokens(*ctx.device);
    const std::int32_t any = 0;
    tokens.set({&any, 1});
    const kernels::Draw greedy;
    decoder.decode(ctx, pages, {&part, 1}, tokens, {&greedy, 1});
    ctx.device->synchronize();
  } catch (const RequestError& refused) {
    fail<DeviceError>("the decoder's weights, ", decoder.bytes(),
                      " bytes, do not fit the device, which has ",
                      ctx.device->report().memory_bytes, " bytes for all that runs on it (",
                      refused.what(), "); load with quantize=, or a smaller model");
  }
}

}  // namespace chiasm
