#include "language/gguf_tokenizer.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "language/gguf_pieces.h"

namespace chiasm::language {

namespace {

using nlohmann::json;

/// How a pre-tokenizer of byte-level BPE cuts text, by the name that llama.cpp gives it
/// (llama-vocab.cpp has the patterns beside the tokenizer.json files they come from).
struct PreTokenizer {
  std::string_view name;
  std::string_view pattern;  // empty: ByteLevel's own
  bool digits = false;       // one by one, before that
  bool composes = false;     // text is put into NFC
  bool whole_words = false;  // a word that is a token is not cut (ignore_merges)
  bool begins = false;       // begins with bos where the file does not say
};
constexpr std::string_view kLlama3 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr std::string_view kQwen2 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr std::array kPreTokenizers = {
    PreTokenizer{.name = "smollm", .pattern = "", .digits = true},
    PreTokenizer{.name = "gpt-2", .pattern = ""},
    PreTokenizer{.name = "default", .pattern = ""},
    PreTokenizer{.name = "mpt", .pattern = "", .composes = true},  // GPT-NeoX's
    PreTokenizer{.name = "llama-bpe", .pattern = kLlama3, .whole_words = true, .begins = true},
    PreTokenizer{.name = "llama3", .pattern = kLlama3, .whole_words = true, .begins = true},
    PreTokenizer{.name = "qwen2", .pattern = kQwen2, .composes = true},
};

const PreTokenizer& pre_tokenizer(const GgufContents& gguf) {
  const GgufValue* const pre = gguf.find("tokenizer.ggml.pre");
  if (pre == nullptr) return kPreTokenizers[1];
  std::string known;
  for (const PreTokenizer& p : kPreTokenizers) {
    if (p.name == pre->str()) return p;
    known.append(known.empty() ? "" : ", ").append(p.name);
  }
  fail<ModelError>(pre->where(), ": \"", pre->str(), "\" is not supported; supported are ", known);
}

/// What transformers writes for it.
json pre_tokenizer_json(const PreTokenizer& pre) {
  json bytes{{"type", "ByteLevel"},
             {"add_prefix_space", false},
             {"trim_offsets", true},
             {"use_regex", pre.pattern.empty()}};
  json steps = json::array();
  if (pre.digits) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  if (!pre.pattern.empty()) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pre.pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  if (steps.empty()) return bytes;
  steps.push_back(bytes);
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
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

bool flag(const GgufContents& gguf, std::string_view key, bool otherwise) {
  const GgufValue* const value = gguf.find(key);
  return value != nullptr ? value->boolean() : otherwise;
}

/// The tokens that stand around a text, as a post-processor.
json post_processor(const GgufContents& gguf, std::span<const std::string_view> tokens,
                    bool begins) {
  json pieces = json::array(), specials = json::object();
  const auto add = [&](std::string_view switch_key, std::string_view id_key, bool otherwise) {
    const auto id = named(gguf, id_key, tokens.size());
    if (!id || !flag(gguf, switch_key, otherwise)) return;
    const std::string text(tokens[*id]);
    pieces.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
    specials[text] = {{"id", text}, {"ids", json::array({*id})}, {"tokens", json::array({text})}};
  };
  add("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id", begins);
  pieces.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id", false);
  if (pieces.size() == 1) return nullptr;
  return {{"type", "TemplateProcessing"}, {"single", pieces}, {"special_tokens", specials}};
}

/// The parts of a tokenizer.json that byte-level BPE decides.
json byte_level_parts(const GgufContents& gguf, const PreTokenizer& pre, const json& vocab) {
  const json decoder{{"type", "ByteLevel"},
                     {"add_prefix_space", true},
                     {"trim_offsets", true},
                     {"use_regex", true}};
  return {{"normalizer", pre.composes ? json{{"type", "NFC"}} : json(nullptr)},
          {"pre_tokenizer", pre_tokenizer_json(pre)},
          {"decoder", decoder},
          {"model",
           {{"type", "BPE"},
            {"ignore_merges", pre.whole_words},
            {"vocab", vocab},
            {"merges", merges(gguf.at("tokenizer.ggml.merges"))}}}};
}

/// The kind of each token.
std::vector<std::int64_t> token_types(const GgufContents& gguf, std::size_t count) {
  const GgufValue* const value = gguf.find("tokenizer.ggml.token_type");
  if (value == nullptr) return std::vector<std::int64_t>(count, kNormal);
  std::vector<std::int64_t> types = value->integers();
  if (types.size() != count) {
    fail<ModelError>(value->where(), ": ", types.size(), " types for ", count, " tokens");
  }
  return types;
}

/// The tables as a tokenizer.json.
json tokenizer_json(const GgufContents& gguf, std::span<const std::string_view> tokens,
                    std::span<const std::int64_t> types) {
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
  const GgufValue& model = gguf.at("tokenizer.ggml.model");
  json out;
  bool begins = true;
  if (model.str() == "llama") {
    out = piece_parts(gguf, tokens, types, vocab);
  } else if (model.str() == "gpt2") {
    const PreTokenizer& pre = pre_tokenizer(gguf);
    begins = pre.begins;
    out = byte_level_parts(gguf, pre, vocab);
  } else {
    fail<ModelError>(model.where(), ": \"", model.str(), "\" is not supported; gpt2 and llama are");
  }
  out["added_tokens"] = added;
  out["post_processor"] = post_processor(gguf, tokens, begins);
  return out;
}

}  // namespace

Tokenizer tokenizer_from_gguf(const GgufContents& gguf, const std::optional<TokenName>& renamed) {
  try {
    auto tokens = gguf.at("tokenizer.ggml.tokens").strings();
    auto types = token_types(gguf, tokens.size());
    if (renamed) {
      tokens.at(std::size_t(renamed->id)) = renamed->text;
      types.at(std::size_t(renamed->id)) = kControl;
    }
    json config = json::object();
    for (const char* name : {"bos", "eos"}) {
      const auto id =
          named(gguf, "tokenizer.ggml." + std::string(name) + "_token_id", tokens.size());
      if (id) config[std::string(name) + "_token"] = std::string(tokens[*id]);
    }
    // Through text, so that the checks of a tokenizer.json's bytes hold here too.
    const std::string where = gguf.file + ": tokenizer";
    return Tokenizer::from_json(Json::parse(tokenizer_json(gguf, tokens, types).dump(), where),
                                Json::parse(config.dump(), where));
  } catch (const FormatError& e) {
    throw ModelError(e.what());
  } catch (const json::exception& e) {  // bytes that are no UTF-8
    throw ModelError(gguf.file + ": tokenizer: " + e.what());
  }
}

std::int32_t gguf_token(const GgufContents& gguf, std::string_view text) {
  const GgufValue& value = gguf.at("tokenizer.ggml.tokens");
  const auto tokens = value.strings();
  const auto at = std::ranges::find(tokens, text);
  if (at == tokens.end()) fail<ModelError>(value.where(), ": has no token ", text);
  return std::int32_t(at - tokens.begin());
}

TokenName picture_token(const GgufContents& gguf, std::string_view text) {
  constexpr std::array<std::string_view, 4> kReserved = {"<unused", "<|reserved_special_token_",
                                                         "<reserved_special_token_", "[PAD"};
  const GgufValue& value = gguf.at("tokenizer.ggml.tokens");
  const auto tokens = value.strings();
  const auto found = [&](std::size_t id) { return TokenName{std::int32_t(id), std::string(text)}; };
  const auto at = std::ranges::find(tokens, text);
  if (at != tokens.end()) return found(std::size_t(at - tokens.begin()));
  const auto types = token_types(gguf, tokens.size());
  for (std::size_t id = 0; id < tokens.size(); id++) {
    const auto begins = [&](std::string_view how) { return tokens[id].starts_with(how); };
    if (types[id] != kNormal && std::ranges::any_of(kReserved, begins)) return found(id);
  }
  const auto unknown = std::ranges::find(types, std::int64_t(kUnknown));
  if (unknown != types.end() && std::ranges::count(types, std::int64_t(kByte)) == 256) {
    return found(std::size_t(unknown - types.begin()));
  }
  fail<ModelError>(value.where(), ": has neither ", text,
                   " nor a reserved token that may stand for a picture's rows");
}

}  // namespace chiasm::language
