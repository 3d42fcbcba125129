/// InternVL: InternViT over tiles and a thumbnail, neighbours joined, a normed MLP, a decoder of
/// any kind.
/// Source: transformers' InternVLForConditionalGeneration, InternVLProcessor; Chen et al., 2024,
/// arXiv:2404.16821.
#include <cmath>
#include <string>

#include "runtime/vit_family.h"
#include "vision/internvl_processor.h"

namespace chiasm {

namespace {

/// "downsample_ratio" 0.5: two patches of each side become one token. The order within a token is
/// that of reading, as in Idefics3: transformers' two pixel_shuffle agree.
std::int64_t joined(const Json& config) {
  const double ratio = config.number("downsample_ratio", 0.5);
  const double side = 1 / ratio;
  if (!(side >= 1 && side <= 64) || side != std::floor(side)) {
    fail<ModelError>(config.where(), ".downsample_ratio: ", ratio,
                     ", expected one over a whole number up to 64");
  }
  return std::int64_t(side);
}

class InternVl : public VitFamily {
 public:
  explicit InternVl(const FamilyParts& p)
      : VitFamily(p, {.name = "internvl",
                      .vision_type = "internvl_vision",
                      .feature_layer = -1,
                      .last_is_normed = true,
                      .joined = joined(p.config),
                      .projector = {.norm = "layer_norm"}}),
        processor_(vision::InternVlProcessor::load(p.folder)) {
    const Json settings = Json::load(p.folder / "tokenizer_config.json");
    start_ = settings.str("start_image_token", "<img>");
    end_ = settings.str("end_image_token", "</img>");
    const Json videos = vision::video_processor_settings(p.folder);
    frames_.emplace(videos);
    sampler_ = vision::VideoSampler::read(videos, vision::FrameSampling::internvl);
    finish(p);
  }

  MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t) const override {
    MediumLayout out = layout_of(processor_.layout(width, height));
    out.expansion = start_ + image_tokens(out.tokens) + end_;
    return out;
  }

  PictureTiles tiles(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::TileLayout cut = processor_.layout(width, height);
    PictureTiles out(width, height);
    out.add_grid(cut.rows, cut.cols, cut.tiles[0], side());
    add_tile(out, Region::whole(out.size()), cut.tiles.back());
    out.tiles.back().overview = cut.rows > 0;
    return out;
  }

  Prepared preprocess(const Context& ctx, const vision::Image& image,
                      const MediumLayout&) const override {
    return processor_(ctx, image);
  }

  std::optional<std::int32_t> video_token() const override { return image_token(); }
  std::string_view video_placeholder() const override { return "<video>"; }
  const vision::VideoSampler& sampler() const override { return sampler_; }

  /// Each frame whole, with its number before it.
  MediumLayout video_layout(const vision::TakenFrames& video) const override {
    const vision::PictureSize size = frames_->whole_size();
    vision::TileLayout tiles;
    tiles.tiles.assign(video.indices.size(), size);
    MediumLayout out = layout_of(tiles);
    const std::string frame = start_ + image_tokens(out.tokens / video.count()) + end_;
    for (std::int64_t i = 1; i <= video.count(); i++) {
      out.expansion += (i > 1 ? "\nFrame" : "Frame") + std::to_string(i) + ": " + frame;
    }
    return out;
  }

  void add_frame(const Context& ctx, const vision::Image& frame, const MediumLayout&,
                 Prepared& video) const override {
    vision::append_frame(frames_->whole(ctx, frame), video);
  }

  std::vector<NamedTensor> video_output(const Prepared& video) const override {
    return processor_output(video);
  }

  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              const TurnMedia& media) const override {
    std::string before = "<|im_start|>user\n";
    for (std::size_t i = 0; i < media.pictures; i++) before += std::string(placeholder()) + "\n";
    for (std::size_t i = 0; i < media.videos; i++)
      before += std::string(video_placeholder()) + "\n";
    return std::vector<PromptSpan>{
        {before, true}, {words, false}, {"<|im_end|>\n<|im_start|>assistant\n", true}};
  }

 private:
  vision::InternVlProcessor processor_;
  std::optional<vision::InternVlProcessor> frames_;  // of videos
  vision::VideoSampler sampler_;
  std::string start_, end_;  // around a picture's tokens
};

}  // namespace

std::unique_ptr<Family> make_internvl(const FamilyParts& parts) {
  return std::make_unique<InternVl>(parts);
}

}  // namespace chiasm
