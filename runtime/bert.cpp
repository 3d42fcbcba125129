/// Text embedders of BERT's kind: MiniLM, E5, BGE, RoBERTa. Sources: Devlin et al., 2019,
/// arXiv:1810.04805; transformers' BertModel and RobertaModel.
#include <string>

#include "runtime/scopes.h"
#include "runtime/sentence_model.h"

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

}  // namespace

std::unique_ptr<EmbedderFamily> make_bert(const FamilyParts& p) {
  return std::make_unique<SentenceModel>(
      p, read_config(p.config),
      find_scope(p.weights, {"", "bert", "roberta"}, "embeddings.LayerNorm.weight"),
      [](std::string_view name) { return name.starts_with("cls."); });  // of masked words
}

}  // namespace chiasm
