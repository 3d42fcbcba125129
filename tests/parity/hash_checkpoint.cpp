#include "tests/parity/hash_checkpoint.h"

#include <bit>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/hash.h"

namespace chiasm::testing {

namespace {

constexpr std::int64_t kChunk = std::int64_t(1) << 20;  // values at a time; divisible by 4

/// FNV-1a, 64 bits.
std::uint64_t name_hash(const std::string& name) {
  std::uint64_t h = 0xcbf29ce484222325ull;
  for (const char c : name) h = (h ^ std::uint8_t(c)) * 0x100000001b3ull;
  return h;
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

/// The power of two that a tensor's integers are multiplied with: see hash_weights.py.
int exponent(const HashTensor& t) {
  if (t.power) return *t.power;
  if (t.name.ends_with("bias")) return -10;
  if (contains(t.name, "position_embedding")) return -8;
  if (contains(t.name, "embed_tokens")) return -7;
  std::uint64_t fan_in = 1;
  for (std::size_t i = 1; i < t.shape.size(); i++) fan_in *= std::uint64_t(t.shape[i]);
  int base = 7 + (int(std::bit_width(fan_in)) - 1) / 2;
  if (contains(t.name, "lm_head")) base -= 2;
  for (const char* part : {"out_proj", "o_proj", "fc2", "down_proj"}) {
    if (contains(t.name, part)) return -(base + 1);
  }
  return -base;
}

/// Appends weight and bias of a layer with the given shape of the weight.
void add_pair(std::vector<HashTensor>& out, const std::string& name,
              const std::vector<std::int64_t>& shape) {
  out.push_back({name + ".weight", shape, {}});
  out.push_back({name + ".bias", {shape[0]}, {}});
}

void add_vision(std::vector<HashTensor>& out, const Json& v) {
  const std::int64_t dim = v["hidden_size"].integer(), inner = v["intermediate_size"].integer();
  const std::int64_t patch = v["patch_size"].integer();
  const std::int64_t side = v["image_size"].integer() / patch;
  const std::string tower = "model.vision_model.";
  add_pair(out, tower + "embeddings.patch_embedding", {dim, 3, patch, patch});
  out.push_back({tower + "embeddings.position_embedding.weight", {side * side, dim}, {}});
  for (std::int64_t i = 0; i < v["num_hidden_layers"].integer(); i++) {
    const std::string layer = tower + "encoder.layers." + std::to_string(i) + ".";
    add_pair(out, layer + "layer_norm1", {dim});
    for (const char* part : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      add_pair(out, layer + "self_attn." + part, {dim, dim});
    }
    add_pair(out, layer + "layer_norm2", {dim});
    add_pair(out, layer + "mlp.fc1", {inner, dim});
    add_pair(out, layer + "mlp.fc2", {dim, inner});
  }
  add_pair(out, tower + "post_layernorm", {dim});
}

void add_text(std::vector<HashTensor>& out, const Json& t) {
  const std::int64_t dim = t["hidden_size"].integer(), inner = t["intermediate_size"].integer();
  const std::int64_t head = t["head_dim"].integer(), vocab = t["vocab_size"].integer();
  const std::int64_t q = t["num_attention_heads"].integer() * head;
  const std::int64_t kv = t["num_key_value_heads"].integer() * head;
  const auto add = [&out](const std::string& name, std::vector<std::int64_t> shape) {
    out.push_back({name + ".weight", std::move(shape), {}});
  };
  add("model.text_model.embed_tokens", {vocab, dim});
  for (std::int64_t i = 0; i < t["num_hidden_layers"].integer(); i++) {
    const std::string layer = "model.text_model.layers." + std::to_string(i) + ".";
    add(layer + "input_layernorm", {dim});
    add(layer + "self_attn.q_proj", {q, dim});
    add(layer + "self_attn.k_proj", {kv, dim});
    add(layer + "self_attn.v_proj", {kv, dim});
    add(layer + "self_attn.o_proj", {dim, q});
    add(layer + "post_attention_layernorm", {dim});
    add(layer + "mlp.gate_proj", {inner, dim});
    add(layer + "mlp.up_proj", {inner, dim});
    add(layer + "mlp.down_proj", {dim, inner});
  }
  add("model.text_model.norm", {dim});
  add("lm_head", {vocab, dim});
}

void write_weights(const std::vector<HashTensor>& tensors, const std::filesystem::path& path) {
  nlohmann::ordered_json header;
  std::int64_t end = 0;
  for (const HashTensor& t : tensors) {
    const std::int64_t begin = end;
    end += 2 * t.count();
    header[t.name] = {{"dtype", "BF16"}, {"shape", t.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), sizeof size);
  file.write(text.data(), std::streamsize(text.size()));
  for (const HashTensor& t : tensors) {
    for (std::int64_t first = 0; first < t.count(); first += kChunk) {
      const auto values = hash_values(t, first, std::min(kChunk, t.count() - first));
      file.write(reinterpret_cast<const char*>(values.data()),
                 std::streamsize(values.size() * sizeof(bf16)));
    }
  }
  if (!file.flush()) fail<ModelError>("cannot write ", path.string());
}

/// UTF-8 of GPT-2's stand-ins for the 256 bytes, in order of their code points.
std::vector<std::string> byte_letters() {
  std::vector<int> points;
  for (int b = 33; b < 127; b++) points.push_back(b);
  for (int b = 161; b < 173; b++) points.push_back(b);
  for (int b = 174; b < 256; b++) points.push_back(b);
  for (int p = 256; points.size() < 256; p++) points.push_back(p);
  std::vector<std::string> out;
  for (const int p : points) {
    if (p < 0x80) {
      out.emplace_back(1, char(p));
    } else {
      out.push_back({char(0xc0 | (p >> 6)), char(0x80 | (p & 0x3f))});
    }
  }
  return out;
}

using Merge = std::pair<std::string, std::string>;

/// A space before each letter, pairs of letters, a space before those, then pairs of pairs.
std::vector<Merge> synthetic_merges(std::size_t count) {
  const std::string letters = "etaoinshrdlucmfwypvbgkjqxz", space = "\u0120", line = "\u010a";
  std::vector<Merge> merges;
  std::vector<std::string> pairs;
  for (const char a : letters) merges.emplace_back(space, std::string(1, a));
  for (const char a : letters) {
    for (const char b : letters) {
      merges.emplace_back(std::string(1, a), std::string(1, b));
      pairs.push_back({a, b});
    }
  }
  for (const std::string& p : pairs) merges.emplace_back(space, p);
  merges.emplace_back(line, line);
  for (std::size_t i = 0; merges.size() < count; i++) {
    merges.emplace_back(pairs[i / pairs.size()], pairs[i % pairs.size()]);
  }
  return merges;
}

/// The picture tokens, in order of their ids after the vocabulary.
std::vector<std::string> picture_tokens() {
  std::vector<std::string> out{"<global-img>"};
  for (int r = 1; r <= 6; r++) {
    for (int c = 1; c <= 6; c++) {
      out.push_back("<row_" + std::to_string(r) + "_col_" + std::to_string(c) + ">");
    }
  }
  out.insert(out.end(), {"<fake_token_around_image>", "<image>"});
  for (int i = 0; i < 88; i++) {
    out.push_back("<|reserved_special_token_" + std::to_string(i) + "|>");
  }
  out.push_back("<end_of_utterance>");
  return out;
}

}  // namespace

std::int64_t HashTensor::count() const {
  std::int64_t n = 1;
  for (const std::int64_t d : shape) n *= d;
  return n;
}

std::vector<HashTensor> hash_tensors(const std::filesystem::path& files) {
  std::vector<HashTensor> out;
  if (std::filesystem::exists(files / "tensors.json")) {
    const Json listed = Json::load(files / "tensors.json");
    for (std::size_t i = 0; i < listed.size(); i++) {
      const Json t = listed[i];
      out.push_back({t["name"].str(), t["shape"].integers(), {}});
      if (t.has("power")) out.back().power = int(t["power"].integer());
    }
    return out;
  }
  const Json config = Json::load(files / "config.json");
  const Json vision = config["vision_config"], text = config["text_config"];
  const std::int64_t factor = config["scale_factor"].integer();
  add_vision(out, vision);
  out.push_back({"model.connector.modality_projection.proj.weight",
                 {text["hidden_size"].integer(), vision["hidden_size"].integer() * factor * factor},
                 {}});
  add_text(out, text);
  return out;
}

std::vector<bf16> hash_values(const HashTensor& t, std::int64_t first, std::int64_t count) {
  const std::uint64_t seed = name_hash(t.name);
  const bool norm = contains(t.name, "norm") && t.name.ends_with("weight");
  const float scale = norm ? 0 : std::ldexp(1.0f, exponent(t));
  std::vector<bf16> out(std::size_t(count), bf16{});
  for (std::int64_t i = 0; i < count; i += 4) {
    const std::uint64_t hashed = mix64(std::uint64_t((first + i) / 4) + seed);
    for (std::int64_t lane = 0; lane < std::min<std::int64_t>(4, count - i); lane++) {
      const auto bits = std::uint32_t(hashed >> (16 * lane)) & 0xffffu;
      const int k = int(bits & 0xff) - int(bits >> 8);
      const float value = norm ? float(128 + k / 8) / 128.0f : float(k) * scale;
      out[std::size_t(i + lane)] = to_bf16(value);
    }
  }
  return out;
}

std::string synthetic_tokenizer() {
  constexpr std::size_t kSize = 49152;
  std::vector<std::string> special{"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  for (int i = 0; i < 14; i++) special.push_back("<special_" + std::to_string(i) + ">");
  nlohmann::ordered_json vocab, added = nlohmann::json::array(), merges = nlohmann::json::array();
  std::size_t id = 0;
  const auto add_special = [&added](std::size_t at, const std::string& text) {
    added.push_back({{"id", at},
                     {"content", text},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  };
  for (const std::string& s : special) {
    add_special(id, s);
    vocab[s] = id++;
  }
  for (const std::string& letter : byte_letters()) vocab[letter] = id++;
  for (const auto& [a, b] : synthetic_merges(kSize - id)) {
    merges.push_back({a, b});
    vocab[a + b] = id++;
  }
  for (const std::string& s : picture_tokens()) add_special(id++, s);
  const nlohmann::ordered_json document = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Digits"}, {"individual_digits", true}},
          {{"type", "ByteLevel"},
           {"add_prefix_space", false},
           {"trim_offsets", true},
           {"use_regex", true}}}}}},
      {"post_processor", nullptr},
      {"decoder",
       {{"type", "ByteLevel"},
        {"add_prefix_space", true},
        {"trim_offsets", true},
        {"use_regex", true}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
  return document.dump();
}

void write_hash_checkpoint(const std::filesystem::path& files,
                           const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  for (const auto& entry : std::filesystem::directory_iterator(files)) {
    std::filesystem::copy_file(entry.path(), folder / entry.path().filename(),
                               std::filesystem::copy_options::overwrite_existing);
  }
  if (!std::filesystem::exists(files / "tokenizer.json")) {
    std::ofstream(folder / "tokenizer.json", std::ios::binary) << synthetic_tokenizer();
  }
  const std::filesystem::path whole = folder / "model.safetensors";
  if (std::filesystem::exists(whole)) return;
  const std::filesystem::path part = folder / "model.safetensors.part";
  write_weights(hash_tensors(files), part);
  std::filesystem::rename(part, whole);
}

}  // namespace chiasm::testing
