#pragma once
/// What the text embedders of sentence-transformers share: a text encoder, its rows pooled, and the
/// layers that a folder puts behind. Source: Reimers and Gurevych, 2019, arXiv:1908.10084.
#include <functional>
#include <string>
#include <vector>

#include "kernels/linear_layer.h"
#include "language/text_encoder.h"
#include "runtime/embedder_family.h"
#include "runtime/sentence_settings.h"

namespace chiasm {

/// A family of such embedders is its config and its names. Immutable; shared between threads.
class SentenceModel : public EmbedderFamily {
 public:
  /// `weights` is the encoder's scope; `ignored` is given the names of tensors that serve other
  /// uses, besides those of common heads.
  SentenceModel(const FamilyParts& p, const language::TextEncoderConfig& config,
                const Weights& weights, const std::function<bool(std::string_view)>& ignored);

  void describe(EmbedderInfo& info) const override;
  std::size_t weight_bytes() const override;
  const EmbedderPrompts& prompts() const override { return settings_.prompts; }
  std::vector<std::int32_t> tokens(const language::Tokenizer& tokenizer,
                                   std::span<const language::TextSpan> text) const override;
  void embed_texts(const Context& ctx, std::span<const std::vector<std::int32_t>> texts,
                   Arena& arena, TensorView<float> out) const override;

 private:
  /// y = act(x W^T + b), of a text's vector.
  struct Dense {
    kernels::LinearLayer layer;
    kernels::Activation activation;
  };
  std::string name_;
  SentenceSettings settings_;
  language::TextEncoder encoder_;
  std::vector<Dense> dense_;
};

}  // namespace chiasm
