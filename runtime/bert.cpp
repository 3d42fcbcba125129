/// Text embedders of BERT's kind (MiniLM, E5, BGE, RoBERTa), pooled and prompted as their
/// sentence-transformers settings say. Sources: Devlin et al., 2019, arXiv:1810.04805; Reimers and
/// Gurevych, 2019, arXiv:1908.10084; transformers' BertModel and RobertaModel.
#include <algorithm>
#include <string>

#include "language/text_encoder.h"
#include "projector/pooling.h"
#include "runtime/embedder_family.h"
#include "runtime/scopes.h"
#include "runtime/sentence_settings.h"

namespace chiasm {

namespace {

/// A bert, roberta or xlm-roberta config.json; missing keys as in transformers' config classes.
language::TextEncoderConfig read_config(const Json& config) {
  const bool roberta = config["model_type"].str() != "bert";
  const std::string positions = config.str("position_embedding_type", "absolute");
  if (positions != "absolute") {
    fail<ModelError>(config.where(), ": position_embedding_type \"", positions,
                     "\" is not supported; absolute is");
  }
  if (config.boolean("is_decoder", false)) {
    fail<ModelError>(config.where(), ": is_decoder: a model that reads one way embeds no texts");
  }
  language::TextEncoderConfig c;
  c.hidden_size = config.integer("hidden_size", 768);
  c.intermediate_size = config.integer("intermediate_size", 3072);
  c.layers = config.integer("num_hidden_layers", 12);
  c.heads = config.integer("num_attention_heads", 12);
  c.vocab_size = config.integer("vocab_size", roberta ? 50265 : 30522);
  c.positions = config.integer("max_position_embeddings", 512);
  // RoBERTa's positions go on from the padding token's id.
  c.first_position = roberta ? config.integer("pad_token_id", 1) + 1 : 0;
  c.types = config.integer("type_vocab_size", 2);
  c.activation = kernels::activation_from_name(config.str("hidden_act", "gelu"));
  c.norm = {kernels::NormKind::layer, float(config.number("layer_norm_eps", 1e-12))};
  c.post_norm = true;
  c.names = {.words = "embeddings.word_embeddings.weight",
             .positions = "embeddings.position_embeddings.weight",
             .types = "embeddings.token_type_embeddings.weight",
             .embedding_norm = "embeddings.LayerNorm",
             .layers = "encoder.layer",
             .final_norm = "",
             .norm1 = "attention.output.LayerNorm",
             .norm2 = "output.LayerNorm",
             .q = "attention.self.query",
             .k = "attention.self.key",
             .v = "attention.self.value",
             .out = "attention.output.dense",
             .up = "intermediate.dense",
             .down = "output.dense"};
  c.check(config.where());
  return c;
}

class Bert : public EmbedderFamily {
 public:
  explicit Bert(const FamilyParts& p)
      : name_(p.config["model_type"].str()),
        settings_(SentenceSettings::load(p.folder)),
        encoder_(p.ctx, read_config(p.config),
                 find_scope(p.weights, {"", "bert", "roberta"}, "embeddings.LayerNorm.weight"),
                 p.formats.text) {
    // Heads of other uses: of the first token, of masked words, of classes.
    p.weights.finish([](std::string_view name) {
      return name.find("pooler.") != std::string_view::npos || name.starts_with("cls.") ||
             name.starts_with("lm_head.") || name.ends_with("position_ids");
    });
  }

  void describe(EmbedderInfo& info) const override {
    info.family = name_;
    info.size = encoder_.config().hidden_size;
    info.max_tokens = encoder_.config().max_tokens();
    if (settings_.max_tokens) info.max_tokens = std::min(info.max_tokens, *settings_.max_tokens);
  }

  std::size_t weight_bytes() const override { return encoder_.bytes(); }
  const EmbedderPrompts& prompts() const override { return settings_.prompts; }

  std::vector<std::int32_t> tokens(const language::Tokenizer& tokenizer,
                                   std::span<const language::TextSpan> text) const override {
    return tokenizer.encode_spans(text);
  }

  void embed_texts(const Context& ctx, std::span<const std::vector<std::int32_t>> texts,
                   Arena& arena, TensorView<float> out) const override {
    std::vector<std::int64_t> counts;
    std::int64_t rows = 0;
    for (const auto& text : texts) {
      counts.push_back(std::int64_t(text.size()));
      rows += counts.back();
    }
    Arena::Frame frame(arena);
    const auto x = arena.floats({rows, encoder_.config().hidden_size}, "text rows");
    encoder_.forward(ctx, texts, arena, x);              // [tokens of all texts, hidden]
    projector::pool(settings_.pooling, x, counts, out);  // [texts, hidden]
  }

 private:
  std::string name_;
  SentenceSettings settings_;
  language::TextEncoder encoder_;
};

}  // namespace

std::unique_ptr<EmbedderFamily> make_bert(const FamilyParts& parts) {
  return std::make_unique<Bert>(parts);
}

}  // namespace chiasm
