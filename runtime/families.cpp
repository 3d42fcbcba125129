#include <array>
#include <string>

#include "runtime/family.h"

namespace chiasm {

namespace {

struct Entry {
  std::string_view model_type;
  std::unique_ptr<Family> (*make)(const FamilyParts&);
};

constexpr std::array kFamilies = {
    Entry{"smolvlm", make_smolvlm},        Entry{"idefics3", make_smolvlm},
    Entry{"llama", make_text_model},       Entry{"mistral", make_text_model},
    Entry{"qwen2", make_text_model},       Entry{"qwen3", make_text_model},
    Entry{"gemma", make_text_model},       Entry{"gemma2", make_text_model},
    Entry{"gemma3_text", make_text_model},
};

}  // namespace

std::vector<std::string> supported_families() {
  std::vector<std::string> names;
  for (const Entry& entry : kFamilies) names.emplace_back(entry.model_type);
  return names;
}

std::unique_ptr<Family> make_family(const FamilyParts& parts) {
  const std::string type = parts.config["model_type"].str();
  for (const Entry& entry : kFamilies) {
    if (entry.model_type == type) return entry.make(parts);
  }
  std::string known;
  for (const Entry& entry : kFamilies) {
    known += (known.empty() ? "" : ", ") + std::string(entry.model_type);
  }
  fail<ModelError>(parts.config.where(), ": family \"", type,
                   "\" is not supported; supported are: ", known);
}

namespace {
[[noreturn]] void no_pictures() {
  fail<RequestError>("this model reads no pictures; load a vision-language model");
}
}  // namespace

PictureLayout Family::layout(std::int64_t, std::int64_t) const { no_pictures(); }
vision::PreparedPicture Family::preprocess(const Context&, const vision::Image&) const {
  no_pictures();
}
std::vector<NamedTensor> Family::processor_output(const vision::PreparedPicture&) const {
  no_pictures();
}
void Family::encode(const Context&, std::span<const TileRef>, Arena&, TensorView<float>) const {
  no_pictures();
}
std::size_t Family::encode_bytes(std::int64_t) const { return 0; }
std::optional<std::vector<PromptSpan>> Family::turn(const std::string&, std::size_t) const {
  return std::nullopt;
}

}  // namespace chiasm
