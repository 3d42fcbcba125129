#pragma once
/// Where a checkpoint keeps a model's parts: names changed with transformers' versions.
#include <initializer_list>
#include <string_view>

#include "core/weights.h"

namespace chiasm {

/// The first of `scopes` that has the tensor `probe`; the first one when none has, so that the
/// error then names what is usual. "" is `weights` itself.
Weights find_scope(const Weights& weights, std::initializer_list<std::string_view> scopes,
                   std::string_view probe);

/// The vision tower of LLaVA's relatives, found by one of its tensors.
Weights find_tower(const Weights& weights,
                   std::string_view probe = "embeddings.patch_embedding.weight");

/// Whether a tensor is one that checkpoints may carry and no family reads: tables that are made
/// anew, and the pooling head of a tower whose rows are taken.
bool is_unread(std::string_view name);

/// A text decoder inside a larger model: the scope of "embed_tokens", "layers" and the last norm,
/// and that of "lm_head".
struct TextScopes {
  Weights model, head;

  /// "language_model.model" (as published), "model.language_model" (as transformers 5 writes) and
  /// their relatives.
  static TextScopes find(const Weights& weights);
};

}  // namespace chiasm
