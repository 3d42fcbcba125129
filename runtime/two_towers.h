#pragma once
/// What CLIP and SigLIP share: a tower for texts, a tower for pictures, one space.
#include <cstdint>
#include <vector>

#include "language/text_encoder.h"
#include "runtime/embedder_family.h"
#include "vision/plain_processor.h"
#include "vision/vit.h"

namespace chiasm {

/// What both call the parts of their text tower.
language::TextEncoderNames clip_text_names();

/// A two-tower family but for the way from the towers' rows to vectors: text_vectors() and
/// picture_vectors().
class TwoTowers : public EmbedderFamily {
 public:
  void describe(EmbedderInfo& info) const override;
  std::vector<std::int32_t> tokens(const language::Tokenizer& tokenizer,
                                   std::span<const language::TextSpan> text) const override;
  void embed_texts(const Context& ctx, std::span<const std::vector<std::int32_t>> texts,
                   Arena& arena, TensorView<float> out) const override;
  vision::PreparedPicture preprocess(const Context& ctx, const vision::Image& image) const override;
  void embed_images(const Context& ctx, std::span<const vision::PreparedPicture> images,
                    Arena& arena, TensorView<float> out) const override;

 protected:
  struct Options {
    language::TextEncoderConfig text;
    vision::VitConfig vision;
    vision::PlainKind processor;
    std::int64_t size;      // numbers of a vector
    std::int32_t pad = -1;  // fills every text up to the longest; -1: none does
  };
  TwoTowers(const FamilyParts& p, const Options& options);

  /// From the text tower's rows (after its last norm) to vectors. `ids` are as the tower read them.
  /// out: [texts, size].
  virtual void text_vectors(const Context& ctx, std::span<const std::vector<std::int32_t>> ids,
                            TensorView<const float> rows, Arena& arena,
                            TensorView<float> out) const = 0;
  /// Likewise from the rows of pictures, each of vision().rows(). out: [pictures, size].
  virtual void picture_vectors(const Context& ctx, TensorView<const float> rows, Arena& arena,
                               TensorView<float> out) const = 0;

  const language::TextEncoderConfig& text() const { return text_.config(); }
  const vision::VitConfig& vision() const { return vision_.config(); }
  std::size_t tower_bytes() const { return text_.bytes() + vision_.bytes(); }
  void set_logits(float scale, float bias) { logit_scale_ = scale, logit_bias_ = bias; }

 private:
  std::int64_t size_;
  std::int32_t pad_;
  vision::PlainProcessor processor_;
  language::TextEncoder text_;
  vision::VitEncoder vision_;
  float logit_scale_ = 0, logit_bias_ = 0;
};

}  // namespace chiasm
