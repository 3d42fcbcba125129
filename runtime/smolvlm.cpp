/// SmolVLM and Idefics3: SigLIP encoder over tiles, pixel shuffle, Llama decoder.
/// Source: transformers' SmolVLMForConditionalGeneration, SmolVLMProcessor, Idefics3Processor;
/// Laurençon et al., 2024, arXiv:2408.12637.
#include "runtime/smolvlm.h"

#include <string>

#include "core/staged.h"
#include "projector/pixel_shuffle.h"
#include "runtime/family.h"
#include "vision/idefics3_processor.h"
#include "vision/processor_settings.h"

namespace chiasm {

namespace {

/// What transformers' SmolVLMVisionConfig and Idefics3VisionConfig assume for missing keys.
constexpr vision::SiglipConfig kVisionDefaults{.hidden_size = 1152,
                                               .intermediate_size = 3072,
                                               .layers = 12,
                                               .heads = 16,
                                               .channels = 3,
                                               .image_size = 224,
                                               .patch_size = 32,
                                               .layer_norm_eps = 1e-6f,
                                               .activation = kernels::Activation::gelu_tanh};

/// Settings of the processor of frames, each of which is a whole picture without tiles. As in the
/// reference, "size" wins over that of "video_sampling".
Json frame_settings(const Json& video) {
  nlohmann::json settings = video.raw();
  settings["do_image_splitting"] = false;
  if (!video.has("size") && video.has("video_sampling") &&
      video["video_sampling"].has("video_size")) {
    settings["size"] = settings["video_sampling"]["video_size"];
  }
  return Json::parse(settings.dump(), "settings of videos");
}

class SmolVlm : public Family {
 public:
  explicit SmolVlm(const FamilyParts& p)
      : name_(p.config["model_type"].str()),
        tied_(p.config.boolean("tie_word_embeddings", false)),
        processor_(p.image_settings()),
        encoder_(p.ctx, smolvlm_vision_config(p.config), p.weights.scope("model.vision_model"),
                 p.formats.vision, p.formats.plain),
        decoder_(p.ctx, language::DecoderConfig::from_json(p.config["text_config"]),
                 p.weights.scope("model.text_model"), p.weights, tied_, p.formats.text),
        projector_(p.ctx, p.weights.scope("model.connector"), encoder_.config().hidden_size,
                   decoder_.config().hidden_size, p.config.integer("scale_factor", 2),
                   p.formats.vision),
        image_token_(std::int32_t(p.config["image_token_id"].integer())) {
    const std::int64_t side = tile_side(p.config) / projector_.factor();
    tokens_per_tile_ = side * side;
    check_tokens(p.tokenizer);
    if (name_ == "smolvlm") {
      const Json settings = vision::video_processor_settings(p.folder);
      frames_.emplace(frame_settings(settings));
      sampler_ = vision::VideoSampler::read(settings, vision::FrameSampling::smolvlm);
      if (frames_->grid_for(1, 1).tile_width != processor_.grid_for(1, 1).tile_width) {
        fail<ModelError>(settings.where(),
                         ".max_image_size: frames of videos are to be as large "
                         "as tiles of pictures");
      }
    }
    p.weights.finish([&](std::string_view name) {
      return name.ends_with("rotary_emb.inv_freq") || name.ends_with("position_ids") ||
             name.starts_with("chiasm.embed.") || (tied_ && name == "lm_head.weight");
    });
  }

  const language::Decoder& decoder() const override { return decoder_; }
  std::string_view placeholder() const override { return "<image>"; }
  std::optional<std::int32_t> image_token() const override { return image_token_; }
  std::optional<std::int32_t> video_token() const override {
    return frames_ ? image_token() : std::nullopt;
  }
  std::string_view video_placeholder() const override {
    return frames_ ? std::string_view("<video>") : std::string_view();
  }
  const vision::VideoSampler& sampler() const override { return sampler_; }
  std::size_t weight_bytes() const override {
    return encoder_.bytes() + projector_.bytes() + decoder_.bytes();
  }

  void describe(ModelInfo& info) const override {
    const auto& c = encoder_.config();
    info.family = name_;
    info.image_token = placeholder();
    info.vision_hidden_size = c.hidden_size;
    info.vision_layers = c.layers;
    info.image_size = c.image_size;
    info.patches_per_tile = side_ * side_;
    info.tokens_per_tile = tokens_per_tile_;
  }

  MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::TileGrid grid = processor_.grid_for(width, height);
    MediumLayout out;
    out.pieces.assign(std::size_t(grid.count()), Piece{side_ * side_, tokens_per_tile_});
    out.tokens = grid.count() * tokens_per_tile_;
    out.bytes = grid.count() * grid.tile_width * grid.tile_height * 3;
    out.expansion = expansion(grid);
    return out;
  }

  PictureTiles tiles(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::TileGrid grid = processor_.grid_for(width, height);
    const vision::PictureSize pixels{grid.tile_height, grid.tile_width};
    const std::int64_t side = side_ / projector_.factor();
    PictureTiles out(width, height);
    out.add_grid(grid.rows, grid.cols, pixels, side);
    out.add_tile(Region::whole(out.size()), pixels, side, side);
    out.tiles.back().overview = grid.rows > 0;
    return out;
  }

  Prepared preprocess(const Context& ctx, const vision::Image& image,
                      const MediumLayout&) const override {
    return processor_(ctx, image);
  }

  MediumLayout video_layout(const vision::TakenFrames& video) const override {
    const vision::TileGrid grid = frames_->grid_for(video.width, video.height);
    MediumLayout out;
    out.pieces.assign(std::size_t(video.count()), Piece{side_ * side_, tokens_per_tile_});
    out.tokens = video.count() * tokens_per_tile_;
    out.bytes = video.count() * grid.tile_width * grid.tile_height * 3;
    out.expansion = smolvlm_video_text(video, expansion({}));
    return out;
  }

  void add_frame(const Context& ctx, const vision::Image& frame, const MediumLayout&,
                 Prepared& video) const override {
    vision::append_frame((*frames_)(ctx, frame), video);
  }

  std::vector<NamedTensor> video_output(const Prepared& video) const override {
    return processor_output(video);
  }

  std::vector<NamedTensor> processor_output(const Prepared& tiles) const override {
    const std::int64_t n = tiles.count(), h = tiles.tile(0).height, w = tiles.tile(0).width;
    std::vector<NamedTensor> out;
    out.push_back({"pixel_values", float_tensor({1, n, 3, h, w})});
    out.push_back({"pixel_attention_mask", Tensor(DType::i64, {1, n, h, w})});
    const auto pixels = out[0].values.view<float>();
    const auto mask = out[1].values.view<std::int64_t>();
    for (std::int64_t i = 0; i < n; i++) {
      tiles.pixel_values(i, pixels.data() + i * 3 * h * w);
      const auto valid = tiles.tile(i).valid;
      for (std::int64_t y = 0; y < h; y++) {
        for (std::int64_t x = 0; x < w; x++) {
          mask.data()[(i * h + y) * w + x] = y < valid.height && x < valid.width ? 1 : 0;
        }
      }
    }
    return out;
  }

  bool runs_on_device() const override { return true; }

  void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& host,
              TensorView<float> out) const override {
    const auto count = std::int64_t(pieces.size());
    const Pass pass(ctx, host);
    Arena& arena = pass.arena();
    const auto rows = unwritten(ctx, out, arena);
    const auto features =
        arena.floats({count * side_ * side_, encoder_.config().hidden_size}, "features");
    {
      Arena::Frame inner(host);
      std::vector<vision::EncoderTile> inputs;
      for (const PieceRef& ref : pieces) {
        const vision::Tile& tile = ref.medium->tile(ref.index);
        const auto pixels = host.floats({3, tile.height, tile.width}, "pixels");
        ref.medium->pixel_values(ref.index, pixels.data());
        inputs.push_back({pixels, tile.valid.height, tile.valid.width});
      }
      encoder_.forward(ctx, inputs, arena, features);
    }
    projector_.forward(ctx, features, count, side_, arena, rows);
    bring_back(ctx, rows, out);
  }

  std::int64_t piece_macs(const Piece& piece) const override {
    const auto& c = encoder_.config();
    const std::int64_t dim = c.hidden_size, factor = projector_.factor();
    return piece.patches * (c.channels * c.patch_size * c.patch_size * dim +
                            encoder_.layers().macs_per_row(piece.patches)) +
           piece.rows * dim * factor * factor * decoder_.config().hidden_size;
  }

  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override {
    const auto& c = encoder_.config();
    const std::int64_t pixels = 3 * c.patch_size * c.patch_size;
    const std::int64_t patch = 2 * c.hidden_size + encoder_.layers().scratch_per_row() + pixels;
    return std::size_t(patches * patch + rows * decoder_.config().hidden_size) * sizeof(float);
  }

  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              const TurnMedia& media) const override {
    std::string begin = begin_ + "User:";
    for (std::size_t i = 0; i < media.pictures; i++) begin += placeholder();
    if (media.pictures == 0) begin += " ";
    for (std::size_t i = 0; i < media.videos; i++) begin += video_placeholder();
    return std::vector<PromptSpan>{
        {begin, true}, {words, false}, {"<end_of_utterance>\nAssistant:", true}};
  }

 private:
  /// Patches along a side of the processor's tiles. They need not be as large as the pictures that
  /// the encoder was trained on: its positions adapt.
  std::int64_t tile_side(const Json& config) {
    const vision::TileGrid grid = processor_.grid_for(1, 1);
    const std::int64_t patch = encoder_.config().patch_size, factor = projector_.factor();
    if (grid.tile_width != grid.tile_height || grid.tile_width % (patch * factor) != 0) {
      fail<ModelError>(config.where(), ": the processor's tiles of ", grid.tile_width, " x ",
                       grid.tile_height, " pixels do not divide into patches of ", patch,
                       " and a scale_factor of ", factor);
    }
    side_ = grid.tile_width / patch;
    return side_;
  }

  void check_tokens(const language::Tokenizer& tokenizer) {
    const auto id = tokenizer.find("<image>");
    if (!id || *id != image_token_) {
      fail<ModelError>("tokenizer.json: the token <image> is ",
                       id ? std::to_string(*id) : "missing", ", config.json's image_token_id is ",
                       image_token_);
    }
    // The published templates begin a conversation with one of these.
    for (const char* token : {"<|im_start|>", "<|begin_of_text|>"}) {
      if (tokenizer.find(token) && begin_.empty()) begin_ = token;
    }
    if (name_ == "idefics3" && tokenizer.find("<|begin_of_text|>")) begin_ = "<|begin_of_text|>";
  }

  /// transformers' get_image_prompt_string: tiles row by row, then the whole picture.
  std::string expansion(const vision::TileGrid& grid) const {
    const std::string around = "<fake_token_around_image>";
    std::string run;
    for (std::int64_t i = 0; i < tokens_per_tile_; i++) run += placeholder();
    std::string out;
    for (std::int64_t r = 1; r <= grid.rows; r++) {
      for (std::int64_t c = 1; c <= grid.cols; c++) {
        out += around + "<row_" + std::to_string(r) + "_col_" + std::to_string(c) + ">" + run;
      }
      out += "\n";
    }
    if (grid.rows > 0) out += "\n";
    return out + around + "<global-img>" + run + around;
  }

  std::string name_, begin_;
  bool tied_;
  vision::Idefics3Processor processor_;
  std::optional<vision::Idefics3Processor> frames_;  // of videos, where the family sees them
  vision::VideoSampler sampler_;
  vision::SiglipEncoder encoder_;
  language::Decoder decoder_;
  projector::PixelShuffleProjector projector_;
  std::int32_t image_token_;
  std::int64_t side_ = 0;  // patches along a side of a tile
  std::int64_t tokens_per_tile_ = 0;
};

}  // namespace

vision::SiglipConfig smolvlm_vision_config(const Json& config) {
  return vision::SiglipConfig::from_json(config["vision_config"], kVisionDefaults);
}

std::unique_ptr<Family> make_smolvlm(const FamilyParts& parts) {
  return std::make_unique<SmolVlm>(parts);
}

}  // namespace chiasm
