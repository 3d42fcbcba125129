#include "runtime/sentence_model.h"

#include <algorithm>

#include "projector/pooling.h"

namespace chiasm {

SentenceModel::SentenceModel(const FamilyParts& p, const language::TextEncoderConfig& config,
                             const Weights& weights,
                             const std::function<bool(std::string_view)>& ignored)
    : name_(p.config["model_type"].str()),
      settings_(SentenceSettings::load(p.folder)),
      encoder_(p.ctx, config, weights, p.formats.text) {
  p.weights.finish([&](std::string_view name) {
    return name.find("pooler.") != std::string_view::npos || name.starts_with("lm_head.") ||
           name.ends_with("position_ids") || ignored(name);
  });
  std::int64_t width = config.hidden_size;
  for (const DenseSettings& d : settings_.dense) {
    const Checkpoint checkpoint = Checkpoint::open(p.folder / d.folder);
    in_context(d.folder, [&] {
      if (d.in != width) {
        fail<ModelError>("takes vectors of ", d.in, " numbers, they have ", width);
      }
      const Weights own(checkpoint);
      dense_.push_back(
          {kernels::LinearLayer(p.ctx, own, {{"linear", d.out}}, d.in, d.bias, p.formats.plain),
           d.activation});
      own.finish([](std::string_view) { return false; });
    });
    width = d.out;
  }
}

void SentenceModel::describe(EmbedderInfo& info) const {
  info.family = name_;
  info.size = dense_.empty() ? encoder_.config().hidden_size : dense_.back().layer.out();
  info.max_tokens = encoder_.config().max_tokens();
  if (settings_.max_tokens) info.max_tokens = std::min(info.max_tokens, *settings_.max_tokens);
}

std::size_t SentenceModel::weight_bytes() const {
  std::size_t total = encoder_.bytes();
  for (const Dense& d : dense_) total += d.layer.bytes();
  return total;
}

std::vector<std::int32_t> SentenceModel::tokens(const language::Tokenizer& tokenizer,
                                                std::span<const language::TextSpan> text) const {
  return tokenizer.encode_spans(text);
}

void SentenceModel::embed_texts(const Context& ctx,
                                std::span<const std::vector<std::int32_t>> texts, Arena& arena,
                                TensorView<float> out) const {
  std::vector<std::int64_t> counts;
  std::int64_t rows = 0;
  for (const auto& text : texts) {
    counts.push_back(std::int64_t(text.size()));
    rows += counts.back();
  }
  Arena::Frame frame(arena);
  const std::int64_t hidden = encoder_.config().hidden_size;
  const auto count = std::int64_t(texts.size());
  const auto x = arena.floats({rows, hidden}, "text rows");
  encoder_.forward(ctx, texts, arena, x);  // [tokens of all texts, hidden]
  TensorView<float> vectors = dense_.empty() ? out : arena.floats({count, hidden}, "pooled");
  projector::pool(settings_.pooling, x, counts, vectors);  // [texts, hidden]
  Context plain = ctx;
  plain.adapted = nullptr;  // adapters change the encoder: these layers have a count of their own
  for (const Dense& d : dense_) {
    const auto next = &d == &dense_.back() ? out : arena.floats({count, d.layer.out()}, "dense");
    d.layer(plain, vectors, next, d.activation);  // [texts, out]
    vectors = next;
  }
}

}  // namespace chiasm
