#include "language/tokenizer_normalizer.h"

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
  constexpr std::pair<std::string_view, Kind> kinds[] = {{"NFC", Kind::nfc},
                                                         {"NFD", Kind::nfd},
                                                         {"NFKC", Kind::nfkc},
                                                         {"NFKD", Kind::nfkd},
                                                         {"Lowercase", Kind::lowercase},
                                                         {"Replace", Kind::replace},
                                                         {"Prepend", Kind::prepend},
                                                         {"Strip", Kind::strip}};
  for (const auto& [name, kind] : kinds) {
    if (type != name) continue;
    Step step{kind, "", std::nullopt};
    if (kind == Kind::replace) {
      step.pattern = pattern_from(json["pattern"]);
      step.content = json["content"].str();
    } else if (kind == Kind::prepend) {
      step.content = json["prepend"].str();
    } else if (kind == Kind::strip) {
      step.left = json.boolean("strip_left", true);
      step.right = json.boolean("strip_right", true);
    }
    steps_.push_back(std::move(step));
    return;
  }
  fail<ModelError>(json.where(), ": normalizer \"", type,
                   "\" is not supported; Sequence, NFC, NFD, ",
                   "NFKC, NFKD, Lowercase, Replace, Prepend and Strip are");
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
