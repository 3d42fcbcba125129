#include "runtime/generation_config.h"

#include "core/error.h"

namespace chiasm {

namespace {

/// A token id, a list of them, or nothing.
std::vector<std::int32_t> ids(const Json& json, std::string_view key, std::int64_t vocab_size) {
  std::vector<std::int32_t> out;
  if (!json.has(key)) return out;
  const Json value = json[key];
  const std::vector<std::int64_t> list =
      value.is_array() ? value.integers() : std::vector<std::int64_t>{value.integer()};
  for (const std::int64_t id : list) {
    if (id < 0 || id >= vocab_size) {
      fail<FormatError>(value.where(), ": token ", id, " is outside the vocabulary of ",
                        vocab_size);
    }
    out.push_back(std::int32_t(id));
  }
  return out;
}

}  // namespace

GenerationConfig GenerationConfig::load(const std::filesystem::path& folder, const Json& config,
                                        std::int64_t vocab_size) {
  GenerationConfig out;
  const auto path = folder / "generation_config.json";
  if (std::filesystem::exists(path)) {
    const Json json = Json::load(path);
    out.end_tokens = ids(json, "eos_token_id", vocab_size);
    out.suppressed = ids(json, "suppress_tokens", vocab_size);
    out.suppressed_first = ids(json, "begin_suppress_tokens", vocab_size);
  }
  if (out.end_tokens.empty()) out.end_tokens = ids(config, "eos_token_id", vocab_size);
  if (out.end_tokens.empty() && config.has("text_config")) {
    out.end_tokens = ids(config["text_config"], "eos_token_id", vocab_size);
  }
  return out;
}

}  // namespace chiasm
