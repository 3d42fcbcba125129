#include "language/sentencepiece_tokenizer.h"

#include <algorithm>
#include <array>
#include <map>

#include "core/error.h"
#include "language/piece_merges.h"

namespace chiasm::language {

namespace {

using nlohmann::json;

constexpr const char* kSpace = "\u2581";

/// The ways of the classes that differ from what a model says of itself.
enum class Way { own, llama, gemma, xlm_roberta };

Way way_of(const Json& config) {
  std::string name = config.str("tokenizer_class", "");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name == "LlamaTokenizer" || name == "CodeLlamaTokenizer") return Way::llama;
  if (name == "GemmaTokenizer") return Way::gemma;
  if (name == "XLMRobertaTokenizer") return Way::xlm_roberta;
  if (name == "SiglipTokenizer") {
    fail<ModelError>(config.where(),
                     ": tokenizer_class SiglipTokenizer takes punctuation out of "
                     "texts; save the folder's tokenizer.json with transformers");
  }
  return Way::own;
}

/// A model's pieces as the class numbers them.
SentencePieceModel arranged(SentencePieceModel model, Way way, const std::string& file) {
  if (way != Way::xlm_roberta) return model;
  // fairseq's numbers: four special tokens, the pieces behind the model's three, the mask.
  if (model.pieces.size() < 3) fail<ModelError>(file, ": has fewer pieces than special ones");
  const auto put = [](auto& list, auto first, auto last) {
    list.erase(list.begin(), list.begin() + 3);
    list.insert(list.begin(), first.begin(), first.end());
    list.push_back(last);
  };
  const std::array<std::string, 4> names = {"<s>", "<pad>", "</s>", "<unk>"};
  put(model.pieces, names, std::string("<mask>"));
  put(model.scores, std::array<double, 4>{}, 0.0);
  put(model.kinds, std::array<std::int64_t, 4>{kControl, kControl, kControl, kUnknown},
      std::int64_t(kControl));
  model.begin_id = 0;
  model.end_id = 2;
  model.unknown_id = 3;
  return model;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; j++) {
      const std::size_t at = i + j;
      group = group << 8 | (at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0u);
    }
    for (std::size_t j = 0; j < 4; j++) {
      const bool there = i + j <= bytes.size();
      out += there ? kLetters[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

json replace(const char* from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

json replace_matches(const char* pattern, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"Regex", pattern}}}, {"content", to}};
}

json metaspace(std::string_view scheme, bool split) {
  return {
      {"type", "Metaspace"}, {"replacement", kSpace}, {"prepend_scheme", scheme}, {"split", split}};
}

/// Normalizer, pre-tokenizer and decoder.
json surroundings(const SentencePieceModel& model, Way way, const Json& config) {
  json normalizers = json::array(), cutter;
  bool prefixed = config.boolean("add_prefix_space", way == Way::own ? model.prefixed : true);
  if (!model.charsmap.empty() && (way == Way::own || way == Way::xlm_roberta)) {
    normalizers.push_back(
        {{"type", "Precompiled"}, {"precompiled_charsmap", base64(model.charsmap)}});
  }
  switch (way) {
    case Way::llama:
      cutter = metaspace(!prefixed                         ? "never"
                         : config.boolean("legacy", false) ? "always"
                                                           : "first",
                         false);
      break;
    case Way::gemma:
      prefixed = false;
      normalizers.push_back(replace(" ", kSpace));
      break;
    case Way::xlm_roberta:
      cutter = {{"type", "Sequence"},
                {"pretokenizers",
                 {{{"type", "WhitespaceSplit"}}, metaspace(prefixed ? "always" : "never", true)}}};
      break;
    case Way::own:
      if (!model.trims) {
        if (prefixed) normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
        normalizers.push_back(replace(" ", kSpace));
        break;
      }
      // Several spaces are one, those at the ends none: in front the prefix takes their place, and
      // stands before a mark that the text itself begins with.
      normalizers.push_back(prefixed ? replace_matches("(?<![\\s\\S])\u2581", "\u2581\u2581")
                                     : replace_matches("(?<![\\s\\S]) +", ""));
      normalizers.push_back(replace_matches("[ \u2581]+(?![\\s\\S])", ""));
      normalizers.push_back(replace_matches(" {2,}", prefixed ? kSpace : " "));
      cutter = metaspace(prefixed ? "first" : "never", false);
      break;
  }
  json decoders =
      json::array({replace(kSpace, " "), json{{"type", "ByteFallback"}}, json{{"type", "Fuse"}}});
  if (prefixed) {
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"normalizer", {{"type", "Sequence"}, {"normalizers", normalizers}}},
          {"pre_tokenizer", cutter},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}}};
}

json model_json(const SentencePieceModel& model, Way way) {
  const bool bpe = way == Way::llama || way == Way::gemma ||
                   (way == Way::own && model.kind == SentencePieceModel::Kind::bpe);
  const bool falls_back =
      way == Way::llama || way == Way::gemma || (way == Way::own && model.byte_fallback);
  json out{{"byte_fallback", falls_back}};
  if (!bpe) {
    // A byte's piece stands for the byte; "<0x41>" in a text is spelled, as unlikely as this makes
    // it.
    constexpr double kNeverSpelled = 1000;
    const double least = *std::ranges::min_element(model.scores) - kNeverSpelled;
    out["type"] = "Unigram";
    out["vocab"] = json::array();
    for (std::size_t id = 0; id < model.pieces.size(); id++) {
      const double score = model.kinds[id] == kByte ? least : model.scores[id];
      out["vocab"].push_back(json::array({model.pieces[id], score}));
    }
    if (model.unknown_id >= 0) out["unk_id"] = model.unknown_id;
    return out;
  }
  const std::vector<std::string_view> pieces(model.pieces.begin(), model.pieces.end());
  json vocab = json::object();
  for (std::size_t id = 0; id < pieces.size(); id++) vocab[model.pieces[id]] = id;
  out["type"] = "BPE";
  out["fuse_unk"] = true;
  out["merges"] = piece_merges(pieces, model.kinds, model.scores);
  out["vocab"] = vocab;
  if (model.unknown_id >= 0) out["unk_token"] = model.pieces[std::size_t(model.unknown_id)];
  return out;
}

std::string text_of(const Json& token) {
  return token.is_object() ? token["content"].str() : token.str();
}

/// Tokens that are found before pieces: the model's own control and user-defined pieces, and those
/// of tokenizer_config.json, by their ids.
class Added {
 public:
  Added(const SentencePieceModel& model, const std::string& file) : file_(file) {
    for (std::size_t id = 0; id < model.pieces.size(); id++) {
      if (!ids_.emplace(model.pieces[id], std::int64_t(id)).second) {
        fail<ModelError>(file_, ": piece ", id, " occurs twice");
      }
      const std::int64_t kind = model.kinds[id];
      if (kind == kControl || kind == kUserDefined || kind == kUnknown) {
        put(std::int64_t(id), model.pieces[id], kind != kUserDefined);
      }
    }
    next_ = std::int64_t(model.pieces.size());
  }

  void read(const Json& config) {
    if (config.has("added_tokens_decoder")) {
      std::map<std::int64_t, Json> sorted;
      const Json all = config["added_tokens_decoder"];
      for (const auto& item : all.raw().items()) {
        sorted.emplace(number(item.key(), all), all[item.key()]);
      }
      for (const auto& [id, token] : sorted) place(id, token);
    }
    for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                            "cls_token", "mask_token"}) {
      if (config.has(key)) name(text_of(config[key]));
    }
    if (!config.has("additional_special_tokens")) return;
    const Json more = config["additional_special_tokens"];
    for (std::size_t i = 0; i < more.size(); i++) name(text_of(more[i]));
  }

  std::optional<std::int64_t> find(const std::string& text) const {
    const auto at = ids_.find(text);
    return at == ids_.end() ? std::nullopt : std::optional(at->second);
  }
  json list() const {
    json out = json::array();
    for (const auto& [id, token] : tokens_) out.push_back(token);
    return out;
  }

 private:
  static std::int64_t number(const std::string& key, const Json& where) {
    constexpr std::size_t kMostDigits = 8;
    const bool digits = !key.empty() && key.size() <= kMostDigits &&
                        key.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) fail<ModelError>(where.where(), ": \"", key, "\" is no id");
    return std::stoll(key);
  }

  void put(std::int64_t id, const std::string& text, bool special) {
    tokens_[id] = {{"id", id},          {"content", text}, {"single_word", false},
                   {"lstrip", false},   {"rstrip", false}, {"normalized", false},
                   {"special", special}};
  }

  /// A token of added_tokens_decoder: one of the pieces, or the next behind them.
  void place(std::int64_t id, const Json& token) {
    const std::string text = token["content"].str();
    const auto known = find(text);
    if (known ? *known != id : id != next_) {
      fail<ModelError>(token.where(), ": token ", id, " \"", text, "\" is neither that piece of ",
                       file_, " nor the next behind its ", next_);
    }
    if (!known) ids_.emplace(text, next_++);
    put(id, text, token.boolean("special", false));
    for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) {
      tokens_[id][flag] = token.boolean(flag, false);
    }
  }

  /// A special token, new or not.
  void name(const std::string& text) {
    const auto known = find(text);
    const std::int64_t id = known ? *known : next_;
    if (!known) ids_.emplace(text, next_++);
    if (!tokens_.contains(id)) put(id, text, true);
    tokens_[id]["special"] = true;
  }

  const std::string& file_;
  std::map<std::string, std::int64_t> ids_;
  std::map<std::int64_t, json> tokens_;
  std::int64_t next_ = 0;
};

/// The tokens around a text.
json post_processor(const SentencePieceModel& model, Way way, const Json& config,
                    const Added& added) {
  const bool bpe = model.kind == SentencePieceModel::Kind::bpe;
  const bool begins =
      way == Way::xlm_roberta || config.boolean("add_bos_token", way != Way::own || bpe);
  const bool ends = way == Way::xlm_roberta || config.boolean("add_eos_token", false);
  json around = json::array(), specials = json::object();
  const auto put = [&](bool wanted, std::string_view key, std::int64_t own) {
    std::string text = own >= 0 ? model.pieces[std::size_t(own)] : std::string();
    if (config.has(key)) text = text_of(config[key]);
    if (!wanted || text.empty()) return;
    around.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
    specials[text] = {{"id", text}, {"ids", {*added.find(text)}}, {"tokens", {text}}};
  };
  put(begins, "bos_token", model.begin_id);
  around.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  put(ends, "eos_token", model.end_id);
  return {{"type", "TemplateProcessing"}, {"single", around}, {"special_tokens", specials}};
}

}  // namespace

Json sentencepiece_tokenizer_json(const SentencePieceModel& raw, const Json& config,
                                  const std::string& file) {
  const Way way = way_of(config);
  const SentencePieceModel model = arranged(raw, way, file);
  if (model.kind != SentencePieceModel::Kind::unigram &&
      model.kind != SentencePieceModel::Kind::bpe) {
    fail<ModelError>(file,
                     ": models of words or characters are not supported; Unigram and BPE are");
  }
  if (model.space_behind || !model.escapes_spaces) {
    fail<ModelError>(file, ": spaces behind words, or as they are, are not supported");
  }
  try {
    Added added(model, file);
    added.read(config);
    json out = surroundings(model, way, config);
    out["added_tokens"] = added.list();
    out["post_processor"] = post_processor(model, way, config, added);
    out["model"] = model_json(model, way);
    return Json::parse(out.dump(), file);  // through text, so that its checks hold here too
  } catch (const json::exception& e) {     // pieces that are no UTF-8
    fail<ModelError>(file, ": ", e.what());
  }
}

}  // namespace chiasm::language
