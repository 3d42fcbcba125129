#pragma once
/// What a model family is: how it preprocesses, assembles, places and prompts. One readable file
/// each.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "core/json.h"
#include "core/weights.h"
#include "language/decoder.h"
#include "language/tokenizer.h"
#include "runtime/model.h"
#include "vision/idefics3_processor.h"
#include "vision/image.h"

namespace chiasm {

/// How many tokens a picture of a given size becomes, known from its header alone.
struct PictureLayout {
  std::int64_t tokens = 0;      // image tokens
  std::int64_t tiles = 0;       // pictures the encoder sees
  std::int64_t tile_bytes = 0;  // of all tiles as 8-bit pixels
  std::string expansion;        // what the placeholder becomes in the prompt's text
};

/// One tile of a preprocessed picture.
struct TileRef {
  const vision::PreparedPicture* tiles;
  std::int64_t index;
};

/// A model family, assembled from concrete modules. With its counterpart for embedders
/// (embedder_family.h) the only abstract class of the runtime.
/// Immutable after loading; safe to share between threads.
class Family {
 public:
  virtual ~Family() = default;

  virtual const language::Decoder& decoder() const = 0;
  /// Fills in the family's own part of `info`.
  virtual void describe(ModelInfo& info) const = 0;
  virtual std::size_t weight_bytes() const = 0;

  /// The text that stands for one picture in a prompt ("<image>"), and the token that one row of
  /// features replaces. Empty and none for families without pictures.
  virtual std::string_view placeholder() const { return {}; }
  virtual std::optional<std::int32_t> image_token() const { return std::nullopt; }

  // The following four are called only when image_token() has a value.
  virtual PictureLayout layout(std::int64_t width, std::int64_t height) const;
  virtual vision::PreparedPicture preprocess(const Context& ctx, const vision::Image& image) const;
  /// What transformers' processor returns for the picture, by its names.
  virtual std::vector<NamedTensor> processor_output(const vision::PreparedPicture& tiles) const;
  /// Features of tiles of any pictures as one packed batch, ready to stand among the text's rows.
  /// All tiles have the same number of tokens. out: [tiles * tokens per tile, d_model].
  virtual void encode(const Context& ctx, std::span<const TileRef> tiles, Arena& arena,
                      TensorView<float> out) const;
  /// Scratch bytes of `encode` for `count` tiles.
  virtual std::size_t encode_bytes(std::int64_t count) const;

  /// One user turn with `pictures` placeholders before the words, ready for an answer; nothing for
  /// families without a format of their own.
  virtual std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                                      std::size_t pictures) const;
};

/// How a family's weights are kept. Norms, biases and position tables are float32 always.
struct WeightFormats {
  kernels::WeightFormat plain;  // of what is too sensitive to quantize (patch embeddings)
  language::DecoderFormats text;
  kernels::WeightFormat vision;  // the encoder's layers and the projector
};

/// What a family is made from.
struct FamilyParts {
  const Context& ctx;
  std::filesystem::path folder;
  Json config;
  Weights weights;
  WeightFormats formats;
  const language::Tokenizer& tokenizer;
};

/// Builds the family that config.json's model_type names; ModelError listing the supported ones.
std::unique_ptr<Family> make_family(const FamilyParts& parts);

// One per file; listed in families.cpp.
std::unique_ptr<Family> make_text_model(const FamilyParts& parts);
std::unique_ptr<Family> make_smolvlm(const FamilyParts& parts);

}  // namespace chiasm
