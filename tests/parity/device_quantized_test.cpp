// Quantized decoders on the device beside the same weights on the CPU. The packed bytes are the
// same for every path, so that one decoder runs on all: in float32 on the reference path, with
// activations of 8 bits on the fastest one, and on the device, where activations stay float32 (few
// rows) or bfloat16 (many).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/device.h"
#include "core/json.h"
#include "language/decoder.h"
#include "tests/parity/golden_file.h"
#include "tests/support/kernels.h"
#include "tests/support/l2_error.h"
#include "tests/support/plugin_variable.h"

#ifdef CHIASM_EMULATED_PLUGIN

namespace chiasm::testing {
namespace {

using kernels::WeightFormat;
using language::Decoder;
using language::DecoderFormats;

class DeviceQuantized : public ::testing::TestWithParam<std::string> {
 protected:
  DeviceQuantized()
      : plugin_(CHIASM_EMULATED_PLUGIN),
        folder_(golden_root() / "models" / "llama_gqa"),
        config_(language::DecoderConfig::from_json(Json::load(folder_ / "config.json"))),
        checkpoint_(Checkpoint::open(folder_)) {}

  Decoder load(const DecoderFormats& formats) const {
    const Weights weights(checkpoint_);
    return {context(best_isa(), 2), config_, weights.scope("model"), weights,
            config_.tied,           formats};
  }

  /// Logits of a prompt that is read `step` rows at a time.
  std::vector<float> logits(const Decoder& decoder, const Context& ctx, std::int64_t step) {
    constexpr std::int64_t kRows = 40;
    const std::int64_t vocab = config_.vocab_size;
    Arena arena;
    const auto shape = decoder.kv_shape(DType::f32);
    language::KvPages pages = ctx.device != nullptr ? language::KvPages(shape, 2, *ctx.device)
                                                    : language::KvPages(shape, 2);
    language::SequenceState state(pages);
    std::vector<float> out(std::size_t(kRows * vocab));
    for (std::int64_t first = 0; first < kRows; first += step) {
      std::vector<std::int32_t> ids;
      for (std::int64_t i = first; i < first + step; i++) {
        ids.push_back(std::int32_t(i * 97 % vocab));
      }
      Arena::Frame frame(arena);
      const auto x = arena.floats({step, config_.hidden_size});
      const language::BatchPart part{&state, step};
      decoder.embed(ctx, ids, x);
      decoder.forward(ctx, pages, {&part, 1}, arena, x);
      decoder.logits(ctx, x, {out.data() + first * vocab, Shape{step, vocab}});
    }
    return out;
  }

  PluginVariable plugin_;
  std::filesystem::path folder_;
  language::DecoderConfig config_;
  Checkpoint checkpoint_;
};

TEST_P(DeviceQuantized, LogitsAreThoseOfTheSameWeights) {
  const DecoderFormats formats =
      GetParam() == "int8" ? DecoderFormats::all(WeightFormat::q8)
                           : DecoderFormats{WeightFormat::q8, WeightFormat::q8, WeightFormat::q4,
                                            WeightFormat::q4, WeightFormat::q8, true};
  const Decoder decoder = load(formats);
  Device device(0);
  Context on_device = context(best_isa(), 2);
  on_device.device = &device;
  const auto want = logits(decoder, context(Isa::reference, 2), 40);
  // Few rows: float32 added in another order. Many: activations and weights carry 8 bits.
  EXPECT_LE(l2_error(logits(decoder, on_device, 5), want), 1e-5);
  EXPECT_LE(l2_error(logits(decoder, on_device, 20), want), 1e-2);
  // The CPU rounds activations to 8 bits in groups of 32: about 1 % off, whatever the device does.
  const auto fast = logits(decoder, context(best_isa(), 2), 20);
  EXPECT_LE(l2_error(logits(decoder, on_device, 20), fast), 3e-2);
}

INSTANTIATE_TEST_SUITE_P(Formats, DeviceQuantized, ::testing::Values("int8", "int4"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace chiasm::testing

#endif
