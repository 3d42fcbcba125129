#include <array>
#include <string>

#include "runtime/embedder_family.h"

namespace chiasm {

namespace {

struct Entry {
  std::string_view model_type;
  std::unique_ptr<EmbedderFamily> (*make)(const FamilyParts&);
};

constexpr std::array kEmbedders = {
    Entry{"smolvlm", make_smolvlm_search},
    Entry{"idefics3", make_smolvlm_search},
    Entry{"bert", make_bert},
    Entry{"roberta", make_bert},
    Entry{"xlm-roberta", make_bert},
    Entry{"distilbert", make_distilbert},
    Entry{"mpnet", make_mpnet},
    Entry{"clip", make_clip},
    Entry{"siglip", make_siglip},
};

}  // namespace

std::vector<std::string> supported_embedders() {
  std::vector<std::string> names;
  for (const Entry& entry : kEmbedders) names.emplace_back(entry.model_type);
  return names;
}

std::unique_ptr<EmbedderFamily> make_embedder_family(const FamilyParts& parts) {
  const std::string type = parts.config["model_type"].str();
  for (const Entry& entry : kEmbedders) {
    if (entry.model_type == type) return entry.make(parts);
  }
  std::string known;
  for (const std::string& name : supported_embedders()) known += (known.empty() ? "" : ", ") + name;
  fail<ModelError>(parts.config.where(), ": family \"", type,
                   "\" is not supported as an embedder; supported are: ", known);
}

std::vector<std::int32_t> EmbedderFamily::tokens(const language::Tokenizer&,
                                                 std::span<const language::TextSpan>) const {
  fail<RequestError>("this model embeds no texts");
}
const EmbedderPrompts& EmbedderFamily::prompts() const {
  static const EmbedderPrompts none;
  return none;
}
void EmbedderFamily::embed_texts(const Context&, std::span<const std::vector<std::int32_t>>, Arena&,
                                 TensorView<float>) const {
  fail<RequestError>("this model embeds no texts");
}
vision::PreparedPicture EmbedderFamily::preprocess(const Context&, const vision::Image&) const {
  fail<RequestError>("this model embeds no pictures");
}
void EmbedderFamily::embed_images(const Context&, std::span<const vision::PreparedPicture>, Arena&,
                                  TensorView<float>) const {
  fail<RequestError>("this model embeds no pictures");
}

}  // namespace chiasm
