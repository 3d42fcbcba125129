#include "language/tekken.h"

#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "language/tokenizer_bytes.h"

namespace chiasm::language {

namespace {

using nlohmann::json;

/// Of files older than the list of their own: ids are places.
constexpr std::array<const char*, 20> kSpecials = {"<unk>",
                                                   "<s>",
                                                   "</s>",
                                                   "[INST]",
                                                   "[/INST]",
                                                   "[AVAILABLE_TOOLS]",
                                                   "[/AVAILABLE_TOOLS]",
                                                   "[TOOL_RESULTS]",
                                                   "[/TOOL_RESULTS]",
                                                   "[TOOL_CALLS]",
                                                   "[IMG]",
                                                   "<pad>",
                                                   "[IMG_BREAK]",
                                                   "[IMG_END]",
                                                   "[PREFIX]",
                                                   "[MIDDLE]",
                                                   "[SUFFIX]",
                                                   "[SYSTEM_PROMPT]",
                                                   "[/SYSTEM_PROMPT]",
                                                   "[TOOL_CONTENT]"};

/// In the letters of byte-level vocabularies.
std::string spell_bytes(std::string_view bytes) {
  std::string out;
  append_byte_characters(bytes, out);
  return out;
}

std::string from_base64(const Json& text) {
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text.str()) {
    if (c == '=') break;
    constexpr std::string_view kLetters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::size_t value = kLetters.find(c);
    if (value == std::string_view::npos) fail<ModelError>(text.where(), ": is no base64");
    bits = (bits & 0xFF) << 6 | std::uint32_t(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out.push_back(static_cast<char>(bits >> held));
    }
  }
  return out;
}

/// The bytes of each token of the vocabulary, by rank.
std::vector<std::string> vocabulary(const Json& tekken, std::int64_t count) {
  const Json list = tekken["vocab"];
  if (count < 256 || count > std::int64_t(list.size())) {
    fail<ModelError>(list.where(), ": ", list.size(), " tokens, ", count, " are wanted");
  }
  std::vector<std::string> out;
  for (std::int64_t i = 0; i < count; i++) {
    const Json token = list[std::size_t(i)];
    if (token["rank"].integer() != i) fail<ModelError>(token.where(), ": rank is not ", i);
    out.push_back(from_base64(token["token_bytes"]));
    if (out.back().empty()) fail<ModelError>(token.where(), ": the token is empty");
  }
  return out;
}

std::vector<std::string> special_tokens(const Json& tekken, std::int64_t count) {
  std::vector<std::string> out;
  if (tekken.has("special_tokens")) {
    const Json list = tekken["special_tokens"];
    for (std::size_t i = 0; i < list.size(); i++) {
      if (list[i]["rank"].integer() != std::int64_t(i)) {
        fail<ModelError>(list[i].where(), ": rank is not ", i);
      }
      out.push_back(list[i]["token_str"].str());
    }
  } else {
    out.assign(kSpecials.begin(), kSpecials.end());
  }
  if (count < std::int64_t(out.size()) || count > 1 << 16) {
    fail<ModelError>(tekken.where(), ": config.default_num_special_tokens is ", count, ", ",
                     out.size(), " are named");
  }
  for (auto id = std::int64_t(out.size()); id < count; id++) {
    out.push_back("<SPECIAL_" + std::to_string(id) + ">");
  }
  return out;
}

/// Every way to make a token of two others, in the order of what is made: a merge's rank is then
/// its token's.
json merges(const std::vector<std::string>& tokens) {
  std::unordered_map<std::string_view, std::size_t> ranks;
  for (std::size_t i = 0; i < tokens.size(); i++) ranks.emplace(tokens[i], i);
  json out = json::array();
  for (const std::string& token : tokens) {
    const std::string_view whole = token;
    for (std::size_t cut = 1; cut < whole.size(); cut++) {
      const std::string_view left = whole.substr(0, cut), right = whole.substr(cut);
      if (!ranks.contains(left) || !ranks.contains(right)) continue;
      out.push_back(json::array({spell_bytes(left), spell_bytes(right)}));
    }
  }
  return out;
}

json tokenizer_json(const Json& tekken) {
  const Json config = tekken["config"];
  const std::int64_t specials = config["default_num_special_tokens"].integer();
  const std::int64_t size = config["default_vocab_size"].integer();
  const auto names = special_tokens(tekken, specials);
  const auto tokens = vocabulary(tekken, size - specials);
  json vocab = json::object(), added = json::array();
  for (std::size_t id = 0; id < names.size(); id++) {
    vocab.emplace(names[id], id);
    added.push_back({{"id", id},
                     {"content", names[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  for (std::size_t rank = 0; rank < tokens.size(); rank++) {
    vocab.emplace(spell_bytes(tokens[rank]), names.size() + rank);
  }
  const json split{{"type", "Split"},
                   {"pattern", {{"Regex", config["pattern"].str()}}},
                   {"behavior", "Isolated"},
                   {"invert", false}};
  const json bytes{{"type", "ByteLevel"},
                   {"add_prefix_space", false},
                   {"trim_offsets", true},
                   {"use_regex", false}};
  const json begin{{"id", "<s>"}, {"ids", json::array({1})}, {"tokens", json::array({"<s>"})}};
  return {
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array({split, bytes})}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", json::array({json{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
                                json{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}})},
        {"special_tokens", {{"<s>", begin}}}}},
      {"decoder", bytes},
      {"model",
       {{"type", "BPE"}, {"ignore_merges", true}, {"vocab", vocab}, {"merges", merges(tokens)}}}};
}

}  // namespace

Tokenizer tokenizer_from_tekken(const Json& tekken) {
  try {
    // Through text, so that the checks of a tokenizer.json's bytes hold here too.
    return Tokenizer::from_json(
        Json::parse(tokenizer_json(tekken).dump(), tekken.where()),
        Json::parse(R"({"bos_token":"<s>","eos_token":"</s>"})", tekken.where()));
  } catch (const FormatError& e) {
    throw ModelError(e.what());
  } catch (const json::exception& e) {  // special tokens that are no UTF-8
    throw ModelError(tekken.where() + ": " + e.what());
  }
}

}  // namespace chiasm::language
