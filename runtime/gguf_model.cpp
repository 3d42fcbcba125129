#include "runtime/gguf_model.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "runtime/gguf_architecture.h"

namespace chiasm {

namespace {

constexpr std::array kOutside = {
    GgufName{"token_embd.weight", "model.embed_tokens.weight"},
    GgufName{"output_norm.weight", "model.norm.weight"},
    GgufName{"output.weight", "lm_head.weight"},
};
// q_norm and k_norm are qwen3's.
constexpr std::array kInside = {
    GgufName{"attn_norm", "input_layernorm"},
    GgufName{"attn_q", "self_attn.q_proj"},
    GgufName{"attn_k", "self_attn.k_proj"},
    GgufName{"attn_v", "self_attn.v_proj"},
    GgufName{"attn_output", "self_attn.o_proj"},
    GgufName{"ffn_gate", "mlp.gate_proj"},
    GgufName{"ffn_up", "mlp.up_proj"},
    GgufName{"ffn_down", "mlp.down_proj"},
    GgufName{"ffn_norm", "post_attention_layernorm"},
    GgufName{"attn_q_norm", "self_attn.q_norm"},
    GgufName{"attn_k_norm", "self_attn.k_norm"},
};
// A norm before and behind attention and MLP; q_norm and k_norm are gemma3's.
constexpr std::array kGemma2Inside = {
    GgufName{"attn_norm", "input_layernorm"},
    GgufName{"attn_q", "self_attn.q_proj"},
    GgufName{"attn_k", "self_attn.k_proj"},
    GgufName{"attn_v", "self_attn.v_proj"},
    GgufName{"attn_output", "self_attn.o_proj"},
    GgufName{"ffn_gate", "mlp.gate_proj"},
    GgufName{"ffn_up", "mlp.up_proj"},
    GgufName{"ffn_down", "mlp.down_proj"},
    GgufName{"post_attention_norm", "post_attention_layernorm"},
    GgufName{"ffn_norm", "pre_feedforward_layernorm"},
    GgufName{"post_ffw_norm", "post_feedforward_layernorm"},
    GgufName{"attn_q_norm", "self_attn.q_norm"},
    GgufName{"attn_k_norm", "self_attn.k_norm"},
};
// q, k and v, and gate and up, are one matrix.
constexpr std::array kPhi3Inside = {
    GgufName{"attn_norm", "input_layernorm"},    GgufName{"attn_qkv", "self_attn.qkv_proj"},
    GgufName{"attn_output", "self_attn.o_proj"}, GgufName{"ffn_up", "mlp.gate_up_proj"},
    GgufName{"ffn_down", "mlp.down_proj"},       GgufName{"ffn_norm", "post_attention_layernorm"},
};
constexpr std::array kGpt2Outside = {
    GgufName{"token_embd.weight", "transformer.wte.weight"},
    GgufName{"position_embd.weight", "transformer.wpe.weight"},
    GgufName{"output_norm.weight", "transformer.ln_f.weight"},
    GgufName{"output_norm.bias", "transformer.ln_f.bias"},
    GgufName{"output.weight", "lm_head.weight"},
};
constexpr std::array kGpt2Inside = {
    GgufName{"attn_norm", "ln_1"},          GgufName{"attn_qkv", "attn.c_attn"},
    GgufName{"attn_output", "attn.c_proj"}, GgufName{"ffn_norm", "ln_2"},
    GgufName{"ffn_up", "mlp.c_fc"},         GgufName{"ffn_down", "mlp.c_proj"},
};
// Of these the configs know, not the checkpoint.
constexpr std::array<std::string_view, 3> kFactors = {
    "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"};

constexpr std::string_view kLayers = "model.layers.";
constexpr std::array kArchitectures = {
    GgufArchitecture{"llama", "llama", kLayers, kOutside, kInside, true},
    GgufArchitecture{"qwen2", "qwen2", kLayers, kOutside, kInside},
    GgufArchitecture{"qwen3", "qwen3", kLayers, kOutside, kInside},
    GgufArchitecture{"gemma", "gemma", kLayers, kOutside, kInside},
    GgufArchitecture{"gemma2", "gemma2", kLayers, kOutside, kGemma2Inside},
    GgufArchitecture{"gemma3", "gemma3_text", kLayers, kOutside, kGemma2Inside},
    GgufArchitecture{"phi3", "phi3", kLayers, kOutside, kPhi3Inside},
    GgufArchitecture{"smollm3", "smollm3", kLayers, kOutside, kInside, true},
    GgufArchitecture{"gpt2", "gpt2", "transformer.h.", kGpt2Outside, kGpt2Inside},
};

/// The folder's name of a tensor; empty where the architecture has none such.
std::string name_here(const GgufArchitecture& architecture, std::string_view name) {
  for (const GgufName& n : architecture.outside) {
    if (n.gguf == name) return std::string(n.here);
  }
  constexpr std::string_view kLayer = "blk.";
  const std::size_t layer_end = name.find('.', kLayer.size());
  const std::size_t kind = name.rfind('.');
  if (!name.starts_with(kLayer) || layer_end == std::string_view::npos || layer_end >= kind) {
    return {};
  }
  const std::string_view inside = name.substr(layer_end + 1, kind - layer_end - 1);
  const auto layer = name.substr(kLayer.size(), layer_end - kLayer.size());
  for (const GgufName& n : architecture.inside) {
    if (n.gguf != inside) continue;
    return std::string(architecture.layers) + std::string(layer) + "." + std::string(n.here) +
           std::string(name.substr(kind));
  }
  return {};
}

}  // namespace

const GgufArchitecture& gguf_architecture(const GgufContents& gguf) {
  const GgufValue& name = gguf.at("general.architecture");
  std::string known;
  for (const GgufArchitecture& a : kArchitectures) {
    if (a.name == name.str()) return a;
    known.append(known.empty() ? "" : ", ").append(a.name);
  }
  if (name.str() == "clip") {
    fail<ModelError>(name.where(),
                     ": is a projector's file (\"clip\"); load the language model that it ",
                     "belongs to, and name this file with mmproj");
  }
  fail<ModelError>(name.where(), ": \"", name.str(), "\" is not supported; supported are ", known);
}

std::map<std::string, TensorEntry, std::less<>> gguf_tensors(const GgufContents& gguf) {
  const GgufArchitecture& architecture = gguf_architecture(gguf);
  const std::string prefix = std::string(architecture.name) + ".attention.";
  const std::int64_t heads = gguf.at(prefix + "head_count").integer();
  const GgufValue* const fewer = gguf.find(prefix + "head_count_kv");
  const std::int64_t kv_heads = fewer != nullptr ? fewer->integer() : heads;
  std::map<std::string, TensorEntry, std::less<>> tensors;
  for (const auto& [name, entry] : gguf.tensors) {
    if (std::ranges::find(kFactors, name) != kFactors.end()) continue;
    const std::string here = name_here(architecture, name);
    if (here.empty()) {
      fail<ModelError>(gguf.file, ": tensor ", name, " is not known to ", architecture.name);
    }
    TensorEntry& moved = tensors.emplace(here, entry).first->second;
    const bool q = here.find("q_proj.") != std::string::npos;
    const bool k = here.find("k_proj.") != std::string::npos;
    if (!architecture.interleaved || !(q || k)) continue;
    if (here.ends_with(".bias")) {
      fail<ModelError>(gguf.file, ": ", name, ": biases of attention are not supported in ",
                       architecture.name);
    }
    const std::int64_t count = q ? heads : kv_heads;
    if (count < 1 || count > entry.shape[0] || entry.shape[0] % (2 * count) != 0) {
      fail<ModelError>(gguf.file, ": ", name, ": shape ", entry.shape, " does not divide into ",
                       count, " heads");
    }
    moved.interleaved = entry.shape[0] / count;
  }
  return tensors;
}

}  // namespace chiasm
