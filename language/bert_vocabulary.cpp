#include "language/bert_vocabulary.h"

#include "core/error.h"

namespace chiasm::language {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxBytes = std::size_t(64) << 20;

json read_vocabulary(const std::filesystem::path& file) {
  const std::string text = read_file(file, kMaxBytes);
  json vocab = json::object();
  std::int64_t id = 0;
  for (std::size_t begin = 0; begin < text.size(); ++id) {
    std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    std::string token = text.substr(begin, end - begin);
    if (token.ends_with('\r')) token.pop_back();
    if (!vocab.emplace(token, id).second) {
      fail<ModelError>(file.filename().string(), ": line ", id + 1, ": \"", token,
                       "\" comes twice");
    }
    begin = end + 1;
  }
  return vocab;
}

std::string token_name(const Json& config, std::string_view key, std::string_view otherwise) {
  if (!config.has(key)) return std::string(otherwise);
  return config[key].is_object() ? config[key]["content"].str() : config[key].str();
}

}  // namespace

Json bert_tokenizer_json(const std::filesystem::path& vocab_txt, const Json& config) {
  const json vocab = read_vocabulary(vocab_txt);
  const std::string file = vocab_txt.filename().string();
  json added = json::array();
  const auto special = [&](std::string_view key, std::string_view otherwise) {
    std::string token = token_name(config, key, otherwise);
    if (!vocab.contains(token)) fail<ModelError>(file, ": has no ", key, " \"", token, "\"");
    added.push_back({{"id", vocab[token]},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
    return token;
  };
  special("pad_token", "[PAD]");
  const std::string unknown = special("unk_token", "[UNK]");
  const std::string begin = special("cls_token", "[CLS]"), end = special("sep_token", "[SEP]");
  special("mask_token", "[MASK]");
  json normalizer{{"type", "BertNormalizer"},
                  {"clean_text", true},
                  {"handle_chinese_chars", config.boolean("tokenize_chinese_chars", true)},
                  {"strip_accents", nullptr},
                  {"lowercase", config.boolean("do_lower_case", true)}};
  if (config.has("strip_accents")) normalizer["strip_accents"] = config["strip_accents"].boolean();
  const json out{{"added_tokens", added},
                 {"normalizer", normalizer},
                 {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
                 {"post_processor",
                  {{"type", "BertProcessing"},
                   {"sep", json::array({end, vocab[end]})},
                   {"cls", json::array({begin, vocab[begin]})}}},
                 {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
                 {"model", {{"type", "WordPiece"}, {"unk_token", unknown}, {"vocab", vocab}}}};
  return Json::parse(out.dump(), file);  // through text, so that its checks hold here too
}

}  // namespace chiasm::language
