#include "language/tokenizer_normalizer.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "language/pre_tokenizer.h"
#include "language/unicode.h"

namespace chiasm::language {

namespace {

std::string_view strip(std::string_view text, bool left, bool right) {
  std::size_t begin = text.size(), end = 0;  // around the characters that are no white space
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    if (white_space().contains(next_code_point(text, at))) continue;
    begin = std::min(begin, start);
    end = at;
  }
  if (begin == text.size()) return left || right ? std::string_view() : text;
  if (!left) begin = 0;
  if (!right) end = text.size();
  return text.substr(begin, end - begin);
}

std::string without(const std::string& text, const CodePointSet& set) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    if (!set.contains(next_code_point(text, at))) out.append(text, start, at - start);
  }
  return out;
}

/// Without controls, every white space a plain space.
std::string cleaned(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    const char32_t c = next_code_point(text, at);
    if (bert_removed().contains(c)) continue;
    white_space().contains(c) ? out += ' ' : out.append(text, start, at - start);
  }
  return out;
}

/// What BERT calls Chinese characters: CJK ideographs, and no kana or hangul.
bool is_han(char32_t c) {
  constexpr CodePointRange blocks[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                                       {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F},
                                       {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  return std::ranges::any_of(blocks, [&](const auto& b) { return b.first <= c && c <= b.last; });
}

std::string with_spaced_han(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    const bool han = is_han(next_code_point(text, at));
    if (han) out += ' ';
    out.append(text, start, at - start);
    if (han) out += ' ';
  }
  return out;
}

}  // namespace

Normalizer::Normalizer(const Json& json) {
  if (!json.is_null()) add(json);
}

void Normalizer::add(const Json& json) {
  const std::string type = json["type"].str();
  if (type == "Sequence") {
    const Json parts = json["normalizers"];
    for (std::size_t i = 0; i < parts.size(); ++i) add(parts[i]);
    return;
  }
  if (type == "BertNormalizer") return add_bert(json);
  constexpr std::pair<std::string_view, Kind> kinds[] = {{"NFC", Kind::nfc},
                                                         {"NFD", Kind::nfd},
                                                         {"NFKC", Kind::nfkc},
                                                         {"NFKD", Kind::nfkd},
                                                         {"Lowercase", Kind::lowercase},
                                                         {"Replace", Kind::replace},
                                                         {"Prepend", Kind::prepend},
                                                         {"Strip", Kind::strip},
                                                         {"Precompiled", Kind::precompiled}};
  for (const auto& [name, kind] : kinds) {
    if (type != name) continue;
    Step step{kind, "", std::nullopt};
    if (kind == Kind::replace) {
      step.pattern = pattern_from(json["pattern"]);
      step.content = json["content"].str();
    } else if (kind == Kind::prepend) {
      step.content = json["prepend"].str();
    } else if (kind == Kind::precompiled) {
      if (!json.has("precompiled_charsmap")) return;  // of models that normalize nothing
      step.table = std::make_shared<const PrecompiledCharsmap>(json["precompiled_charsmap"]);
    } else if (kind == Kind::strip) {
      step.left = json.boolean("strip_left", true);
      step.right = json.boolean("strip_right", true);
    }
    steps_.push_back(std::move(step));
    return;
  }
  fail<ModelError>(
      json.where(), ": normalizer \"", type, "\" is not supported; Sequence, NFC, NFD, ",
      "NFKC, NFKD, Lowercase, Replace, Prepend, Strip, Precompiled and BertNormalizer are");
}

void Normalizer::add_bert(const Json& json) {
  const bool lower = json.boolean("lowercase", true);
  const auto add_where = [&](bool wanted, Kind kind) {
    if (wanted) steps_.push_back({kind, "", std::nullopt});
  };
  add_where(json.boolean("clean_text", true), Kind::clean);
  add_where(json.boolean("handle_chinese_chars", true), Kind::space_han);
  const bool unaccent = json.boolean("strip_accents", lower);
  add_where(unaccent, Kind::nfd);
  add_where(unaccent, Kind::unaccent);
  add_where(lower, Kind::lowercase);
}

std::string Normalizer::run(std::string_view text) const {
  std::string out(text);
  for (const auto& step : steps_) out = apply(step, out);
  return out;
}

std::string Normalizer::apply(const Step& step, const std::string& text) {
  switch (step.kind) {
    case Kind::nfc:
      return normalize(text, NormalForm::nfc);
    case Kind::nfd:
      return normalize(text, NormalForm::nfd);
    case Kind::nfkc:
      return normalize(text, NormalForm::nfkc);
    case Kind::nfkd:
      return normalize(text, NormalForm::nfkd);
    case Kind::lowercase:
      return lowercase(text);
    case Kind::prepend:
      return text.empty() ? text : step.content + text;
    case Kind::strip:
      return std::string(strip(text, step.left, step.right));
    case Kind::precompiled:
      return step.table->run(text);
    case Kind::clean:
      return cleaned(text);
    case Kind::space_han:
      return with_spaced_han(text);
    case Kind::unaccent:
      return without(text, bert_accents());
    case Kind::replace:
      break;
  }
  std::string out;
  for (const auto& s : step.pattern->cut(text)) {
    s.is_match ? out += step.content : out.append(text, s.begin, s.end - s.begin);
  }
  return out;
}

}  // namespace chiasm::language
