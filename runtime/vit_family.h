#pragma once
/// What LLaVA and its relatives share: hidden states of a plain vision transformer, carried by an
/// MLP to a decoder of any kind.
#include <string>
#include <string_view>
#include <vector>

#include "projector/mlp.h"
#include "runtime/family.h"
#include "runtime/scopes.h"
#include "vision/processor_settings.h"
#include "vision/vit.h"

namespace chiasm {

/// In what such families differ, and what they assume where config.json is silent.
struct VitFamilyOptions {
  std::string_view name;
  std::string_view vision_type = "clip_vision_model";
  std::int64_t feature_layer = -2;      // "vision_feature_layer"
  std::string_view select = "default";  // "vision_feature_select_strategy": "full" keeps class rows
  bool last_is_normed = false;          // the last hidden state is what leaves the last norm
  bool assembles = false;               // tokens are made in assemble(), which then shows them
  std::int64_t joined = 1;              // patches that become one token, along each side
  projector::MlpProjector::Names projector{};
};

/// The tower's config up to the last layer that is used, and which hidden states are taken: 0 is
/// what enters the first layer, n what leaves layer n - 1.
struct VitTower {
  vision::VitConfig config;
  std::vector<std::int64_t> taken;

  static VitTower read(const Json& config, const VitFamilyOptions& options);
};

/// A family but for its processor and its prompt: layout(), preprocess(), turn() and, where tiles
/// are put together, assemble().
class VitFamily : public Family {
 public:
  const language::Decoder& decoder() const override { return decoder_; }
  std::string_view placeholder() const override { return placeholder_; }
  std::optional<std::int32_t> image_token() const override { return image_token_; }
  std::size_t weight_bytes() const override;
  void describe(ModelInfo& info) const override;
  std::vector<NamedTensor> processor_output(const Prepared& picture) const override;
  bool runs_on_device() const override { return true; }
  void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& arena,
              TensorView<float> out) const override;
  std::int64_t piece_macs(const Piece& piece) const override;
  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override;

 protected:
  VitFamily(const FamilyParts& p, const VitFamilyOptions& options);

  /// To be called when all weights are read. ModelError for what is left over.
  void finish(const FamilyParts& p) const;
  /// Tokens along one side of a tile.
  std::int64_t side() const { return encoder_.config().side() / options_.joined; }
  /// Adds a tile that shows `region`, and its tokens.
  void add_tile(PictureTiles& tiles, const Region& region, vision::PictureSize pixels) const;
  /// Pieces and bytes of a picture of these tiles; as many tokens as they have rows.
  MediumLayout layout_of(const vision::TileLayout& tiles) const;
  /// `count` placeholders.
  std::string image_tokens(std::int64_t count) const;
  /// The text of the token that prompts begin with; empty where there is none.
  const std::string& begin() const { return begin_; }

 private:
  VitFamily(const FamilyParts& p, const VitFamilyOptions& options, const VitTower& tower,
            const language::DecoderConfig& text, const TextScopes& scopes);
  void take(const Context& ctx, TensorView<const float> state, std::size_t column,
            TensorView<float> features) const;

  VitFamilyOptions options_;
  std::vector<std::int64_t> taken_;
  bool keeps_class_row_, tied_;
  vision::VitEncoder encoder_;
  projector::MlpProjector projector_;
  language::Decoder decoder_;
  std::int32_t image_token_;
  std::string placeholder_, begin_;
  // Rows of a tile: those left out at its head, those taken, those that the projector makes.
  std::int64_t dropped_ = 0, kept_ = 0, tokens_ = 0;
};

}  // namespace chiasm
