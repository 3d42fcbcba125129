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

/// A text decoder inside a larger model: the scope of "embed_tokens", "layers" and the last norm,
/// and that of "lm_head".
struct TextScopes {
  Weights model, head;

  /// "language_model.model" (as published), "model.language_model" (as transformers 5 writes) and
  /// their relatives.
  static TextScopes find(const Weights& weights);
};

}  // namespace chiasm
