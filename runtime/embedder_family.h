#pragma once
/// What a family of embedders is: `Family`'s counterpart for models that give vectors instead of
/// words. One readable file each.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "core/context.h"
#include "language/tokenizer.h"
#include "runtime/embedder.h"
#include "runtime/family.h"
#include "vision/idefics3_processor.h"
#include "vision/image.h"

namespace chiasm {

/// Assembled from concrete modules in its constructor. Immutable; safe to share between threads.
/// A family of texts alone leaves the picture half as it is, and the other way round.
class EmbedderFamily {
 public:
  virtual ~EmbedderFamily() = default;

  /// Fills in the family's own part of `info`: name, size, and what it takes.
  virtual void describe(EmbedderInfo& info) const = 0;
  virtual std::size_t weight_bytes() const = 0;

  /// Called only when describe() set max_tokens: the ids of spans that are one text (a trusted
  /// prompt may come before a user's words), with what the family puts around it, of which
  /// closing_tokens() stand at the end; then the vectors of several texts as one packed batch, of
  /// any length (the caller makes them unit rows). No text is longer than max_tokens. out: [texts,
  /// size].
  virtual std::vector<std::int32_t> tokens(const language::Tokenizer& tokenizer,
                                           std::span<const language::TextSpan> text) const;
  virtual std::int64_t closing_tokens() const { return 1; }
  /// The texts that may stand before a user's words, by name, and the name of the one that does so
  /// where none is asked for; "" is no text.
  virtual const EmbedderPrompts& prompts() const;
  virtual void embed_texts(const Context& ctx, std::span<const std::vector<std::int32_t>> texts,
                           Arena& arena, TensorView<float> out) const;

  /// Called only when describe() set patches_per_picture. out: [pictures, size].
  virtual vision::PreparedPicture preprocess(const Context& ctx, const vision::Image& image) const;
  virtual void embed_images(const Context& ctx, std::span<const vision::PreparedPicture> images,
                            Arena& arena, TensorView<float> out) const;
};

/// Builds the family that config.json's model_type names; ModelError listing the supported ones.
std::unique_ptr<EmbedderFamily> make_embedder_family(const FamilyParts& parts);

// One per file; listed in embedder_families.cpp.
std::unique_ptr<EmbedderFamily> make_bert(const FamilyParts& parts);
std::unique_ptr<EmbedderFamily> make_clip(const FamilyParts& parts);
std::unique_ptr<EmbedderFamily> make_distilbert(const FamilyParts& parts);
std::unique_ptr<EmbedderFamily> make_mpnet(const FamilyParts& parts);
std::unique_ptr<EmbedderFamily> make_siglip(const FamilyParts& parts);
std::unique_ptr<EmbedderFamily> make_smolvlm_search(const FamilyParts& parts);

}  // namespace chiasm
