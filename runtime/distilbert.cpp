/// Text embedders upon DistilBERT: BERT of half its layers, without token types. Sources: Sanh et
/// al., 2019, arXiv:1910.01108; transformers' DistilBertModel.
#include "runtime/scopes.h"
#include "runtime/sentence_model.h"

namespace chiasm {

namespace {

/// A distilbert config.json; missing keys as in transformers' DistilBertConfig.
language::TextEncoderConfig read_config(const Json& config) {
  language::TextEncoderConfig c;
  c.hidden_size = config.integer("dim", 768);
  c.intermediate_size = config.integer("hidden_dim", 3072);
  c.layers = config.integer("n_layers", 6);
  c.heads = config.integer("n_heads", 12);
  c.vocab_size = config.integer("vocab_size", 30522);
  c.positions = config.integer("max_position_embeddings", 512);
  c.activation = kernels::activation_from_name(config.str("activation", "gelu"));
  c.norm = {kernels::NormKind::layer, 1e-12f};
  c.post_norm = true;
  c.names = {.words = "embeddings.word_embeddings.weight",
             .positions = "embeddings.position_embeddings.weight",
             .types = "",
             .embedding_norm = "embeddings.LayerNorm",
             .layers = "transformer.layer",
             .final_norm = "",
             .norm1 = "sa_layer_norm",
             .norm2 = "output_layer_norm",
             .q = "attention.q_lin",
             .k = "attention.k_lin",
             .v = "attention.v_lin",
             .out = "attention.out_lin",
             .up = "ffn.lin1",
             .down = "ffn.lin2"};
  c.check(config.where());
  return c;
}

}  // namespace

std::unique_ptr<EmbedderFamily> make_distilbert(const FamilyParts& p) {
  return std::make_unique<SentenceModel>(
      p, read_config(p.config),
      find_scope(p.weights, {"", "distilbert"}, "embeddings.LayerNorm.weight"),
      [](std::string_view name) {  // heads of masked words, of classes, of answers
        return name.starts_with("vocab_") || name.starts_with("pre_classifier.") ||
               name.starts_with("classifier.") || name.starts_with("qa_outputs.");
      });
}

}  // namespace chiasm
