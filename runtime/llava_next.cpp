/// LLaVA-NeXT and LLaVA-OneVision: LLaVA over pictures of any resolution. A base tile comes first,
/// then the rows of the tiled picture, without its padding, each with a learned row at its end.
/// Source: transformers' LlavaNextForConditionalGeneration, LlavaOnevisionForConditionalGeneration
/// and their processors; Liu et al., 2024; Li et al., 2024, arXiv:2408.03326.
#include <algorithm>
#include <string>
#include <utility>

#include "runtime/prompt.h"
#include "runtime/vit_family.h"
#include "vision/anyres.h"
#include "vision/anyres_processor.h"
#include "vision/feature_resize.h"
#include "vision/plain_processor.h"

namespace chiasm {

namespace {

using vision::AnyresKind;

constexpr VitFamilyOptions kNext{.name = "llava_next", .assembles = true};
constexpr VitFamilyOptions kOnevision{.name = "llava_onevision",
                                      .vision_type = "siglip_vision_model",
                                      .feature_layer = -1,
                                      .select = "full",
                                      .assembles = true};

NamedTensor integers(const char* name, Shape shape, std::initializer_list<std::int64_t> values) {
  NamedTensor out{name, Tensor(DType::i64, shape)};
  std::copy(values.begin(), values.end(), out.values.view<std::int64_t>().data());
  return out;
}

class LlavaAnyres : public VitFamily {
 public:
  LlavaAnyres(const FamilyParts& p, AnyresKind kind)
      : VitFamily(p, kind == AnyresKind::llava_next ? kNext : kOnevision),
        kind_(kind),
        processor_(p.image_settings(), kind),
        newline_(find_scope(p.weights, {"", "model"}, "image_newline")
                     .floats("image_newline", {decoder().config().hidden_size})),
        decoder_type_(p.config["text_config"].str("model_type", "llama")),
        chat_markup_(p.tokenizer.find("<|im_start|>").has_value()) {
    if (kind == AnyresKind::llava_onevision) {
      if (p.config.has("video_token_index")) {
        video_token_ = std::int32_t(p.config["video_token_index"].integer());
        video_placeholder_ = p.tokenizer.token_text(*video_token_);
        const Json settings = vision::video_processor_settings(p.folder);
        frames_.emplace(settings, vision::PlainKind::onevision_frame);
        sampler_ = vision::VideoSampler::read(settings, vision::FrameSampling::uniform);
      }
      most_tiles_ = vision::anyres_max_tiles(p.config.str("vision_aspect_ratio", "anyres_max_9"));
    }
    finish(p);
  }

  MediumLayout layout(std::int64_t width, std::int64_t height,
                      std::size_t pictures) const override {
    vision::TileLayout tiles = processor_.layout(width, height);
    // OneVision cuts a lone picture only.
    if (kind_ == AnyresKind::llava_onevision && pictures > 1) tiles.tiles.resize(1);
    MediumLayout out = layout_of(tiles);
    out.tokens = is_cut(out) ? grid(width, height).tokens() : out.tokens + 1;
    out.expansion = image_tokens(out.tokens);
    return out;
  }

  PictureTiles tiles(std::int64_t width, std::int64_t height, std::size_t pictures) const override {
    const vision::TileLayout cut = processor_.layout(width, height);
    PictureTiles out(width, height);
    if (!is_cut(layout(width, height, pictures))) {
      add_tile(out, processor_.whole_shown(width, height), cut.tiles[0]);
      out.add_token(-1, {});
      return out;
    }
    const std::vector<Region> regions = processor_.shown(width, height);
    add_tile(out, regions[0], cut.tiles[0]);
    out.tiles[0].overview = true;
    out.rows = cut.rows;
    out.cols = cut.cols;
    for (std::size_t i = 1; i < regions.size(); i++) out.add_tile(regions[i], cut.tiles[i]);
    const vision::AnyresGrid g = grid(width, height);
    for (std::int64_t y = 0; y < g.out_height; y++) {
      for (std::int64_t x = 0; x < g.out_width; x++) add_shown(g, regions, y, x, out);
      out.add_token(-1, {});
    }
    return out;
  }

  Prepared preprocess(const Context& ctx, const vision::Image& image,
                      const MediumLayout& layout) const override {
    return is_cut(layout) ? processor_(ctx, image) : processor_.whole(ctx, image);
  }

  std::optional<std::int32_t> video_token() const override { return video_token_; }
  std::string_view video_placeholder() const override { return video_placeholder_; }
  const vision::VideoSampler& sampler() const override { return sampler_; }

  /// Each frame is one tile, whose features are halved along both sides.
  MediumLayout video_layout(const vision::TakenFrames& video) const override {
    const vision::TileLayout frame = frames_->layout(video.width, video.height);
    vision::TileLayout tiles;
    tiles.tiles.assign(video.indices.size(), frame.tiles[0]);
    MediumLayout out = layout_of(tiles);
    out.tokens = video.count() * pooled() * pooled() + 1;
    for (std::int64_t i = 0; i < out.tokens; i++) out.expansion += video_placeholder_;
    return out;
  }

  void add_frame(const Context& ctx, const vision::Image& frame, const MediumLayout&,
                 Prepared& video) const override {
    vision::append_frame((*frames_)(ctx, frame), video);
  }

  std::vector<NamedTensor> video_output(const Prepared& video) const override {
    std::vector<NamedTensor> out;
    out.push_back(all_tiles(video, "pixel_values_videos"));
    return out;
  }

  std::vector<NamedTensor> processor_output(const Prepared& picture) const override {
    std::vector<NamedTensor> out;
    out.push_back(all_tiles(picture, "pixel_values"));
    out.push_back(integers("image_sizes", {1, 2}, {picture.source_height, picture.source_width}));
    if (kind_ == AnyresKind::llava_onevision) {
      out.push_back(integers("batch_num_images", {1}, {1}));
    }
    return out;
  }

  Tensor assemble(const Context& ctx, const PlacedMedium& medium, Tensor features) const override {
    if (medium.video) return assemble_video(ctx, medium, features);
    const std::int64_t dim = feature_width(), base = side() * side();
    Tensor out = float_tensor({medium.layout.tokens, dim});
    const auto from = std::as_const(features).view<float>();
    const auto to = out.view<float>();
    std::copy_n(from.data(), base * dim, to.data());
    if (is_cut(medium.layout)) {
      append_rows(grid(medium.width, medium.height), from, to.slice_rows(base, to.rows() - base));
    } else {
      std::copy_n(newline_.view<float>().data(), dim, to.row(base));
    }
    ctx.show("projector.out", to);
    return out;
  }

  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              const TurnMedia& media) const override {
    const std::string image(placeholder());
    std::string images, lines;
    for (std::size_t i = 0; i < media.pictures; i++) {
      images += image;
      lines += image + "\n";
    }
    for (std::size_t i = 0; i < media.videos; i++) images += video_placeholder_;
    const auto with = [&](const std::string& before, const std::string& after) {
      return std::vector<PromptSpan>{{before, true}, {words, false}, {after, true}};
    };
    if (kind_ == AnyresKind::llava_onevision) {
      return with("<|im_start|>user " + images + "\n", "<|im_end|><|im_start|>assistant\n");
    }
    // LLaVA-NeXT's formats are those of its decoders; others than these two are left to templates.
    if (chat_markup_) return std::nullopt;
    if (decoder_type_ == "mistral") return with(begin() + "[INST] " + lines, " [/INST]");
    if (decoder_type_ == "llama") return with(begin() + "USER: " + lines, " ASSISTANT:");
    return std::nullopt;
  }

 private:
  /// Tokens along one side of a frame.
  std::int64_t pooled() const { return (side() + 1) / 2; }

  /// All tiles as [1, tiles, 3, height, width].
  static NamedTensor all_tiles(const Prepared& medium, const char* name) {
    const NamedTensor pixels = pixel_values(medium);
    const vision::Tile& tile = medium.tile(0);
    NamedTensor out{name, float_tensor({1, medium.count(), 3, tile.height, tile.width})};
    std::copy_n(pixels.values.data(), pixels.values.bytes(), out.values.data());
    return out;
  }

  /// features: [frames * side^2, dim]; returns [frames * pooled^2 + 1, dim], the newline last.
  Tensor assemble_video(const Context& ctx, const PlacedMedium& medium,
                        const Tensor& features) const {
    const std::int64_t dim = feature_width(), small = pooled() * pooled();
    Tensor out = float_tensor({medium.layout.tokens, dim});
    const auto from = features.view<float>();
    const auto to = out.view<float>();
    for (std::int64_t i = 0; i < medium.video->taken.count(); i++) {
      vision::resize_features(from.slice_rows(i * side() * side(), side() * side()),
                              {side(), side()}, {pooled(), pooled()},
                              to.slice_rows(i * small, small));
    }
    std::copy_n(newline_.view<float>().data(), dim, to.row(to.rows() - 1));
    ctx.show("projector.out", to);
    return out;
  }

  static bool is_cut(const MediumLayout& layout) { return layout.pieces.size() > 1; }

  vision::AnyresGrid grid(std::int64_t width, std::int64_t height) const {
    const vision::TileLayout tiles = processor_.layout(width, height);
    return vision::anyres_grid({height, width}, tiles.rows, tiles.cols, side(), most_tiles_);
  }

  /// Adds the token (y, x) of the part that shows picture, and with what it shows the tile that
  /// holds its middle. `regions`: of all tiles, the base first.
  static void add_shown(const vision::AnyresGrid& g, const std::vector<Region>& regions,
                        std::int64_t y, std::int64_t x, PictureTiles& out) {
    const auto side = double(g.side);
    const double h = double(g.height) / double(g.out_height);  // patches of a token
    const double w = double(g.width) / double(g.out_width);
    const double top = double(g.top) + double(y) * h, left = double(g.left) + double(x) * w;
    const auto row = std::int64_t((top + h / 2) / side), col = std::int64_t((left + w / 2) / side);
    const std::int64_t tile = 1 + row * g.cols + col;
    const double cell_row = (top - double(row) * side) / h,
                 cell_col = (left - double(col) * side) / w;
    out.add_token(tile, regions[std::size_t(tile)].cell(cell_row, cell_col, side / h, side / w));
  }

  /// The part that shows picture, shrunk where it must be, with newlines.
  /// tiles: [tiles * side^2, dim], the base first; out: [out_height * (out_width + 1), dim].
  void append_rows(const vision::AnyresGrid& g, TensorView<const float> tiles,
                   TensorView<float> out) const {
    const std::int64_t dim = tiles.cols();
    Tensor shown = float_tensor({g.height * g.width, dim});
    for (std::int64_t i = 0; i < g.height * g.width; i++) {
      const vision::PatchSource at = vision::shown_patch(g, i / g.width, i % g.width);
      std::copy_n(tiles.row((at.tile * g.side + at.row) * g.side + at.col), dim,
                  shown.view<float>().row(i));
    }
    if (g.is_shrunk()) {
      Tensor shrunk = float_tensor({g.out_height * g.out_width, dim});
      vision::resize_features(std::as_const(shown).view<float>(), {g.height, g.width},
                              {g.out_height, g.out_width}, shrunk.view<float>());
      shown = std::move(shrunk);
    }
    const auto rows = shown.view<float>();
    for (std::int64_t y = 0; y < g.out_height; y++) {
      float* to = out.row(y * (g.out_width + 1));
      std::copy_n(rows.row(y * g.out_width), g.out_width * dim, to);
      std::copy_n(newline_.view<float>().data(), dim, to + g.out_width * dim);
    }
  }

  AnyresKind kind_;
  vision::AnyresProcessor processor_;
  std::optional<vision::PlainProcessor> frames_;  // of videos, which OneVision alone sees
  vision::VideoSampler sampler_;
  std::optional<std::int32_t> video_token_;
  std::string video_placeholder_;
  Tensor newline_;  // [d_model]
  std::string decoder_type_;
  bool chat_markup_;             // the tokenizer has "<|im_start|>"
  std::int64_t most_tiles_ = 0;  // whose features fit without being shrunk; 0: never shrunk
};

}  // namespace

std::unique_ptr<Family> make_llava_next(const FamilyParts& parts) {
  return std::make_unique<LlavaAnyres>(parts, AnyresKind::llava_next);
}

std::unique_ptr<Family> make_llava_onevision(const FamilyParts& parts) {
  return std::make_unique<LlavaAnyres>(parts, AnyresKind::llava_onevision);
}

}  // namespace chiasm
