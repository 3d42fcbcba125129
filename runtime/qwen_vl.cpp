/// Qwen2-VL, Qwen2.5-VL and Qwen3-VL: an encoder of pictures in their own shapes, neighbours merged
/// into tokens, a decoder with positions along time, height and width.
/// Source: transformers' Qwen2VL-, Qwen2_5_VL- and Qwen3VLForConditionalGeneration and their
/// processors; Wang et al., 2024, arXiv:2409.12191; Bai et al., 2025, arXiv:2502.13923.
#include <algorithm>
#include <cstdio>
#include <string>

#include "core/staged.h"
#include "kernels/embed.h"
#include "projector/patch_merger.h"
#include "runtime/family.h"
#include "runtime/mrope.h"
#include "runtime/scopes.h"
#include "vision/qwen_video_processor.h"
#include "vision/qwen_vision.h"

namespace chiasm {

namespace {

using projector::PatchMerger;

/// The text model's settings; published folders of the second generation have them outermost.
Json text_settings(const Json& config) {
  return config.has("text_config") ? config["text_config"] : config;
}

/// "1.5": transformers' f"{seconds:.1f}".
std::string tenths(double seconds) {
  char text[32];
  const int n = std::snprintf(text, sizeof text, "%.1f", seconds);
  return {text, std::size_t(std::clamp(n, 0, int(sizeof text) - 1))};
}

class QwenVl : public Family {
 public:
  explicit QwenVl(const FamilyParts& p)
      : QwenVl(p, p.config["model_type"].str(),
               language::DecoderConfig::from_json(text_settings(p.config)),
               find_scope(p.weights, {"visual", "model.visual"}, "patch_embed.proj.weight"),
               TextScopes::find(p.weights)) {}

  QwenVl(const FamilyParts& p, std::string family, const language::DecoderConfig& text,
         const Weights& visual, const TextScopes& scopes)
      : family_(std::move(family)),
        processor_(vision::QwenVlProcessor::load(p.folder)),
        videos_(vision::QwenVideoProcessor::load(p.folder, family_ == "qwen3_vl"
                                                               ? vision::QwenVideoKind::qwen3_vl
                                                               : vision::QwenVideoKind::qwen2_vl)),
        sampler_(videos_.way(), videos_.rule()),
        encoder_(p.ctx, vision::QwenVisionConfig::from_json(p.config["vision_config"], family_),
                 visual, p.formats.vision, p.formats.plain),
        merger_(merger(p, visual.scope("merger"), false)),
        decoder_(p.ctx, text, scopes.model, scopes.head, tied(p, text), p.formats.text),
        image_token_(std::int32_t(p.config["image_token_id"].integer())),
        placeholder_(p.tokenizer.token_text(image_token_)),
        begin_(marker(p, "vision_start_token_id")),
        end_(marker(p, "vision_end_token_id")),
        video_placeholder_(marker(p, "video_token_id")) {
    if (!video_placeholder_.empty()) {
      video_token_ = std::int32_t(p.config["video_token_id"].integer());
    }
    if (family_ == "qwen2_5_vl") {
      tokens_per_second_ = p.config["vision_config"].number("tokens_per_second", 4);
    }
    const auto& c = encoder_.config();
    for (std::size_t i = 0; i < c.deep_layers.size(); i++) {
      deep_.push_back(merger(p, visual.scope("deepstack_merger_list", std::int64_t(i)), true));
    }
    check(p.config, text.hidden_size);
    p.weights.finish([&](std::string_view name) {
      return name.ends_with("rotary_emb.inv_freq") || name.ends_with("rotary_pos_emb.inv_freq") ||
             (tied(p, text) && name.ends_with("lm_head.weight"));
    });
  }

  const language::Decoder& decoder() const override { return decoder_; }
  std::string_view placeholder() const override { return placeholder_; }
  std::string picture_text() const override { return begin_ + placeholder_ + end_; }
  std::optional<std::int32_t> image_token() const override { return image_token_; }
  std::optional<std::int32_t> video_token() const override { return video_token_; }
  std::string_view video_placeholder() const override { return video_placeholder_; }
  std::string video_text() const override { return begin_ + video_placeholder_ + end_; }
  const vision::VideoSampler& sampler() const override { return sampler_; }
  std::size_t weight_bytes() const override {
    std::size_t total = encoder_.bytes() + merger_.bytes() + decoder_.bytes();
    for (const PatchMerger& m : deep_) total += m.bytes();
    return total;
  }

  void describe(ModelInfo& info) const override {
    const auto& c = encoder_.config();
    info.family = family_;
    info.image_token = placeholder_;
    info.vision_hidden_size = c.blocks.hidden_size;
    info.vision_layers = c.blocks.layers;
  }

  MediumLayout layout(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::PatchGrid grid = processor_.layout(width, height);
    const auto& patch = processor_.patch();
    MediumLayout out;
    out.tokens = processor_.tokens(grid);
    out.pieces = {Piece{grid.patches(), out.tokens}};
    out.bytes = grid.patches() * patch.size * patch.size * 3;
    out.grid = {grid.t, grid.h / patch.merge, grid.w / patch.merge};
    out.resized_width = grid.w * patch.size;
    out.resized_height = grid.h * patch.size;
    for (std::int64_t i = 0; i < out.tokens; i++) out.expansion += placeholder_;
    return out;
  }

  /// One piece for each step in time, which the encoder takes whole.
  MediumLayout video_layout(const vision::TakenFrames& video) const override {
    const vision::PatchGrid grid = videos_.layout(video.count(), video.width, video.height);
    const auto& patch = videos_.patch();
    MediumLayout out;
    out.tokens = videos_.tokens(grid);
    out.pieces.assign(std::size_t(grid.t), Piece{grid.h * grid.w, out.tokens / grid.t});
    out.bytes = video.count() * grid.h * grid.w * patch.size * patch.size * 3;
    out.grid = {grid.t, grid.h / patch.merge, grid.w / patch.merge};
    if (tokens_per_second_ > 0) {  // as float32 tensors, in the reference
      const double seconds = double(patch.frames) / video.taken_fps();
      out.time_step = float(tokens_per_second_) * float(seconds);
    }
    std::string step;
    for (std::int64_t i = 0; i < out.pieces[0].rows; i++) step += video_placeholder_;
    out.steps_apart = family_ == "qwen3_vl";
    if (out.steps_apart) {
      for (const double at : vision::group_seconds(video.indices, video.fps(), patch.frames)) {
        out.expansion += "<" + tenths(at) + " seconds>" + begin_ + step + end_;
      }
    } else {
      for (std::int64_t i = 0; i < grid.t; i++) out.expansion += step;
    }
    return out;
  }

  void add_frame(const Context& ctx, const vision::Image& frame, const MediumLayout& layout,
                 Prepared& video) const override {
    const std::int64_t token = videos_.patch().size * videos_.patch().merge;
    videos_.add_frame(ctx, frame, {layout.grid[1] * token, layout.grid[2] * token}, video);
  }

  PictureTiles tiles(std::int64_t width, std::int64_t height, std::size_t) const override {
    const vision::PatchGrid grid = processor_.layout(width, height);
    const std::int64_t merge = processor_.patch().merge;
    PictureTiles out(width, height);
    out.add_tile(Region::whole(out.size()), processor_.resized(width, height), grid.h / merge,
                 grid.w / merge);
    return out;
  }

  Prepared preprocess(const Context& ctx, const vision::Image& image,
                      const MediumLayout&) const override {
    return processor_(ctx, image);
  }

  std::vector<NamedTensor> processor_output(const Prepared& picture) const override {
    return patch_rows(picture, "pixel_values", "image_grid_thw");
  }

  std::vector<NamedTensor> video_output(const Prepared& video) const override {
    return patch_rows(video, "pixel_values_videos", "video_grid_thw");
  }

  bool runs_on_device() const override { return true; }

  void encode(const Context& ctx, std::span<const PieceRef> pieces, Arena& host,
              TensorView<float> out) const override {
    const auto& c = encoder_.config();
    const std::int64_t width = c.out_hidden_size;
    std::vector<vision::QwenStep> steps;
    for (const PieceRef& piece : pieces) steps.push_back({piece.medium, piece.index});
    const std::vector<std::int64_t> order = encoder_.token_order(steps);
    const Pass pass(ctx, host);
    Arena& arena = pass.arena();
    const auto rows = unwritten(ctx, out, arena);
    std::vector<std::int32_t> row_of(order.size());
    for (std::size_t i = 0; i < order.size(); i++) {
      row_of[std::size_t(order[i])] = std::int32_t(i);
    }
    const auto x =
        arena.floats({out.rows() * c.patch.merge * c.patch.merge, c.blocks.hidden_size}, "x");
    const auto merged = arena.floats({out.rows(), width}, "merged");
    const auto lay = [&](std::int64_t first_column) {  // tokens back in reading order
      kernels::move_rows(ctx, merged, row_of, rows.slice_cols(first_column, width));
    };
    encoder_.forward(ctx, steps, arena, x, [&](std::int64_t layer, TensorView<const float> state) {
      const auto at = std::ranges::find(c.deep_layers, layer);
      if (at == c.deep_layers.end()) return;
      const auto level = at - c.deep_layers.begin();
      deep_[std::size_t(level)].forward(ctx, state, arena, merged);
      lay((level + 1) * width);
    });
    merger_.forward(ctx, x, arena, merged, "vision.out");
    lay(0);
    ctx.show("projector.out", rows.slice_cols(0, width));
    bring_back(ctx, rows, out);
  }

  std::int64_t piece_macs(const Piece& piece) const override {
    std::int64_t row = merger_.macs();
    for (const PatchMerger& m : deep_) row += m.macs();
    return encoder_.macs(piece.patches) + piece.rows * row;
  }

  std::size_t encode_bytes(std::int64_t patches, std::int64_t rows) const override {
    const std::int64_t patch = encoder_.config().blocks.hidden_size + encoder_.scratch_per_row() +
                               merger_.scratch_per_row();
    return std::size_t(patches * patch + rows * encoder_.config().out_hidden_size) * sizeof(float);
  }

  std::int64_t feature_width() const override {
    return encoder_.config().out_hidden_size * std::int64_t(1 + deep_.size());
  }

  Arrangement arrange(const Prompt& prompt) const override { return grid_positions(prompt); }

  std::optional<std::vector<PromptSpan>> turn(const std::string& words,
                                              const TurnMedia& media) const override {
    std::string before;  // the third generation has no system turn of its own
    if (family_ != "qwen3_vl") {
      before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n";
    }
    before += "<|im_start|>user\n";
    for (std::size_t i = 0; i < media.pictures; i++) before += picture_text();
    for (std::size_t i = 0; i < media.videos; i++) before += video_text();
    return std::vector<PromptSpan>{
        {before, true}, {words, false}, {"<|im_end|>\n<|im_start|>assistant\n", true}};
  }

 private:
  std::vector<NamedTensor> patch_rows(const Prepared& medium, const char* pixels,
                                      const char* grid_name) const {
    const auto& patch = processor_.patch();
    const std::int64_t t = (medium.count() + patch.frames - 1) / patch.frames;
    const std::int64_t h = medium.tile(0).height / patch.size;
    const std::int64_t w = medium.tile(0).width / patch.size;
    std::vector<NamedTensor> out;
    out.push_back({pixels, float_tensor({t * h * w, patch.values()})});
    const auto rows = out[0].values.view<float>();
    for (std::int64_t i = 0; i < t; i++) {
      vision::write_patch_rows(medium, patch, i, rows.row(i * h * w));
    }
    out.push_back({grid_name, Tensor(DType::i64, {1, 3})});
    const std::array<std::int64_t, 3> grid{t, h, w};
    std::ranges::copy(grid, out[1].values.view<std::int64_t>().data());
    return out;
  }

  static bool tied(const FamilyParts& p, const language::DecoderConfig& text) {
    return p.config.boolean("tie_word_embeddings", text.tied);
  }
  static std::string marker(const FamilyParts& p, std::string_view key) {
    if (!p.config.has(key)) return {};
    return std::string(p.tokenizer.token_text(std::int32_t(p.config[key].integer())));
  }

  PatchMerger merger(const FamilyParts& p, const Weights& weights, bool norm_joined) const {
    const auto& c = encoder_.config();
    PatchMerger::Names names;
    if (family_ == "qwen3_vl") names = {"norm", "linear_fc1", "linear_fc2"};
    const std::int64_t merged = c.patch.merge * c.patch.merge;
    return {p.ctx, weights,       {c.blocks.hidden_size, merged, c.out_hidden_size, norm_joined},
            names, c.blocks.norm, p.formats.vision};
  }

  void check(const Json& config, std::int64_t hidden_size) const {
    const auto& c = encoder_.config();
    const auto& patch = processor_.patch();
    const auto& cube = videos_.patch();
    if (cube.size != patch.size || cube.frames != patch.frames || cube.merge != patch.merge) {
      fail<ModelError>(config["vision_config"].where(), ": patches of videos are of ", cube.size,
                       " pixels and ", cube.frames, " frames, merged by ", cube.merge,
                       "; those of pictures of ", patch.size, ", ", patch.frames, " and ",
                       patch.merge);
    }
    if (patch.size != c.patch.size || patch.frames != c.patch.frames ||
        patch.merge != c.patch.merge) {
      fail<ModelError>(config["vision_config"].where(), ": patches of ", c.patch.size,
                       " pixels and ", c.patch.frames, " frames, merged by ", c.patch.merge,
                       "; the processor makes ", patch.size, ", ", patch.frames, " and ",
                       patch.merge);
    }
    if (c.out_hidden_size != hidden_size) {
      fail<ModelError>(config["vision_config"].where(), ": tokens of ", c.out_hidden_size,
                       " numbers for a decoder of ", hidden_size);
    }
  }

  std::string family_;
  vision::QwenVlProcessor processor_;
  vision::QwenVideoProcessor videos_;
  vision::VideoSampler sampler_;
  vision::QwenVisionEncoder encoder_;
  PatchMerger merger_;
  std::vector<PatchMerger>
      deep_;  // of the encoder layers whose rows the decoder's first layers add
  language::Decoder decoder_;
  std::int32_t image_token_;
  std::string placeholder_, begin_, end_, video_placeholder_;
  std::optional<std::int32_t> video_token_;
  double tokens_per_second_ = 0;  // positions in time a second; 0: one a step
};

}  // namespace

std::unique_ptr<Family> make_qwen_vl(const FamilyParts& parts) {
  return std::make_unique<QwenVl>(parts);
}

}  // namespace chiasm
