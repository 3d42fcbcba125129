#include "runtime/two_towers.h"

namespace chiasm {

language::TextEncoderNames clip_text_names() {
  return {.words = "embeddings.token_embedding.weight",
          .positions = "embeddings.position_embedding.weight",
          .types = "",
          .embedding_norm = "",
          .layers = "encoder.layers",
          .final_norm = "final_layer_norm",
          .norm1 = "layer_norm1",
          .norm2 = "layer_norm2",
          .q = "self_attn.q_proj",
          .k = "self_attn.k_proj",
          .v = "self_attn.v_proj",
          .out = "self_attn.out_proj",
          .up = "mlp.fc1",
          .down = "mlp.fc2"};
}

TwoTowers::TwoTowers(const FamilyParts& p, const Options& o)
    : size_(o.size),
      pad_(o.pad),
      processor_(vision::PlainProcessor::load(p.folder, o.processor)),
      text_(p.ctx, o.text, p.weights.scope("text_model"), p.formats.text),
      vision_(p.ctx, o.vision, p.weights.scope("vision_model"), p.formats.vision, p.formats.plain) {
  if (size_ < 1 || size_ > 1 << 16) {
    fail<ModelError>(p.config.where(), ": vectors of ", size_, " numbers");
  }
  if (pad_ >= text().vocab_size) {
    fail<ModelError>(p.config.where(), ": the padding token ", pad_,
                     " is outside the vocabulary of ", text().vocab_size);
  }
}

void TwoTowers::describe(EmbedderInfo& info) const {
  info.size = size_;
  info.max_tokens = text().max_tokens();
  info.patches_per_picture = vision().rows();
  info.logit_scale = logit_scale_;
  info.logit_bias = logit_bias_;
}

std::vector<std::int32_t> TwoTowers::tokens(const language::Tokenizer& tokenizer,
                                            std::span<const language::TextSpan> text) const {
  return tokenizer.encode_spans(text);
}

void TwoTowers::embed_texts(const Context& ctx, std::span<const std::vector<std::int32_t>> texts,
                            Arena& arena, TensorView<float> out) const {
  std::vector<std::vector<std::int32_t>> ids(texts.begin(), texts.end());
  std::int64_t count = 0;
  for (auto& text_ids : ids) {
    if (pad_ >= 0) text_ids.resize(std::size_t(text().max_tokens()), pad_);
    count += std::int64_t(text_ids.size());
  }
  Arena::Frame frame(arena);
  const auto rows = arena.floats({count, text().hidden_size}, "text rows");
  text_.forward(ctx, ids, arena, rows);  // [tokens of all texts, hidden]
  text_vectors(ctx, ids, rows, arena, out);
}

vision::PreparedPicture TwoTowers::preprocess(const Context& ctx,
                                              const vision::Image& image) const {
  return processor_(ctx, image);
}

void TwoTowers::embed_images(const Context& ctx, std::span<const vision::PreparedPicture> images,
                             Arena& arena, TensorView<float> out) const {
  std::vector<vision::VitTile> tiles;
  for (const vision::PreparedPicture& image : images) tiles.push_back({&image, 0});
  Arena::Frame frame(arena);
  const auto rows = arena.floats(
      {std::int64_t(tiles.size()) * vision().rows(), vision().blocks.hidden_size}, "features");
  vision_.forward(ctx, tiles, arena, rows);  // [pictures * rows, hidden]
  ctx.show("vision.out", rows);
  picture_vectors(ctx, rows, arena, out);
}

}  // namespace chiasm
