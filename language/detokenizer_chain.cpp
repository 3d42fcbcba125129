#include "language/detokenizer_chain.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "language/pre_tokenizer.h"
#include "language/tokenizer_bytes.h"
#include "language/unicode.h"

namespace chiasm::language {

namespace {

std::string replaced(const std::string& token, const Pattern& pattern, std::string_view content) {
  std::string out;
  for (const auto& s : pattern.cut(token)) {
    s.is_match ? out += content : out.append(token, s.begin, s.end - s.begin);
  }
  return out;
}

/// Without up to `start` times `character` at the front and `stop` times at the end.
std::string stripped(std::string_view token, std::string_view character, std::size_t start,
                     std::size_t stop) {
  for (; start > 0 && token.substr(0, character.size()) == character; --start) {
    token.remove_prefix(character.size());
  }
  const auto ends = [&] {
    return token.size() >= character.size() &&
           token.substr(token.size() - character.size()) == character;
  };
  for (; stop > 0 && ends(); --stop) token.remove_suffix(character.size());
  return std::string(token);
}

std::string without_marks(std::string_view token, std::string_view mark, bool drop) {
  std::string out;
  for (std::size_t at = 0; at < token.size();) {
    if (token.substr(at, mark.size()) == mark) {
      if (!drop) out += ' ';
      at += mark.size();
    } else {
      out += token[at++];
    }
  }
  return out;
}

std::string with_all(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

/// A token of WordPiece behind others: one that begins a word has a space before it.
std::string continued(const std::string& token, std::string_view prefix) {
  return token.starts_with(prefix) ? token.substr(prefix.size()) : " " + token;
}

/// English spacing as the library cleans it up, in its order.
std::string cleaned_up(std::string token) {
  constexpr std::pair<std::string_view, std::string_view> changes[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : changes) token = with_all(std::move(token), from, to);
  return token;
}

/// Byte tokens in a row become the characters they spell, or one U+FFFD each.
std::vector<std::string> spell_bytes(const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string bytes;
  const auto flush = [&] {
    if (first_invalid_utf8(bytes) == std::string_view::npos) {
      if (!bytes.empty()) out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (const auto& token : tokens) {
    if (const auto byte = fallback_byte(token)) {
      bytes += char(*byte);
    } else {
      flush();
      out.push_back(token);
    }
  }
  flush();
  return out;
}

std::string joined(const std::vector<std::string>& tokens, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out += separator;
    out += tokens[i];
  }
  return out;
}

/// The bytes of a token of a byte-level vocabulary; added tokens may hold other characters.
std::string level_bytes(std::string_view token) {
  return bytes_of_characters(token).value_or(std::string(token));
}

}  // namespace

DecoderChain::DecoderChain(const Json& json) {
  if (!json.is_null()) add(json);
}

void DecoderChain::add(const Json& json) {
  const std::string type = json["type"].str();
  if (type == "Sequence") {
    const Json parts = json["decoders"];
    for (std::size_t i = 0; i < parts.size(); ++i) add(parts[i]);
    return;
  }
  constexpr std::pair<std::string_view, Kind> kinds[] = {{"ByteLevel", Kind::byte_level},
                                                         {"ByteFallback", Kind::byte_fallback},
                                                         {"Fuse", Kind::fuse},
                                                         {"Replace", Kind::replace},
                                                         {"Strip", Kind::strip},
                                                         {"Metaspace", Kind::metaspace},
                                                         {"WordPiece", Kind::word_piece},
                                                         {"BPEDecoder", Kind::word_end}};
  for (const auto& [name, kind] : kinds) {
    if (type != name) continue;
    Step step;
    step.kind = kind;
    if (kind == Kind::replace) {
      step.pattern.push_back(pattern_from(json["pattern"]));
      step.content = json["content"].str();
    } else if (kind == Kind::strip) {
      step.content = json["content"].str();
      if (step.content.empty()) fail<ModelError>(json.where(), ": content is empty");
      step.start = std::size_t(std::max<std::int64_t>(json.integer("start", 0), 0));
      step.stop = std::size_t(std::max<std::int64_t>(json.integer("stop", 0), 0));
    } else if (kind == Kind::word_piece) {
      step.content = json.str("prefix", "##");
      step.cleanup = json.boolean("cleanup", true);
    } else if (kind == Kind::word_end) {
      step.content = json.str("suffix", "</w>");
      if (step.content.empty()) fail<ModelError>(json.where(), ": suffix is empty");
    } else if (kind == Kind::metaspace) {
      step.content = json.str("replacement", "\u2581");
      if (step.content.empty()) fail<ModelError>(json.where(), ": replacement is empty");
      const bool prefix = json.boolean("add_prefix_space", true);
      step.drop_first = json.str("prepend_scheme", prefix ? "always" : "never") != "never";
    }
    steps_.push_back(std::move(step));
    return;
  }
  fail<ModelError>(json.where(), ": decoder \"", type, "\" is not supported; Sequence, ByteLevel, ",
                   "ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece and BPEDecoder are");
}

std::string DecoderChain::run(std::vector<std::string> tokens) const {
  if (steps_.empty()) return joined(tokens, " ");
  for (const auto& step : steps_) apply(step, tokens);
  return joined(tokens, "");
}

void DecoderChain::apply(const Step& step, std::vector<std::string>& tokens) {
  switch (step.kind) {
    case Kind::byte_level: {
      std::string bytes, text;
      for (const auto& token : tokens) bytes += level_bytes(token);
      append_utf8_lossy(bytes, false, text);
      tokens.assign(1, text);
      return;
    }
    case Kind::byte_fallback:
      tokens = spell_bytes(tokens);
      return;
    case Kind::fuse:
      tokens.assign(1, joined(tokens, ""));
      return;
    case Kind::replace:
      for (auto& token : tokens) token = replaced(token, step.pattern[0], step.content);
      return;
    case Kind::strip:
      for (auto& token : tokens) token = stripped(token, step.content, step.start, step.stop);
      return;
    case Kind::metaspace:
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        tokens[i] = without_marks(tokens[i], step.content, i == 0 && step.drop_first);
      }
      return;
    case Kind::word_piece:
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (i > 0) tokens[i] = continued(tokens[i], step.content);
        if (step.cleanup) tokens[i] = cleaned_up(tokens[i]);
      }
      return;
    case Kind::word_end:
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        tokens[i] = with_all(tokens[i], step.content, i + 1 < tokens.size() ? " " : "");
      }
      return;
  }
}

bool DecoderChain::is_fallback_byte(std::string_view token) const {
  const bool falls_back = std::ranges::any_of(
      steps_, [](const Step& step) { return step.kind == Kind::byte_fallback; });
  return falls_back && fallback_byte(token).has_value();
}

std::string DecoderChain::bytes_of(std::string_view token) const {
  std::string out(token);
  for (const auto& step : steps_) {
    if (step.kind == Kind::byte_level) out = level_bytes(out);
    if (step.kind == Kind::replace) out = replaced(out, step.pattern[0], step.content);
    if (step.kind == Kind::metaspace) out = without_marks(out, step.content, false);
    if (step.kind == Kind::word_piece) out = continued(out, step.content);
    if (step.kind == Kind::word_end) out = with_all(out, step.content, " ");
    if (step.kind == Kind::byte_fallback) {
      if (const auto byte = fallback_byte(out)) return std::string(1, char(*byte));
    }
    if (step.kind == Kind::fuse) break;  // what follows looks at the whole text
  }
  return out;
}

}  // namespace chiasm::language
