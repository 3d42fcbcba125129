#include "runtime/gguf_pair.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "core/error.h"
#include "runtime/gguf_model.h"
#include "runtime/gguf_projector.h"

namespace chiasm {

namespace {

namespace fs = std::filesystem;

bool is_projectors(const fs::path& file) {
  std::string name = file.filename().string();
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return name.ends_with(".gguf") && name.find("mmproj") != std::string::npos;
}

constexpr std::string_view kAlone = "; or load the words alone with mmproj \"none\"";

/// "the file: its tensor of shape": for errors about pairs.
std::string shown(const GgufContents& gguf, std::string_view tensor, const Shape& shape) {
  std::ostringstream out;
  out << gguf.file << "'s " << tensor << " " << shape;
  return out.str();
}

void check_pair(const GgufProjector& kind, const GgufContents& projector,
                const GgufContents& text) {
  const std::string_view architecture = text.at("general.architecture").str();
  if (std::ranges::find(kind.architectures, architecture) == kind.architectures.end()) {
    std::string all;
    for (const std::string_view a : kind.architectures) {
      all.append(all.empty() ? "" : ", ").append(a);
    }
    fail<ModelError>(projector.file, ": a projector of type \"", kind.name,
                     "\" goes with language models of ", all, ", but ", text.file, " is of ",
                     architecture, "; name the model's own projector with mmproj", kAlone);
  }
  const auto made = projector.tensors.find(kind.width);
  if (made == projector.tensors.end()) {
    fail<ModelError>(projector.file, ": has no tensor ", kind.width);
  }
  const Shape& makes = made->second.shape;
  const Shape& takes = text.tensors.at("token_embd.weight").shape;  // gguf_config has looked
  if (makes.rank() == 2 && takes.rank() == 2 && makes[kind.width_at] == takes[1]) return;
  fail<ModelError>(projector.file,
                   ": is the projector of another model: ", shown(projector, kind.width, makes),
                   " does not make the rows that ", shown(text, "token_embd.weight", takes),
                   " takes; name the model's own projector with mmproj", kAlone);
}

/// Config and tokens of both.
Json pair_config(const GgufProjector& kind, const GgufContents& projector, const GgufContents& text,
                 const Json& text_config, std::int32_t picture) {
  nlohmann::json config = kind.config(projector);
  config["text_config"] = text_config.raw();
  for (const char* key : {"tie_word_embeddings", "eos_token_id"}) {
    config[key] = text_config[key].raw();
  }
  config["image_token_id"] = config["image_token_index"] = picture;
  if (kind.name == "gemma3") {
    config["boi_token_index"] = language::gguf_token(text, "<start_of_image>");
    config["eoi_token_index"] = language::gguf_token(text, "<end_of_image>");
  }
  return Json::parse(config.dump(), projector.file);
}

}  // namespace

std::optional<fs::path> find_projector(const fs::path& model, const std::string& wanted) {
  if (wanted == "none") return std::nullopt;
  if (!wanted.empty()) {
    if (!fs::is_regular_file(wanted)) {
      fail<ModelError>("mmproj ", wanted, ": no such file; give the projector's .gguf file");
    }
    return fs::path(wanted);
  }
  std::vector<fs::path> found;
  std::error_code code;
  const fs::path folder = model.has_parent_path() ? model.parent_path() : fs::path(".");
  fs::directory_iterator files(folder, code);
  for (; !code && files != fs::directory_iterator(); files.increment(code)) {
    const fs::path& file = files->path();
    if (is_projectors(file) && file.filename() != model.filename()) found.push_back(file);
  }
  if (found.size() < 2) return found.empty() ? std::nullopt : std::optional(found[0]);
  std::ranges::sort(found);
  std::string names;
  for (const fs::path& file : found) {
    names.append(names.empty() ? "" : ", ").append(file.filename().string());
  }
  fail<ModelError>("beside it lie several projectors: ", names, "; name one with mmproj", kAlone);
}

GgufPair gguf_pair(const GgufContents& projector, const GgufContents& text,
                   const Json& text_config) {
  const GgufProjector& kind = gguf_projector(projector);
  check_pair(kind, projector, text);
  const language::TokenName picture = language::picture_token(text, kind.image_token);
  GgufPair out{pair_config(kind, projector, text, text_config, picture.id),
               Json::parse(kind.settings(projector).dump(), projector.file),
               picture,
               DType::u8,
               {}};
  constexpr std::string_view kText = "model.";
  for (auto& [name, entry] : gguf_tensors(text)) {
    const bool inside = !kind.text.empty() && name.starts_with(kText);
    out.tensors.emplace(inside ? std::string(kind.text) + name.substr(kText.size()) : name, entry);
  }
  const auto matrix = projector.tensors.find("v.blk.0.attn_q.weight");
  if (matrix != projector.tensors.end()) out.encoder_dtype = matrix->second.dtype;
  const bool swapped = has_swapped_layers(projector);
  for (const auto& [name, entry] : projector.tensors) {
    const std::string here = projector_name(kind, name, swapped);
    if (here.empty() || !out.tensors.emplace(here, entry).second) {
      fail<ModelError>(projector.file, ": tensor ", name, " is not known to projectors of type ",
                       kind.name);
    }
  }
  return out;
}

}  // namespace chiasm
