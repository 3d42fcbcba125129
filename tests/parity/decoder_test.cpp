// The decoder alone, with the rows of an encoder beside it: a small random Whisper against
// transformers.
#include "language/decoder.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"
#include "tests/parity/golden_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/support/l2_error.h"
#include "tests/unit/all_close.h"

namespace chiasm::language {
namespace {

using namespace chiasm::testing;

class CrossDecoder : public ::testing::Test {
 protected:
  CrossDecoder()
      : folder_(golden_root() / "decoder"),
        config_(DecoderConfig::from_json(Json::load(folder_ / "config.json"))),
        checkpoint_(Checkpoint::open(folder_)),
        bytes_(read_file(folder_ / "golden.safetensors", 1 << 20)),
        golden_(parse_safetensors(std::as_bytes(std::span(bytes_)), "golden.safetensors")) {
    const Json ids = Json::load(folder_ / "golden.json")["ids"];
    for (const std::int64_t id : ids.integers()) ids_.push_back(std::int32_t(id));
  }

  Decoder load(const DecoderFormats& formats) const {
    const Weights weights(checkpoint_);
    Decoder decoder(context(best_isa(), 2), config_, weights.scope("model.decoder"), weights,
                    config_.tied, formats);
    weights.finish([](std::string_view) { return false; });
    return decoder;
  }
  std::vector<float> golden(const std::string& name) const {
    const TensorEntry& entry = golden_.at(name);
    std::vector<float> out(std::size_t(entry.shape.count()));
    std::memcpy(out.data(), entry.bytes.data(), entry.bytes.size());
    return out;
  }
  std::int64_t frames() const { return golden_.at("features").shape[0]; }

  /// What the golden features, times `factor`, are to the decoder.
  CrossMemory memory(const Decoder& decoder, DType dtype, float factor = 1) {
    std::vector<float> features = golden("features");
    for (float& f : features) f *= factor;
    return decoder.remember(context(best_isa(), 2), view(features, {frames(), config_.hidden_size}),
                            dtype, arena_);
  }
  /// Logits of all rows of sequences that look at `memories` and read all ids in steps of `rows`.
  std::vector<float> logits(const Decoder& decoder, DType dtype,
                            std::vector<const CrossMemory*> memories, std::int64_t rows,
                            const DeepRows* deep = nullptr) {
    const Context ctx = context(best_isa(), 2);
    const auto n = std::int64_t(ids_.size()), count = std::int64_t(memories.size()),
               vocab = config_.vocab_size;
    KvPages pages(decoder.kv_shape(dtype), 2 * count);
    std::vector<SequenceState> states;
    for (std::int64_t s = 0; s < count; s++) states.emplace_back(pages);
    std::vector<float> out(std::size_t(count * n * vocab));
    for (std::int64_t first = 0; first < n; first += rows) {
      const std::int64_t step = std::min(rows, n - first);
      Arena::Frame frame(arena_);
      const auto x = arena_.floats({count * step, config_.hidden_size});
      const auto y = arena_.floats({count * step, vocab});
      std::vector<BatchPart> parts;
      for (std::int64_t s = 0; s < count; s++) {
        decoder.embed(ctx, {ids_.data() + first, std::size_t(step)}, x.slice_rows(s * step, step));
        parts.push_back({&states[std::size_t(s)], step});
        parts.back().cross = memories[std::size_t(s)];
      }
      decoder.forward(ctx, pages, parts, arena_, x, deep);
      decoder.logits(ctx, x, y);
      for (std::int64_t s = 0; s < count; s++) {
        std::copy_n(y.row(s * step), step * vocab, out.data() + (s * n + first) * vocab);
      }
    }
    return out;
  }
  std::vector<float> logits_alone(const Decoder& decoder, DType dtype) {
    const CrossMemory seen = memory(decoder, dtype);
    return logits(decoder, dtype, {&seen}, 100);
  }

  std::filesystem::path folder_;
  DecoderConfig config_;
  Checkpoint checkpoint_;
  std::string bytes_;
  std::map<std::string, TensorEntry, std::less<>> golden_;
  std::vector<std::int32_t> ids_;
  Arena arena_;
};

// Bounds as for whole models, see model_parity_test.cpp.
TEST_F(CrossDecoder, LogitsAreTransformers) {
  using kernels::WeightFormat;
  const std::vector<float> want = golden("logits");
  EXPECT_LE(l2_error(logits_alone(load(DecoderFormats::all(WeightFormat::f32)), DType::f32), want),
            1e-5);
  EXPECT_LE(
      l2_error(logits_alone(load(DecoderFormats::all(WeightFormat::bf16)), DType::bf16), want),
      1e-2);
  // Packed by what flows through, without an encoder's rows. 4 bits of a random matrix are about 8
  // % off; twice that would be another function.
  const DecoderFormats int4{WeightFormat::q8, WeightFormat::q8, WeightFormat::q4,
                            WeightFormat::q4, WeightFormat::q8, true};
  EXPECT_LE(l2_error(logits_alone(load(int4), DType::bf16), want), 0.16);
}

TEST_F(CrossDecoder, ChunksAndNeighboursChangeNoBit) {
  using kernels::WeightFormat;
  for (const auto& [format, dtype] :
       {std::pair{WeightFormat::f32, DType::f32}, std::pair{WeightFormat::bf16, DType::bf16}}) {
    const Decoder decoder = load(DecoderFormats::all(format));
    const std::vector<float> alone = logits_alone(decoder, dtype);
    for (const std::int64_t rows : {1, 5, 23}) {
      const CrossMemory a = memory(decoder, dtype, -0.5f), b = memory(decoder, dtype);
      const auto all = logits(decoder, dtype, {&a, &b, nullptr, &b}, rows);
      const std::size_t n = alone.size();
      EXPECT_FALSE(bit_equal({all.data(), n}, alone));
      EXPECT_FALSE(bit_equal({all.data() + 2 * n, n}, alone));
      EXPECT_TRUE(bit_equal({all.data() + n, n}, alone)) << rows;
      EXPECT_TRUE(bit_equal({all.data() + 3 * n, n}, alone)) << rows;
    }
  }
}

TEST_F(CrossDecoder, DeepRowsJoinAfterTheirLayer) {
  const Decoder decoder = load(DecoderFormats::all(kernels::WeightFormat::f32));
  const std::vector<float> plain = logits_alone(decoder, DType::f32);
  const auto changed = [&](std::vector<float> features) {
    const std::int64_t cols = std::int64_t(features.size()) / 2;
    const DeepRows deep{{4, 9}, view(features, {2, cols})};
    const CrossMemory seen = memory(decoder, DType::f32);
    const auto got = logits(decoder, DType::f32, {&seen}, 100, &deep);
    std::vector<std::size_t> rows;
    const auto vocab = std::size_t(config_.vocab_size);
    for (std::size_t r = 0; r < ids_.size(); r++) {
      if (!bit_equal({got.data() + r * vocab, vocab}, {plain.data() + r * vocab, vocab})) {
        rows.push_back(r);
      }
    }
    return rows;
  };
  const auto dim = std::size_t(config_.hidden_size);
  EXPECT_TRUE(changed(std::vector<float>(4 * dim, 0.0f)).empty());
  // After the last layer nothing looks at other rows any more; after the first all later ones do.
  std::vector<float> last(4 * dim, 0.0f), first(2 * dim, 0.5f);
  for (std::size_t i = 0; i < dim; i++) last[dim + i] = last[3 * dim + i] = 0.1f * float(i % 7);
  EXPECT_EQ(changed(last), (std::vector<std::size_t>{4, 9}));
  EXPECT_EQ(changed(first).size(), ids_.size() - 4);
  EXPECT_TRUE(
      throws<ShapeError>([&] { changed(std::vector<float>(2 * dim + 2, 0.0f)); }, {"deep rows"}));
}

}  // namespace
}  // namespace chiasm::language
