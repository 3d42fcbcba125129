#include "runtime/scopes.h"

namespace chiasm {

namespace {
Weights inside(const Weights& weights, std::string_view scope) {
  return scope.empty() ? weights : weights.scope(scope);
}
}  // namespace

Weights find_scope(const Weights& weights, std::initializer_list<std::string_view> scopes,
                   std::string_view probe) {
  for (const std::string_view scope : scopes) {
    if (inside(weights, scope).has(probe)) return inside(weights, scope);
  }
  return inside(weights, *scopes.begin());
}

Weights find_tower(const Weights& weights, std::string_view probe) {
  return find_scope(weights,
                    {"vision_tower.vision_model", "vision_tower", "model.vision_tower.vision_model",
                     "model.vision_tower"},
                    probe);
}

bool is_unread(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") || name.ends_with("position_ids") ||
         name.find("vision_model.head.") != std::string_view::npos ||
         name.find("vision_tower.head.") != std::string_view::npos;
}

TextScopes TextScopes::find(const Weights& weights) {
  const std::string_view probe = "embed_tokens.weight";
  return {find_scope(weights,
                     {"language_model.model", "model.language_model", "model.language_model.model",
                      "language_model", "model.text_model", "model"},
                     probe),
          find_scope(weights, {"", "language_model", "model.language_model"}, "lm_head.weight")};
}

}  // namespace chiasm
