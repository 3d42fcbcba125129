#pragma once
/// Makes GGUF files of the language models in Hugging Face folders, for tests.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"
#include "core/weights.h"
#include "tests/support/gguf_bytes.h"

namespace chiasm::testing {

/// Parts of a GGUF file of the folder's model, for tests to change before they are put together.
struct Parts {
  std::uint64_t values = 0, tensors = 0;
  GgufBytes metadata, infos;
  std::string data, model = "gpt2", pre = "smollm", architecture = "llama";

  // Changes a tensor before it is written.
  std::function<void(const std::string&, Shape&, std::vector<float>&)> change;

  void tensor(const std::string& name, Shape shape, std::vector<float> values_of) {
    if (change) change(name, shape, values_of);
    std::vector<std::uint64_t> dims;
    for (const auto d : shape.dims()) dims.insert(dims.begin(), std::uint64_t(d));
    infos.tensor(name, dims, 0, data.size());
    data.append(reinterpret_cast<const char*>(values_of.data()), values_of.size() * 4);
    data.append((32 - data.size() % 32) % 32, '\0');
    tensors++;
  }
  std::string bytes() {
    GgufBytes all;
    all.header(tensors, values);
    all.bytes += metadata.bytes + infos.bytes;
    return all.data(data).bytes;
  }
};

/// Rows of each head from halves to pairs: row 2 i + j of the file is row j * half + i.
inline std::vector<float> interleave(const std::vector<float>& w, std::int64_t rows,
                                     std::int64_t head) {
  const std::int64_t in = std::int64_t(w.size()) / rows, half = head / 2;
  std::vector<float> out(w.size());
  for (std::int64_t r = 0; r < rows; r++) {
    const std::int64_t inside = r % head, to = r - inside + inside % half * 2 + inside / half;
    std::copy_n(w.begin() + r * in, in, out.begin() + to * in);
  }
  return out;
}

using Names = std::vector<std::pair<std::string, std::string>>;  // in a folder, in a file

inline const Names& names_of(const std::string& architecture) {
  static const Names gpt2{
      {"transformer.", ""},           {"h.", "blk."},          {"wte.", "token_embd."},
      {"wpe.", "position_embd."},     {"ln_f", "output_norm"}, {"lm_head", "output"},
      {"ln_1", "attn_norm"},          {"ln_2", "ffn_norm"},    {"attn.c_attn", "attn_qkv"},
      {"attn.c_proj", "attn_output"}, {"mlp.c_fc", "ffn_up"},  {"mlp.c_proj", "ffn_down"}};
  static const Names mamba2{{"backbone.layers.", "blk."},
                            {"backbone.embeddings", "token_embd"},
                            {"backbone.norm_f", "output_norm"},
                            {"lm_head", "output"},
                            {"mixer.in_proj", "ssm_in"},
                            {"mixer.conv1d", "ssm_conv1d"},
                            {"mixer.dt_bias", "ssm_dt.bias"},
                            {"mixer.A_log", "ssm_a"},
                            {"mixer.D", "ssm_d"},
                            {"mixer.norm", "ssm_norm"},
                            {"mixer.out_proj", "ssm_out"},
                            {".norm.", ".attn_norm."}};
  return architecture == "gpt2" ? gpt2 : mamba2;
}

inline std::string file_name(std::string name, const std::string& architecture) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    const auto at = name.find(from);
    if (at != std::string::npos) name.replace(at, from.size(), to);
  };
  if (architecture == "gpt2" || architecture == "mamba2") {
    for (const auto& [from, to] : names_of(architecture)) {
      if (name.starts_with("h.") || from != "h.") replace(from, to);
    }
    return name;
  }
  const bool two_norms = architecture == "gemma2" || architecture == "gemma3";
  for (const auto& [from, to] :
       Names{{"model.layers.", "blk."},
             {"model.embed_tokens", "token_embd"},
             {"model.norm", "output_norm"},
             {"lm_head", "output"},
             {"input_layernorm", "attn_norm"},
             {"post_attention_layernorm", two_norms ? "post_attention_norm" : "ffn_norm"},
             {"pre_feedforward_layernorm", "ffn_norm"},
             {"post_feedforward_layernorm", "post_ffw_norm"},
             {"self_attn.q_norm", "attn_q_norm"},
             {"self_attn.k_norm", "attn_k_norm"},
             {"self_attn.qkv_proj", "attn_qkv"},
             {"self_attn.q_proj", "attn_q"},
             {"self_attn.k_proj", "attn_k"},
             {"self_attn.v_proj", "attn_v"},
             {"self_attn.o_proj", "attn_output"},
             {"mlp.gate_up_proj", "ffn_up"},
             {"mlp.gate_proj", "ffn_gate"},
             {"mlp.up_proj", "ffn_up"},
             {"mlp.down_proj", "ffn_down"}}) {
    replace(from, to);
  }
  return name;
}

inline void add_tokenizer(Parts& p, const Json& tokenizer) {
  std::map<std::int64_t, std::string> tokens;
  std::vector<std::int32_t> types;
  std::vector<std::string> texts, merges;
  for (const auto& item : tokenizer["model"]["vocab"].raw().items()) {
    tokens[item.value().get<std::int64_t>()] = item.key();
  }
  std::map<std::int64_t, bool> special;
  for (const auto& added : tokenizer["added_tokens"].raw()) {
    tokens[added["id"].get<std::int64_t>()] = added["content"].get<std::string>();
    special[added["id"].get<std::int64_t>()] = added["special"].get<bool>();
  }
  for (const auto& [id, text] : tokens) {
    while (std::int64_t(texts.size()) < id) {  // ids that the folder leaves out
      texts.push_back("<unused" + std::to_string(texts.size()) + ">");
      types.push_back(5);
    }
    texts.push_back(text);
    types.push_back(special.contains(id) ? (special[id] ? 3 : 4) : 1);
  }
  for (const auto& merge : tokenizer["model"]["merges"].raw()) {
    merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  p.metadata.value("tokenizer.ggml.model", p.model).value("tokenizer.ggml.pre", p.pre);
  p.metadata.strings("tokenizer.ggml.tokens", texts).integers("tokenizer.ggml.token_type", types);
  p.metadata.strings("tokenizer.ggml.merges", merges).value("tokenizer.ggml.eos_token_id", 2u);
  p.values += 6;
}

inline void add_sliding(Parts& p, const Json& config) {
  const std::string a = p.architecture + ".";
  p.metadata.value(a + "attention.sliding_window",
                   std::uint32_t(config["sliding_window"].integer()));
  p.values++;
  if (p.architecture != "gemma3") return;
  std::vector<bool> slides;
  for (const auto& type : config["layer_types"].raw())
    slides.push_back(type == "sliding_attention");
  p.metadata.flags(a + "attention.sliding_window_pattern", slides);
  p.metadata.value(a + "rope.scaling.type", "linear").value(a + "rope.scaling.factor", 8.0f);
  p.metadata.value(a + "rope.freq_base_swa", 10000.0f);
  p.values += 4;
}

inline std::vector<float> numbers_of(const Json& array) {
  std::vector<float> out;
  for (const auto& v : array.raw()) out.push_back(v.get<float>());
  return out;
}

/// Frequencies, and how they are stretched.
inline void add_rope(Parts& p, const Json& config) {
  const std::string a = p.architecture + ".";
  const Json rope = config.has("rope_parameters") ? config["rope_parameters"] : config;
  const Json full = rope.has("full_attention") ? rope["full_attention"] : rope;
  p.metadata.value(a + "rope.freq_base", float(full.number("rope_theta", 10000)));
  p.values++;
  if (p.architecture == "smollm3") {
    p.metadata.value(a + "rope.scaling.type", "yarn");
    p.metadata.value(a + "rope.scaling.factor", float(full["factor"].number()));
    p.values += 2;
  }
  if (p.architecture == "phi3" || p.architecture == "smollm3") {
    const Json from = config.has("rope_scaling") ? config["rope_scaling"] : full;
    p.metadata.value(a + "rope.scaling.original_context_length",
                     std::uint32_t(from["original_max_position_embeddings"].integer()));
    p.values++;
  }
  if (p.architecture != "phi3") return;
  const Json factors = config["rope_scaling"];
  p.metadata.value(a + "rope.dimension_count", std::uint32_t(2 * factors["long_factor"].size()));
  p.values++;
  for (const std::string which : {"long", "short"}) {
    const auto values = numbers_of(factors[which + "_factor"]);
    p.tensor("rope_factors_" + which + ".weight", {std::int64_t(values.size())}, values);
  }
}

/// Sizes of a state space. Files say of attention and MLPs what llama.cpp asks for.
inline void add_state_space(Parts& p, const Json& config) {
  const std::uint32_t hidden = std::uint32_t(config["hidden_size"].integer());
  const auto number = [&](const std::string& key, std::uint32_t value) {
    p.metadata.value("mamba2." + key, value);
    p.values++;
  };
  number("context_length", 1u << 20);
  number("embedding_length", hidden);
  number("feed_forward_length", 0);
  number("attention.head_count", 0);
  number("block_count", std::uint32_t(config["num_hidden_layers"].integer()));
  number("ssm.conv_kernel", std::uint32_t(config["conv_kernel"].integer()));
  number("ssm.inner_size", std::uint32_t(config["expand"].integer()) * hidden);
  number("ssm.state_size", std::uint32_t(config["state_size"].integer()));
  number("ssm.time_step_rank", std::uint32_t(config["num_heads"].integer()));
  number("ssm.group_count", std::uint32_t(config["n_groups"].integer()));
  p.metadata.value("mamba2.attention.layer_norm_rms_epsilon",
                   float(config["layer_norm_epsilon"].number()));
  p.values++;
}

/// Lengths of a config.json; those of GPT-2 have names of their own.
inline void add_lengths(Parts& p, const Json& config) {
  const std::string a = p.architecture + ".";
  const auto number = [&](const std::string& key, std::string_view from) {
    if (!config.has(from)) return;
    p.metadata.value(a + key, std::uint32_t(config[from].integer()));
    p.values++;
  };
  const bool gpt2 = p.architecture == "gpt2";
  number("embedding_length", gpt2 ? "n_embd" : "hidden_size");
  number("feed_forward_length", gpt2 ? "n_inner" : "intermediate_size");
  number("block_count", gpt2 ? "n_layer" : "num_hidden_layers");
  number("attention.head_count", gpt2 ? "n_head" : "num_attention_heads");
  number("attention.head_count_kv", "num_key_value_heads");
  number("attention.key_length", "head_dim");
  number("context_length", gpt2 ? "n_positions" : "max_position_embeddings");
  const std::string_view eps = gpt2 ? "layer_norm_epsilon" : "rms_norm_eps";
  p.metadata.value(
      a + "attention." + std::string(gpt2 ? "layer_norm_epsilon" : "layer_norm_rms_epsilon"),
      float(config[eps].number()));
  p.values++;
}

/// [in, out] as [out, in].
inline std::vector<float> turned(const std::vector<float>& w, std::int64_t in) {
  const std::int64_t out = std::int64_t(w.size()) / in;
  std::vector<float> to(w.size());
  for (std::int64_t i = 0; i < in; i++) {
    for (std::int64_t o = 0; o < out; o++)
      to[std::size_t(o * in + i)] = w[std::size_t(i * out + o)];
  }
  return to;
}

/// A tensor's name without the scope of a model that also sees; empty for those of its other parts.
inline std::string text_name(std::string name) {
  for (const std::string other :
       {"vision", "multi_modal_projector.", "model.connector.", "image_newline"}) {
    if (name.find(other) != std::string::npos) return {};
  }
  for (const std::string scope : {"language_model.", "text_model."}) {
    const auto at = name.find(scope);
    if (at != std::string::npos) name.erase(at, scope.size());
  }
  return name;
}

/// A tensor of Mamba 2 as convert_hf_to_gguf.py writes it.
inline void add_state_space_tensor(Parts& p, const std::string& name, const Shape& shape,
                                   std::vector<float> w, std::int64_t groups) {
  const std::string there = file_name(name, p.architecture);
  if (there.ends_with("ssm_a")) {
    for (float& v : w) v = -std::exp(v);
  }
  if (there.ends_with("ssm_a") || there.ends_with("ssm_d")) {
    p.tensor(there, {shape[0], 1}, w);
  } else if (there.ends_with("ssm_norm.weight")) {
    p.tensor(there, {groups, shape[0] / groups}, w);
  } else if (there.ends_with("ssm_conv1d.weight")) {
    p.tensor(there, {shape[0], shape[2]}, w);
  } else {
    p.tensor(there, shape, w);
  }
}

/// A tensor as convert_hf_to_gguf.py writes it.
inline void add_tensor(Parts& p, const std::string& name, const TensorEntry& entry,
                       const Json& config) {
  std::vector<float> w(std::size_t(entry.shape.count()));
  to_floats(entry.bytes.data(), entry.dtype, entry.shape.count(), w.data());
  if (p.architecture == "mamba2") {
    return add_state_space_tensor(p, name, entry.shape, w, config["n_groups"].integer());
  }
  const bool q_or_k = name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight");
  if (q_or_k && (p.architecture == "llama" || p.architecture == "smollm3")) {
    const std::int64_t heads = config["num_attention_heads"].integer();
    w = interleave(w, entry.shape[0],
                   config.integer("head_dim", config["hidden_size"].integer() / heads));
  }
  if (p.architecture.starts_with("gemma") && name.ends_with("norm.weight")) {
    for (float& v : w) v += 1;
  }
  const std::string there = file_name(name, p.architecture);
  if (p.architecture == "gpt2" && name.find(".c_") != std::string::npos &&
      entry.shape.rank() == 2) {
    return p.tensor(there, {entry.shape[1], entry.shape[0]}, turned(w, entry.shape[0]));
  }
  p.tensor(there, entry.shape, w);
}

/// The file of a folder's language model, as convert_hf_to_gguf.py makes it.
inline Parts convert(Parts p, const std::filesystem::path& folder) {
  const Json all = Json::load(folder / "config.json");
  const Json config = all.has("text_config") ? all["text_config"] : all;
  p.metadata.value("general.architecture", p.architecture);
  p.values++;
  const bool mamba2 = p.architecture == "mamba2";
  if (mamba2) {
    add_state_space(p, config);
  } else {
    add_lengths(p, config);
  }
  if (!mamba2 && p.architecture != "gpt2") add_rope(p, config);
  for (const std::string key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (!config.has(key)) continue;
    p.metadata.value(p.architecture + "." + key, float(config[key].number()));
    p.values++;
  }
  const bool gemma = p.architecture.starts_with("gemma");
  if (gemma && config.has("sliding_window")) add_sliding(p, config);
  add_tokenizer(p, Json::load(folder / "tokenizer.json"));
  const Checkpoint checkpoint = Checkpoint::open(folder);
  for (const auto& [name, entry] : checkpoint.tensors()) {
    const std::string here = text_name(name);
    if (!here.empty()) add_tensor(p, here, entry, config);
  }
  return p;
}

}  // namespace chiasm::testing
