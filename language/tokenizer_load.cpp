/// Reading tokenizer.json and tokenizer_config.json, or the files of models that have none.
#include "core/error.h"
#include "language/bert_vocabulary.h"
#include "language/sentencepiece_tokenizer.h"
#include "language/tekken.h"
#include "language/tokenizer_parts.h"

namespace chiasm::language {

namespace {

using Ids = std::vector<std::int32_t>;

Json member(const Json& json, std::string_view key) {
  static const Json null = Json::parse("null", "");
  return json.has(key) ? json[key] : null;
}

/// What a post-processor puts before and after a text.
struct Template {
  Ids before, after;
};

/// TemplateProcessing: a list of special tokens and one place for the text.
Template template_from(const Json& json) {
  Template out;
  bool seen = false;
  const Json pieces = json["single"];
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].has("Sequence")) {
      if (seen || pieces[i]["Sequence"]["id"].str() != "A") {
        fail<ModelError>(pieces[i].where(), ": expected one sequence, \"A\"");
      }
      seen = true;
      continue;
    }
    const std::string name = pieces[i]["SpecialToken"]["id"].str();
    const Json ids = json["special_tokens"][name]["ids"];
    for (const auto id : ids.integers()) {
      if (id < 0 || id > INT32_MAX) fail<ModelError>(ids.where(), ": id ", id, " is out of range");
      (seen ? out.after : out.before).push_back(std::int32_t(id));
    }
  }
  if (!seen) fail<ModelError>(pieces.where(), ": has no place for the text");
  return out;
}

/// BertProcessing and RobertaProcessing: "cls" and "sep", each a token and its id.
Template pair_from(const Json& json) {
  const auto id = [&](std::string_view key) {
    const std::int64_t value = json[key][1].integer();
    if (value < 0 || value > INT32_MAX) {
      fail<ModelError>(json.where(), ".", key, ": id ", value, " is out of range");
    }
    return std::int32_t(value);
  };
  return {{id("cls")}, {id("sep")}};
}

Template post_processor_from(const Json& json) {
  if (json.is_null()) return {};
  const std::string type = json["type"].str();
  if (type == "TemplateProcessing") return template_from(json);
  if (type == "ByteLevel") return {};  // only moves offsets
  if (type == "BertProcessing" || type == "RobertaProcessing") return pair_from(json);
  if (type != "Sequence") {
    fail<ModelError>(
        json.where(), ": post-processor \"", type, "\" is not supported; ",
        "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel and Sequence are");
  }
  Template out;
  const Json parts = json["processors"];
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Template inner = post_processor_from(parts[i]);
    out.before.insert(out.before.begin(), inner.before.begin(), inner.before.end());
    out.after.insert(out.after.end(), inner.after.begin(), inner.after.end());
  }
  return out;
}

/// A token that tokenizer_config.json names, as a string or as an object with "content".
std::optional<std::int32_t> named_token(const Tokenizer& tokenizer, const Json& config,
                                        std::string_view key) {
  if (!config.has(key)) return std::nullopt;
  const Json value = config[key];
  return tokenizer.find(value.is_object() ? value["content"].str() : value.str());
}

constexpr std::size_t kMaxPieces = std::size_t(64) << 20;  // bytes; published ones have 5 MB

/// tokenizer.json, or what an older file amounts to.
Json tokenizer_json(const std::filesystem::path& folder, const Json& config) {
  std::error_code code;
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name, code); };
  if (has("tokenizer.json")) return Json::load(folder / "tokenizer.json");
  if (has("vocab.txt")) return bert_tokenizer_json(folder / "vocab.txt", config);
  for (const char* name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
    if (!has(name)) continue;
    const std::string bytes = read_file(folder / name, kMaxPieces);
    return sentencepiece_tokenizer_json(parse_sentencepiece(std::as_bytes(std::span(bytes)), name),
                                        config, name);
  }
  return Json::load(folder / "tokenizer.json");  // says that it is missing
}

/// Errors of the JSON readers are errors of the model to whoever loads one.
template <class Work>
auto as_model_error(Work&& work) {
  try {
    return work();
  } catch (const FormatError& e) {
    throw ModelError(e.what());
  }
}

}  // namespace

Tokenizer::Parts::Parts(const Json& json)
    : model(json["model"]),
      normalizer(member(json, "normalizer")),
      added(member(json, "added_tokens"), model.vocabulary(), normalizer),
      pre_tokenizer(member(json, "pre_tokenizer")),
      decoder(member(json, "decoder")) {
  for (const auto& token : added.all()) {
    if (token.is_structure()) model.vocabulary().mark_structure(token.id);
  }
  auto around = in_context("post_processor",
                           [&] { return post_processor_from(member(json, "post_processor")); });
  before = std::move(around.before);
  after = std::move(around.after);
}

Tokenizer Tokenizer::from_json(const Json& tokenizer_json) {
  return as_model_error([&] { return Tokenizer(std::make_shared<const Parts>(tokenizer_json)); });
}

Tokenizer Tokenizer::from_json(const Json& tokenizer_json, const Json& config) {
  return as_model_error([&] {
    auto parts = std::make_shared<Parts>(tokenizer_json);
    Tokenizer tokenizer(parts);
    parts->bos = named_token(tokenizer, config, "bos_token");
    parts->eos = named_token(tokenizer, config, "eos_token");
    parts->pad = named_token(tokenizer, config, "pad_token");
    return tokenizer;
  });
}

Tokenizer Tokenizer::load(const std::filesystem::path& folder) {
  return as_model_error([&] {
    std::error_code code;
    const auto has = [&](const char* name) { return std::filesystem::exists(folder / name, code); };
    if (!has("tokenizer.json") && has("tekken.json")) {
      return tokenizer_from_tekken(Json::load(folder / "tekken.json"));
    }
    const char* const settings = "tokenizer_config.json";
    const Json config = has(settings) ? Json::load(folder / settings) : Json::parse("{}", settings);
    return from_json(tokenizer_json(folder, config), config);
  });
}

}  // namespace chiasm::language
