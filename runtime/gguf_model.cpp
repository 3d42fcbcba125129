#include "runtime/gguf_model.h"

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
// Behind "blk.N." and "model.layers.N.".
constexpr std::array kInside = {
    GgufName{"attn_norm", "input_layernorm"},    GgufName{"attn_q", "self_attn.q_proj"},
    GgufName{"attn_k", "self_attn.k_proj"},      GgufName{"attn_v", "self_attn.v_proj"},
    GgufName{"attn_output", "self_attn.o_proj"}, GgufName{"ffn_gate", "mlp.gate_proj"},
    GgufName{"ffn_up", "mlp.up_proj"},           GgufName{"ffn_down", "mlp.down_proj"},
};
constexpr std::array kPlainNorms = {GgufName{"ffn_norm", "post_attention_layernorm"}};
constexpr std::array kHeadNorms = {GgufName{"ffn_norm", "post_attention_layernorm"},
                                   GgufName{"attn_q_norm", "self_attn.q_norm"},
                                   GgufName{"attn_k_norm", "self_attn.k_norm"}};
constexpr std::array kGemma3Norms = {
    GgufName{"post_attention_norm", "post_attention_layernorm"},
    GgufName{"ffn_norm", "pre_feedforward_layernorm"},
    GgufName{"post_ffw_norm", "post_feedforward_layernorm"},
    GgufName{"attn_q_norm", "self_attn.q_norm"},
    GgufName{"attn_k_norm", "self_attn.k_norm"},
};
constexpr auto kGemma2Norms = std::span(kGemma3Norms).first<3>();

constexpr std::array kArchitectures = {
    GgufArchitecture{"llama", "llama", kPlainNorms, true},
    GgufArchitecture{"qwen2", "qwen2", kPlainNorms, false},
    GgufArchitecture{"qwen3", "qwen3", kHeadNorms, false},
    GgufArchitecture{"gemma", "gemma", kPlainNorms, false},
    GgufArchitecture{"gemma2", "gemma2", kGemma2Norms, false},
    GgufArchitecture{"gemma3", "gemma3_text", kGemma3Norms, false},
};

/// The folder's name of a tensor; empty where the architecture has none such.
std::string name_here(const GgufArchitecture& architecture, std::string_view name) {
  for (const GgufName& n : kOutside) {
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
  for (const std::span<const GgufName> names :
       {std::span<const GgufName>(kInside), architecture.norms}) {
    for (const GgufName& n : names) {
      if (n.gguf != inside) continue;
      return "model.layers." + std::string(layer) + "." + std::string(n.here) +
             std::string(name.substr(kind));
    }
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
  fail<ModelError>(name.where(), ": \"", name.str(), "\" is not supported; supported are ", known);
}

Checkpoint gguf_checkpoint(MappedFile file, const GgufContents& gguf) {
  const GgufArchitecture& architecture = gguf_architecture(gguf);
  const std::string prefix = std::string(architecture.name) + ".attention.";
  const std::int64_t heads = gguf.at(prefix + "head_count").integer();
  const GgufValue* const fewer = gguf.find(prefix + "head_count_kv");
  const std::int64_t kv_heads = fewer != nullptr ? fewer->integer() : heads;
  std::map<std::string, TensorEntry, std::less<>> tensors;
  for (const auto& [name, entry] : gguf.tensors) {
    if (name == "rope_freqs.weight") continue;  // gguf_config has read it
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
    if (count < 1 || entry.shape[0] % (2 * count) != 0) {
      fail<ModelError>(gguf.file, ": ", name, ": shape ", entry.shape, " does not divide into ",
                       count, " heads");
    }
    moved.interleaved = entry.shape[0] / count;
  }
  return Checkpoint::of(std::move(file), gguf.file, std::move(tensors));
}

}  // namespace chiasm
