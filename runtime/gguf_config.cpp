#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/weights.h"
#include "runtime/gguf_architecture.h"
#include "runtime/gguf_keys.h"
#include "runtime/gguf_model.h"

namespace chiasm {

namespace {

/// How one length of a folder's config is called in the file.
struct Length {
  std::string_view gguf, here;
};
constexpr std::array kLengths = {
    Length{"embedding_length", "hidden_size"},
    Length{"block_count", "num_hidden_layers"},
};
constexpr std::array kAttentionLengths = {
    Length{"feed_forward_length", "intermediate_size"},
    Length{"attention.head_count", "num_attention_heads"},
    Length{"context_length", "max_position_embeddings"},
};
constexpr std::array kStateSpaceLengths = {
    Length{"ssm.time_step_rank", "num_heads"},
    Length{"ssm.group_count", "n_groups"},
    Length{"ssm.state_size", "state_size"},
    Length{"ssm.conv_kernel", "conv_kernel"},
};

std::int64_t head_dim(const GgufKeys& keys) {
  if (!keys.has("attention.key_length")) {
    const std::int64_t heads = keys.at("attention.head_count").integer();
    if (heads < 1) fail<ModelError>(keys.at("attention.head_count").where(), ": ", heads, " heads");
    return keys.at("embedding_length").integer() / heads;
  }
  const std::int64_t dim = keys.at("attention.key_length").integer();
  if (keys.has("attention.value_length") && keys.at("attention.value_length").integer() != dim) {
    fail<ModelError>(keys.at("attention.value_length").where(), ": ",
                     keys.at("attention.value_length").integer(), ", but keys have ", dim,
                     "; heads of two lengths are not supported");
  }
  return dim;
}

/// The divisors of the frequencies that the file holds as a tensor.
nlohmann::json frequency_factors(const GgufContents& gguf, std::string_view tensor) {
  const auto found = gguf.tensors.find(tensor);
  if (found == gguf.tensors.end()) fail<ModelError>(gguf.file, ": has no ", tensor);
  const TensorEntry& entry = found->second;
  if (entry.dtype != DType::f32 || entry.shape.rank() != 1) {
    fail<ModelError>(gguf.file, ": ", tensor, ": shape ", entry.shape, " of ", name(entry.dtype),
                     ", expected one row of float32");
  }
  std::vector<float> factors(std::size_t(entry.shape[0]));
  to_floats(entry.bytes.data(), entry.dtype, entry.shape[0], factors.data());
  if (!std::ranges::all_of(factors, [](float f) { return std::isfinite(f) && f > 0; })) {
    fail<ModelError>(gguf.file, ": ", tensor, ": holds numbers that are not above 0");
  }
  return factors;
}

/// How yarn stretches, where the file says so.
void add_yarn(const GgufKeys& keys, nlohmann::json& rope) {
  rope["rope_type"] = "yarn";
  for (const auto& [gguf, here] : {Length{"rope.scaling.yarn_beta_fast", "beta_fast"},
                                   Length{"rope.scaling.yarn_beta_slow", "beta_slow"}}) {
    if (keys.has(gguf)) rope[here] = keys.at(gguf).number();
  }
}

/// Phi-3's divisors for short and for long texts.
void add_long_factors(const GgufContents& gguf, const GgufKeys& keys, nlohmann::json& rope) {
  rope["rope_type"] = "longrope";
  rope["long_factor"] = frequency_factors(gguf, "rope_factors_long.weight");
  rope["short_factor"] = frequency_factors(gguf, "rope_factors_short.weight");
  if (keys.has("rope.scaling.attn_factor")) {
    rope["attention_factor"] = keys.at("rope.scaling.attn_factor").number();
  }
}

/// transformers' `rope_parameters` of layers with full attention.
nlohmann::json rope(const GgufContents& gguf, const GgufKeys& keys) {
  nlohmann::json out{{"rope_theta", keys.number("rope.freq_base", 10000)},
                     {"rope_type", "default"}};
  if (keys.has("rope.dimension_count")) {
    // The product with head_dim is rounded down where it is read.
    const auto turned = double(keys.at("rope.dimension_count").integer()) + 0.5;
    const auto all = double(std::max<std::int64_t>(1, head_dim(keys)));
    if (turned < all) out["partial_rotary_factor"] = turned / all;
  }
  std::string_view type = keys.has("rope.scaling.type") ? keys.at("rope.scaling.type").str() : "";
  double factor = keys.number("rope.scaling.factor", 1);
  if (type.empty() && keys.has("rope.scale_linear")) {  // of older files
    type = "linear";
    factor = keys.number("rope.scale_linear", 1);
  }
  if (gguf.tensors.contains("rope_factors_long.weight")) {
    add_long_factors(gguf, keys, out);
  } else if (type == "linear") {
    out["rope_type"] = "linear";
    out["factor"] = factor;
  } else if (type == "yarn") {
    add_yarn(keys, out);
    out["factor"] = factor;
  } else if (!type.empty() && type != "none") {
    fail<ModelError>(keys.at("rope.scaling.type").where(), ": scaled rotary positions \"", type,
                     "\" are not supported; linear and yarn are");
  }
  if (gguf.tensors.contains("rope_freqs.weight")) {
    out["rope_type"] = "factors";
    out["factors"] = frequency_factors(gguf, "rope_freqs.weight");
  }
  return out;
}

/// GPT-2's config, in its own names. Its files hold matrices as [out, in], unlike its folders.
void add_gpt2(const GgufKeys& keys, nlohmann::json& config) {
  for (const auto& [gguf, here] :
       {Length{"hidden_size", "n_embd"}, Length{"intermediate_size", "n_inner"},
        Length{"num_hidden_layers", "n_layer"}, Length{"num_attention_heads", "n_head"},
        Length{"max_position_embeddings", "n_positions"}}) {
    config[here] = config[gguf];
  }
  config["layer_norm_epsilon"] = keys.at("attention.layer_norm_epsilon").number();
  config["transposed"] = false;
}

/// What decoders with attention and an MLP have in common.
void add_attention(const GgufContents& gguf, const GgufKeys& keys, std::string_view architecture,
                   nlohmann::json& config) {
  for (const Length& length : kAttentionLengths) {
    config[length.here] = keys.at(length.gguf).integer();
  }
  if (keys.has("attention.head_count_kv")) {
    config["num_key_value_heads"] = keys.at("attention.head_count_kv").integer();
  } else {
    config["num_key_value_heads"] = config["num_attention_heads"];
  }
  config["head_dim"] = head_dim(keys);
  config["attention_bias"] = gguf.tensors.contains("blk.0.attn_q.bias");
  if (architecture == "gpt2") return add_gpt2(keys, config);
  config["rms_norm_eps"] = keys.at("attention.layer_norm_rms_epsilon").number();
  config["rope_parameters"] = rope(gguf, keys);
  constexpr const char* kOriginal = "rope.scaling.original_context_length";
  if (keys.has(kOriginal)) {
    config["original_max_position_embeddings"] = keys.at(kOriginal).integer();
  }
}

/// Mamba 2's config. What its files say of attention and of an MLP means nothing.
void add_state_space(const GgufContents& gguf, const GgufKeys& keys, nlohmann::json& config) {
  for (const Length& length : kStateSpaceLengths) {
    config[length.here] = keys.at(length.gguf).integer();
  }
  const std::int64_t inner = keys.at("ssm.inner_size").integer();
  config["head_dim"] = inner / std::max<std::int64_t>(1, config["num_heads"]);
  config["expand"] = inner / std::max<std::int64_t>(1, config["hidden_size"]);
  config["layer_norm_epsilon"] = keys.at("attention.layer_norm_rms_epsilon").number();
  config["use_bias"] = gguf.tensors.contains("blk.0.ssm_in.bias");
  config["use_conv_bias"] = gguf.tensors.contains("blk.0.ssm_conv1d.bias");
}

/// Which layers slide: every one but each sixth, or as the file says; none without a window.
void add_pattern(const GgufKeys& keys, nlohmann::json& config) {
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  if (!keys.has("attention.sliding_window")) {
    config["sliding_window_pattern"] = 1;
  } else if (keys.has(kPattern) && keys.at(kPattern).type() == GgufType::array) {
    nlohmann::json types = nlohmann::json::array();
    for (const bool slides : keys.at(kPattern).booleans()) {
      types.push_back(slides ? "sliding_attention" : "full_attention");
    }
    config["layer_types"] = types;
  } else if (keys.has(kPattern)) {
    config["sliding_window_pattern"] = keys.at(kPattern).integer();
  }
}

/// What the Gemmas have beside the common numbers. Their files hold 1 + w for each norm. The scale
/// of attention is not in them: only the 27B models, which are known by their number of layers,
/// take it from the width of a row (llama.cpp's gemma2.cpp and gemma3.cpp).
void add_gemma(const GgufKeys& keys, std::string_view architecture, nlohmann::json& config) {
  config["norm_offset"] = 0;
  if (architecture == "gemma") return;
  const std::int64_t largest = architecture == "gemma2" ? 46 : 62;
  const std::int64_t hidden = config["hidden_size"];
  const std::int64_t heads = std::max<std::int64_t>(1, config["num_attention_heads"]);
  config["query_pre_attn_scalar"] =
      config["num_hidden_layers"] == largest ? hidden / heads : std::int64_t(config["head_dim"]);
  if (keys.has("attention.sliding_window")) {
    config["sliding_window"] = keys.at("attention.sliding_window").integer();
  }
  for (const auto& [gguf, here] : {Length{"attn_logit_softcapping", "attn_logit_softcapping"},
                                   Length{"final_logit_softcapping", "final_logit_softcapping"}}) {
    if (keys.has(gguf)) config[here] = keys.at(gguf).number();
  }
  if (architecture == "gemma2") return;
  add_pattern(keys, config);
  config["rope_parameters"] = {
      {"full_attention", config["rope_parameters"]},
      {"sliding_attention",
       {{"rope_theta", keys.number("rope.freq_base_swa", 10000)}, {"rope_type", "default"}}}};
}

/// Tokens that end an answer: those that keys name, and control tokens whose text says so, as
/// llama.cpp takes them (llama-vocab.cpp, special_eog_ids).
nlohmann::json end_tokens(const GgufContents& gguf) {
  constexpr std::array<std::string_view, 8> kTexts = {
      "<|eot_id|>",    "<|im_end|>", "<|end|>", "<end_of_turn>",
      "<|endoftext|>", "<|eom_id|>", "<EOT>",   "<|return|>"};
  constexpr std::int64_t kControl = 3;
  std::vector<std::int64_t> ends;
  const auto add = [&](std::int64_t id) {
    if (std::ranges::find(ends, id) == ends.end()) ends.push_back(id);
  };
  for (const char* key : {"eos_token_id", "eot_token_id", "eom_token_id"}) {
    const GgufValue* const value = gguf.find("tokenizer.ggml." + std::string(key));
    if (value != nullptr) add(value->integer());
  }
  const GgufValue* const tokens = gguf.find("tokenizer.ggml.tokens");
  const GgufValue* const types = gguf.find("tokenizer.ggml.token_type");
  if (tokens != nullptr && types != nullptr && tokens->size() == types->size()) {
    const auto texts = tokens->strings();
    const auto kinds = types->integers();
    for (std::size_t id = 0; id < texts.size(); id++) {
      if (kinds[id] == kControl && std::ranges::find(kTexts, texts[id]) != kTexts.end()) {
        add(std::int64_t(id));
      }
    }
  }
  return ends;
}

}  // namespace

Json gguf_config(const GgufContents& gguf) {
  const GgufArchitecture& architecture = gguf_architecture(gguf);
  const GgufKeys keys(gguf, architecture.name);
  nlohmann::json config{{"model_type", architecture.model_type},
                        {"tie_word_embeddings", !gguf.tensors.contains("output.weight")}};
  for (const Length& length : kLengths) config[length.here] = keys.at(length.gguf).integer();
  if (architecture.name == "mamba2") {
    add_state_space(gguf, keys, config);
  } else {
    add_attention(gguf, keys, architecture.name, config);
  }
  const auto embedding = gguf.tensors.find("token_embd.weight");
  if (embedding == gguf.tensors.end()) fail<ModelError>(gguf.file, ": has no token_embd.weight");
  config["vocab_size"] = embedding->second.shape[0];
  config["eos_token_id"] = end_tokens(gguf);
  if (architecture.name == "phi3" && keys.has("attention.sliding_window")) {
    const std::int64_t window = keys.at("attention.sliding_window").integer();
    if (window > 0) config["sliding_window"] = window;
  }
  if (architecture.name.starts_with("gemma")) add_gemma(keys, architecture.name, config);
  return Json::parse(config.dump(), gguf.file);
}

}  // namespace chiasm
