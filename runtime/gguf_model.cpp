#include "runtime/gguf_model.h"

#include <array>

#include "core/error.h"

namespace chiasm {

namespace {

struct Name {
  std::string_view gguf, here;
};
constexpr std::array kOutside = {
    Name{"token_embd.weight", "model.embed_tokens.weight"},
    Name{"output_norm.weight", "model.norm.weight"},
    Name{"output.weight", "lm_head.weight"},
};
// Behind "blk.N." and "model.layers.N.".
constexpr std::array kInside = {
    Name{"attn_norm", "input_layernorm"}, Name{"ffn_norm", "post_attention_layernorm"},
    Name{"attn_q", "self_attn.q_proj"},   Name{"attn_k", "self_attn.k_proj"},
    Name{"attn_v", "self_attn.v_proj"},   Name{"attn_output", "self_attn.o_proj"},
    Name{"ffn_gate", "mlp.gate_proj"},    Name{"ffn_up", "mlp.up_proj"},
    Name{"ffn_down", "mlp.down_proj"},
};

std::string name_here(std::string_view name) {
  for (const Name& n : kOutside) {
    if (n.gguf == name) return std::string(n.here);
  }
  constexpr std::string_view kLayer = "blk.";
  const std::size_t layer_end = name.find('.', kLayer.size());
  const std::size_t kind = name.rfind('.');
  if (name.starts_with(kLayer) && layer_end != std::string_view::npos && layer_end < kind) {
    const std::string_view inside = name.substr(layer_end + 1, kind - layer_end - 1);
    for (const Name& n : kInside) {
      if (n.gguf != inside) continue;
      return "model.layers." + std::string(name.substr(kLayer.size(), layer_end - kLayer.size())) +
             "." + std::string(n.here) + std::string(name.substr(kind));
    }
  }
  return {};
}

}  // namespace

Json gguf_config(const GgufContents& gguf) {
  const GgufValue& architecture = gguf.at("general.architecture");
  if (architecture.str() != "llama") {
    fail<ModelError>(architecture.where(), ": \"", architecture.str(),
                     "\" is not supported; llama is");
  }
  nlohmann::json config{{"model_type", "llama"},
                        {"tie_word_embeddings", !gguf.tensors.contains("output.weight")}};
  const auto whole = [&](const char* key, std::string_view name, bool needed) {
    if (needed || gguf.find(key) != nullptr) config[name] = gguf.at(key).integer();
  };
  whole("llama.embedding_length", "hidden_size", true);
  whole("llama.feed_forward_length", "intermediate_size", true);
  whole("llama.block_count", "num_hidden_layers", true);
  whole("llama.attention.head_count", "num_attention_heads", true);
  whole("llama.attention.head_count_kv", "num_key_value_heads", false);
  whole("llama.attention.key_length", "head_dim", false);
  whole("llama.context_length", "max_position_embeddings", true);
  config["rms_norm_eps"] = gguf.at("llama.attention.layer_norm_rms_epsilon").number();
  if (gguf.find("llama.rope.freq_base") != nullptr) {
    config["rope_theta"] = gguf.at("llama.rope.freq_base").number();
  }
  if (gguf.find("llama.rope.scaling.type") != nullptr &&
      gguf.at("llama.rope.scaling.type").str() != "none") {
    fail<ModelError>(gguf.at("llama.rope.scaling.type").where(), ": scaled rotary positions \"",
                     gguf.at("llama.rope.scaling.type").str(), "\" are not supported");
  }
  const auto embedding = gguf.tensors.find("token_embd.weight");
  if (embedding == gguf.tensors.end()) fail<ModelError>(gguf.file, ": has no token_embd.weight");
  config["vocab_size"] = embedding->second.shape[0];
  nlohmann::json ends = nlohmann::json::array();
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    if (gguf.find(key) != nullptr) ends.push_back(gguf.at(key).integer());
  }
  config["eos_token_id"] = ends;
  return Json::parse(config.dump(), gguf.file);
}

Checkpoint gguf_checkpoint(MappedFile file, const GgufContents& gguf) {
  const std::int64_t heads = gguf.at("llama.attention.head_count").integer();
  const std::int64_t kv_heads = gguf.find("llama.attention.head_count_kv") != nullptr
                                    ? gguf.at("llama.attention.head_count_kv").integer()
                                    : heads;
  std::map<std::string, TensorEntry, std::less<>> tensors;
  for (const auto& [name, entry] : gguf.tensors) {
    if (name == "rope_freqs.weight") {
      fail<ModelError>(gguf.file, ": ", name, ": scaled rotary positions are not supported");
    }
    const std::string here = name_here(name);
    if (here.empty()) fail<ModelError>(gguf.file, ": tensor ", name, " is not known to llama");
    TensorEntry& moved = tensors.emplace(here, entry).first->second;
    const bool q = here.ends_with("q_proj.weight"), k = here.ends_with("k_proj.weight");
    if (!q && !k) continue;
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
