#include "runtime/lora_config.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"

namespace chiasm {

namespace {

/// Settings that add to a model what a product of low rank does not: each must be absent, null,
/// false or empty.
constexpr std::string_view kUnknown[][2] = {
    {"use_dora", "DoRA rescales the weights themselves"},
    {"modules_to_save", "whole modules beside the adapter are not read; merge them into the model"},
    {"lora_bias", "biases inside the adapter are not read"},
    {"use_qalora", "QALoRA pools the inputs"},
    {"layer_replication", "layers are not repeated"},
    {"trainable_token_indices", "rows of the token table are not changed"},
    {"target_parameters", "parameters that are no module are not changed"},
    {"alora_invocation_tokens", "an adapter is on from the first token or off"},
    {"lora_ga_config", "it changes the model's own weights; convert it to a plain LoRA"},
    {"corda_config", "it changes the model's own weights; convert it to a plain LoRA"},
};

bool is_set(const Json& value) {
  if (value.is_boolean()) return value.boolean();
  if (value.is_array() || value.is_object()) return value.size() > 0;
  return true;
}

void check_initial(const Json& config) {
  if (!config.has("init_lora_weights") || !config["init_lora_weights"].is_string()) return;
  std::string how = config["init_lora_weights"].str();
  std::ranges::transform(how, how.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  for (const std::string_view kind : {"pissa", "olora", "corda", "lora_ga"}) {
    if (how.starts_with(kind)) {
      fail<ModelError>(config.where(), ": init_lora_weights \"", how,
                       "\": its weights belong to a changed base model; convert it to a plain LoRA "
                       "with PEFT's path_initial_model_for_weight_conversion");
    }
  }
}

/// The value of the key of a pattern that means the module, or null. The reference takes the first
/// of several in the file's order, which a JSON object does not have.
const nlohmann::json* find(const Json& config, std::string_view pattern, std::string_view module) {
  if (!config.has(pattern)) return nullptr;
  const Json keys = config[pattern];
  if (!keys.is_object()) {
    fail<FormatError>(keys.where(), ": is ", keys.brief(), ", expected an object");
  }
  const nlohmann::json* found = nullptr;
  for (const auto& [key, value] : keys.raw().items()) {
    const std::string& name = key;  // clang 14 captures no part of a binding
    const bool means = in_context(keys.where(), [&] { return pattern_means(name, module); });
    if (!means) continue;
    if (!value.is_number()) fail<FormatError>(keys.where(), ": \"", key, "\" is no number");
    if (found != nullptr && *found != value) {
      fail<ModelError>(keys.where(), ": several keys mean ", module, " and give it other values");
    }
    found = &value;
  }
  return found;
}

}  // namespace

bool pattern_means(std::string_view key, std::string_view module) {
  const bool whole = key.starts_with("^");
  std::string name(key.substr(whole ? 1 : 0));
  for (std::size_t at = 0; (at = name.find("\\.", at)) != std::string::npos;) name.erase(at, 1);
  if (name.ends_with("$")) name.pop_back();
  const bool plain = !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  });
  if (!plain) {
    fail<ModelError>(
        "\"", key,
        "\": only names of modules are understood here, not regular expressions; write "
        "out the names");
  }
  if (module == name) return true;
  return !whole && module.ends_with(name) && module[module.size() - name.size() - 1] == '.';
}

LoraConfig::LoraConfig(Json config)
    : config_(std::move(config)), stabilised_(config_.boolean("use_rslora", false)) {
  const std::string type = config_.str("peft_type", "");
  if (type != "LORA") {
    fail<ModelError>(config_.where(), ": peft_type \"", type, "\", expected \"LORA\"");
  }
  const std::string bias = config_.str("bias", "none");
  if (bias != "none") {
    fail<ModelError>(config_.where(), ": bias \"", bias,
                     "\": changed biases are not read; train with bias=\"none\"");
  }
  for (const auto& [key, why] : kUnknown) {
    if (config_.has(key) && is_set(config_[key])) {
      fail<ModelError>(config_.where(), ": ", key, " is not supported: ", why);
    }
  }
  check_initial(config_);
}

std::int64_t LoraConfig::rank(std::string_view module) const {
  const nlohmann::json* own = find(config_, "rank_pattern", module);
  const std::int64_t rank = own != nullptr && own->is_number_integer() ? own->get<std::int64_t>()
                                                                       : config_["r"].integer();
  if (rank < 1) fail<ModelError>(config_.where(), ": r is ", rank, ", expected at least 1");
  return rank;
}

double LoraConfig::scale(std::string_view module, std::int64_t rank) const {
  const nlohmann::json* own = find(config_, "alpha_pattern", module);
  const double alpha = own != nullptr ? own->get<double>() : config_["lora_alpha"].number();
  if (!std::isfinite(alpha)) fail<ModelError>(config_.where(), ": lora_alpha is no finite number");
  return alpha / (stabilised_ ? std::sqrt(double(rank)) : double(rank));
}

}  // namespace chiasm
