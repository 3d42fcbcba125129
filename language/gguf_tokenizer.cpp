#include "language/gguf_tokenizer.h"

#include "core/error.h"

namespace chiasm::language {

namespace {

using nlohmann::json;

constexpr std::int64_t kControl = 3, kUserDefined = 4;  // of tokenizer.ggml.token_type

/// What transformers writes for a pre-tokenizer's name.
json pre_tokenizer(const GgufValue& pre) {
  json bytes{{"type", "ByteLevel"},
             {"add_prefix_space", false},
             {"trim_offsets", true},
             {"use_regex", true}};
  if (pre.str() == "smollm") {
    return {{"type", "Sequence"},
            {"pretokenizers",
             json::array({json{{"type", "Digits"}, {"individual_digits", true}}, bytes})}};
  }
  if (pre.str() == "gpt-2" || pre.str() == "default") return bytes;
  fail<ModelError>(pre.where(), ": \"", pre.str(),
                   "\" is not supported; smollm, gpt-2 and default are");
}

/// The token that an id key names, or none.
std::optional<std::size_t> named(const GgufContents& gguf, std::string_view key,
                                 std::size_t count) {
  const GgufValue* const value = gguf.find(key);
  if (value == nullptr) return std::nullopt;
  const std::int64_t id = value->integer();
  if (id < 0 || std::uint64_t(id) >= count) {
    fail<ModelError>(value->where(), ": ", id, " is outside the vocabulary of ", count);
  }
  return std::size_t(id);
}

/// Pairs "left right" as tokenizer.json's arrays of two. A token holds no space: bytes that are
/// spaces are spelled with another letter.
json merges(const GgufValue& value) {
  json out = json::array();
  for (const std::string_view merge : value.strings()) {
    const std::size_t space = merge.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == merge.size()) {
      fail<ModelError>(value.where(), ": merge ", out.size(), " is not two tokens");
    }
    out.push_back(json::array({merge.substr(0, space), merge.substr(space + 1)}));
  }
  return out;
}

bool flag(const GgufContents& gguf, std::string_view key) {
  const GgufValue* const value = gguf.find(key);
  return value != nullptr && value->boolean();
}

/// The tokens that stand around a text, as a post-processor.
json post_processor(const GgufContents& gguf, std::span<const std::string_view> tokens) {
  json pieces = json::array(), specials = json::object();
  const auto add = [&](std::string_view switch_key, std::string_view id_key) {
    const auto id = named(gguf, id_key, tokens.size());
    if (!id || !flag(gguf, switch_key)) return;
    const std::string text(tokens[*id]);
    pieces.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
    specials[text] = {{"id", text}, {"ids", json::array({*id})}, {"tokens", json::array({text})}};
  };
  add("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id");
  pieces.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id");
  if (pieces.size() == 1) return nullptr;
  return {{"type", "TemplateProcessing"}, {"single", pieces}, {"special_tokens", specials}};
}

/// The tables as a tokenizer.json.
json tokenizer_json(const GgufContents& gguf, std::span<const std::string_view> tokens) {
  std::vector<std::int64_t> types(tokens.size(), 1);
  if (const GgufValue* value = gguf.find("tokenizer.ggml.token_type")) {
    types = value->integers();
    if (types.size() != tokens.size()) {
      fail<ModelError>(value->where(), ": ", types.size(), " types for ", tokens.size(), " tokens");
    }
  }
  json vocab = json::object(), added = json::array();
  for (std::size_t id = 0; id < tokens.size(); id++) {
    const std::string text(tokens[id]);
    if (!vocab.emplace(text, id).second) {
      fail<ModelError>(gguf.file, ": tokenizer.ggml.tokens: token ", id, " occurs twice");
    }
    if (types[id] != kControl && types[id] != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", text},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", types[id] == kControl}});
  }
  const json pre = gguf.find("tokenizer.ggml.pre") != nullptr
                       ? pre_tokenizer(gguf.at("tokenizer.ggml.pre"))
                       : pre_tokenizer(gguf.at("tokenizer.ggml.model"));
  return {
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", pre},
      {"post_processor", post_processor(gguf, tokens)},
      {"decoder",
       {{"type", "ByteLevel"},
        {"add_prefix_space", true},
        {"trim_offsets", true},
        {"use_regex", true}}},
      {"model",
       {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges(gguf.at("tokenizer.ggml.merges"))}}}};
}

}  // namespace

Tokenizer tokenizer_from_gguf(const GgufContents& gguf) {
  try {
    const GgufValue& model = gguf.at("tokenizer.ggml.model");
    if (model.str() != "gpt2") {
      fail<ModelError>(model.where(), ": \"", model.str(), "\" is not supported; gpt2 is");
    }
    const auto tokens = gguf.at("tokenizer.ggml.tokens").strings();
    json config = json::object();
    for (const char* name : {"bos", "eos"}) {
      const auto id =
          named(gguf, "tokenizer.ggml." + std::string(name) + "_token_id", tokens.size());
      if (id) config[std::string(name) + "_token"] = std::string(tokens[*id]);
    }
    // Through text, so that the checks of a tokenizer.json's bytes hold here too.
    const std::string where = gguf.file + ": tokenizer";
    return Tokenizer::from_json(Json::parse(tokenizer_json(gguf, tokens).dump(), where),
                                Json::parse(config.dump(), where));
  } catch (const FormatError& e) {
    throw ModelError(e.what());
  } catch (const json::exception& e) {  // bytes that are no UTF-8
    throw ModelError(gguf.file + ": tokenizer: " + e.what());
  }
}

}  // namespace chiasm::language
