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
constexpr std::array kMamba2Outside = {
    GgufName{"token_embd.weight", "backbone.embeddings.weight"},
    GgufName{"output_norm.weight", "backbone.norm_f.weight"},
    GgufName{"output.weight", "lm_head.weight"},
};
constexpr std::array kMamba2Inside = {
    GgufName{"attn_norm", "norm"},
    GgufName{"ssm_in", "mixer.in_proj"},
    GgufName{"ssm_conv1d.weight", "mixer.conv1d.weight", GgufShape::taps},
    GgufName{"ssm_conv1d.bias", "mixer.conv1d.bias"},
    GgufName{"ssm_dt.bias", "mixer.dt_bias"},
    GgufName{"ssm_a", "mixer.A", GgufShape::row},
    GgufName{"ssm_d", "mixer.D", GgufShape::row},
    GgufName{"ssm_norm.weight", "mixer.norm.weight", GgufShape::row},
    GgufName{"ssm_out", "mixer.out_proj"},
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
    GgufArchitecture{"mamba2", "mamba2", "backbone.layers.", kMamba2Outside, kMamba2Inside},
};

/// A tensor's name in a folder, and its shape there.
struct Place {
  std::string name;  // empty where the architecture has no such tensor
  GgufShape shape = GgufShape::same;
};

Place place_of(const GgufArchitecture& architecture, std::string_view name) {
  for (const GgufName& n : architecture.outside) {
    if (n.gguf == name) return {std::string(n.here), n.shape};
  }
  constexpr std::string_view kLayer = "blk.";
  const std::size_t layer_end = name.find('.', kLayer.size());
  if (!name.starts_with(kLayer) || layer_end == std::string_view::npos) return {};
  const std::string layer(name.substr(kLayer.size(), layer_end - kLayer.size()));
  const std::string_view inside = name.substr(layer_end + 1);
  const std::size_t kind = std::min(inside.rfind('.'), inside.size());
  for (const GgufName& n : architecture.inside) {
    std::string here = std::string(architecture.layers) + layer + "." + std::string(n.here);
    if (n.gguf == inside) return {std::move(here), n.shape};
    if (n.gguf == inside.substr(0, kind)) return {here.append(inside.substr(kind)), n.shape};
  }
  return {};
}

/// The shape that a folder has for it. ModelError for a convolution's that is no matrix.
Shape shape_here(const TensorEntry& entry, GgufShape shape, const std::string& where) {
  switch (shape) {
    case GgufShape::same:
      return entry.shape;
    case GgufShape::row:
      return {entry.shape.count()};
    case GgufShape::taps:
      if (entry.shape.rank() == 2) return {entry.shape[0], 1, entry.shape[1]};
      fail<ModelError>(where, ": shape ", entry.shape, ", expected [channels, taps]");
  }
  return entry.shape;
}

/// Rows of a head in a matrix of `rows` for all heads of q or of k, whose rows are interleaved.
std::int64_t interleaved_rows(const GgufContents& gguf, const GgufArchitecture& architecture,
                              const std::string& name, const Shape& shape, bool q) {
  const std::string prefix = std::string(architecture.name) + ".attention.";
  const GgufValue* const fewer = q ? nullptr : gguf.find(prefix + "head_count_kv");
  const std::int64_t count = (fewer != nullptr ? *fewer : gguf.at(prefix + "head_count")).integer();
  if (count < 1 || count > shape[0] || shape[0] % (2 * count) != 0) {
    fail<ModelError>(gguf.file, ": ", name, ": shape ", shape, " does not divide into ", count,
                     " heads");
  }
  return shape[0] / count;
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
  std::map<std::string, TensorEntry, std::less<>> tensors;
  for (const auto& [name, entry] : gguf.tensors) {
    if (std::ranges::find(kFactors, name) != kFactors.end()) continue;
    const Place place = place_of(architecture, name);
    const std::string& here = place.name;
    if (here.empty()) {
      fail<ModelError>(gguf.file, ": tensor ", name, " is not known to ", architecture.name);
    }
    TensorEntry& moved = tensors.emplace(here, entry).first->second;
    moved.shape = shape_here(entry, place.shape, gguf.file + ": " + name);
    const bool q = here.find("q_proj.") != std::string::npos;
    const bool k = here.find("k_proj.") != std::string::npos;
    if (!architecture.interleaved || !(q || k)) continue;
    if (here.ends_with(".bias")) {
      fail<ModelError>(gguf.file, ": ", name, ": biases of attention are not supported in ",
                       architecture.name);
    }
    moved.interleaved = interleaved_rows(gguf, architecture, name, entry.shape, q);
  }
  return tensors;
}

}  // namespace chiasm
