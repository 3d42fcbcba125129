/// Text embedders upon MPNet (all-mpnet-base-v2): BERT without token types, with a learned bias for
/// the distance of two tokens. Sources: Song et al., 2020, arXiv:2004.09297; transformers'
/// MPNetModel.
#include "runtime/scopes.h"
#include "runtime/sentence_model.h"

namespace chiasm {

namespace {

/// An mpnet config.json; missing keys as in transformers' MPNetConfig.
language::TextEncoderConfig read_config(const Json& config) {
  language::TextEncoderConfig c;
  c.hidden_size = config.integer("hidden_size", 768);
  c.intermediate_size = config.integer("intermediate_size", 3072);
  c.layers = config.integer("num_hidden_layers", 12);
  c.heads = config.integer("num_attention_heads", 12);
  c.vocab_size = config.integer("vocab_size", 30527);
  c.positions = config.integer("max_position_embeddings", 512);
  c.first_position = 2;  // behind the padding token's id, which is 1 always
  c.distance_buckets = config.integer("relative_attention_num_buckets", 32);
  c.activation = kernels::activation_from_name(config.str("hidden_act", "gelu"));
  c.norm = {kernels::NormKind::layer, float(config.number("layer_norm_eps", 1e-12))};
  c.post_norm = true;
  c.names = {.words = "embeddings.word_embeddings.weight",
             .positions = "embeddings.position_embeddings.weight",
             .types = "",
             .embedding_norm = "embeddings.LayerNorm",
             .layers = "encoder.layer",
             .final_norm = "",
             .norm1 = "attention.LayerNorm",
             .norm2 = "output.LayerNorm",
             .q = "attention.attn.q",
             .k = "attention.attn.k",
             .v = "attention.attn.v",
             .out = "attention.attn.o",
             .up = "intermediate.dense",
             .down = "output.dense",
             .distances = "encoder.relative_attention_bias.weight"};
  c.check(config.where());
  return c;
}

}  // namespace

std::unique_ptr<EmbedderFamily> make_mpnet(const FamilyParts& p) {
  return std::make_unique<SentenceModel>(
      p, read_config(p.config), find_scope(p.weights, {"", "mpnet"}, "embeddings.LayerNorm.weight"),
      [](std::string_view) { return false; });
}

}  // namespace chiasm
