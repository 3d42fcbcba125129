#include "language/pre_tokenizer.h"

#include "core/error.h"
#include "language/tokenizer_bytes.h"

namespace chiasm::language {

namespace {

// GPT-2: contractions, words, numbers and other signs with the space before them, then spaces.
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

SplitBehavior behavior_from(const Json& json) {
  const std::string name = json.str();
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  fail<ModelError>(json.where(), ": split behavior \"", name, "\" is not supported");
}

/// Joins each stretch with the one before it where join(is_match, was_match) says so.
template <class Join>
std::vector<Stretch> join_stretches(const std::vector<Stretch>& stretches, Join join) {
  std::vector<Stretch> out;
  bool was_match = false;
  for (const auto& s : stretches) {
    if (!out.empty() && join(s.is_match, was_match)) {
      out.back().end = s.end;
    } else {
      out.push_back(s);
    }
    was_match = s.is_match;
  }
  return out;
}

/// A match goes to the stretch behind it, unless that is a match that was not joined itself.
std::vector<Stretch> merge_with_next(const std::vector<Stretch>& stretches) {
  std::vector<Stretch> out;
  bool was_match = false;
  for (auto s = stretches.rbegin(); s != stretches.rend(); ++s) {
    if (!out.empty() && s->is_match && !was_match) {
      out.back().begin = s->begin;
    } else {
      out.push_back(*s);
    }
    was_match = s->is_match;
  }
  return {out.rbegin(), out.rend()};
}

std::vector<Stretch> arrange(const std::vector<Stretch>& cut, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::removed:
    case SplitBehavior::isolated:
      return cut;
    case SplitBehavior::contiguous:
      return join_stretches(cut, [](bool is, bool was) { return is == was; });
    case SplitBehavior::merged_with_previous:
      return join_stretches(cut, [](bool is, bool was) { return is && !was; });
    case SplitBehavior::merged_with_next:
      return merge_with_next(cut);
  }
  return cut;
}

}  // namespace

Pattern pattern_from(const Json& json) {
  return in_context(json.where(), [&] {
    if (json.has("Regex")) return Pattern::regex(json["Regex"].str());
    return Pattern::literal(json["String"].str());
  });
}

PreTokenizer::PreTokenizer(const Json& json) {
  if (!json.is_null()) add(json);
}

void PreTokenizer::add(const Json& json) {
  const std::string type = json["type"].str();
  if (type == "Sequence") {
    const Json parts = json["pretokenizers"];
    for (std::size_t i = 0; i < parts.size(); ++i) add(parts[i]);
  } else if (type == "Split") {
    steps_.push_back(split_from(json));
  } else if (type == "ByteLevel") {
    ByteLevel step{json.boolean("add_prefix_space", true), std::nullopt};
    if (json.boolean("use_regex", true)) step.pattern = Pattern::regex(kByteLevelPattern);
    steps_.push_back(std::move(step));
  } else if (type == "Digits") {
    const bool each = json.boolean("individual_digits", false);
    steps_.push_back(Split{Pattern::one_of(rust_numeric()),
                           each ? SplitBehavior::isolated : SplitBehavior::contiguous, false});
  } else if (type == "Metaspace") {
    steps_.push_back(metaspace_from(json));
  } else if (type == "Whitespace") {
    steps_.push_back(Split{Pattern::rust_words(), SplitBehavior::removed, true});
  } else if (type == "WhitespaceSplit") {
    steps_.push_back(Split{Pattern::one_of(white_space()), SplitBehavior::removed, false});
  } else if (type == "BertPreTokenizer") {
    steps_.push_back(Split{Pattern::one_of(white_space()), SplitBehavior::removed, false});
    steps_.push_back(Split{Pattern::one_of(bert_punctuation()), SplitBehavior::isolated, false});
  } else {
    fail<ModelError>(
        json.where(), ": pre-tokenizer \"", type, "\" is not supported; Sequence, ",
        "Split, ByteLevel, Digits, Metaspace, Whitespace, WhitespaceSplit and BertPreTokenizer ",
        "are");
  }
}

PreTokenizer::Split PreTokenizer::split_from(const Json& json) {
  return {pattern_from(json["pattern"]), behavior_from(json["behavior"]),
          json.boolean("invert", false)};
}

PreTokenizer::Metaspace PreTokenizer::metaspace_from(const Json& json) {
  const bool prefix = json.boolean("add_prefix_space", true);  // files older than prepend_scheme
  const std::string scheme = json.str("prepend_scheme", prefix ? "always" : "never");
  Metaspace step{json.str("replacement", "\u2581"), Metaspace::Prepend::always, std::nullopt};
  if (scheme == "first") {
    step.prepend = Metaspace::Prepend::first;
  } else if (scheme == "never") {
    step.prepend = Metaspace::Prepend::never;
  } else if (scheme != "always") {
    fail<ModelError>(json.where(), ": prepend_scheme \"", scheme, "\" is not supported");
  }
  if (json.boolean("split", true)) {
    step.split = Split{Pattern::literal(step.replacement), SplitBehavior::merged_with_next, false};
  }
  return step;
}

Words PreTokenizer::run(std::string_view text, bool at_start) const {
  Words words{std::string(text), {}};
  if (!text.empty()) words.bounds.push_back({0, text.size()});
  for (const auto& step : steps_) {
    std::visit([&](const auto& s) { apply(s, words, at_start); }, step);
  }
  return words;
}

void PreTokenizer::apply(const Split& split, Words& words, bool) {
  std::vector<Words::Bounds> bounds;
  for (std::size_t i = 0; i < words.size(); ++i) {
    auto cut = split.pattern.cut(words[i]);
    if (split.invert) {
      for (auto& s : cut) s.is_match = !s.is_match;
    }
    const std::size_t offset = words.bounds[i].begin;
    for (const auto& s : arrange(cut, split.behavior)) {
      const bool drop = split.behavior == SplitBehavior::removed && s.is_match;
      if (!drop && s.begin != s.end) bounds.push_back({offset + s.begin, offset + s.end});
    }
  }
  words.bounds = std::move(bounds);
}

void PreTokenizer::apply(const ByteLevel& bytes, Words& words, bool) {
  Words out;
  out.text.reserve(words.text.size() * 2);
  const auto append = [&](std::string_view word) {
    const std::size_t begin = out.text.size();
    append_byte_characters(word, out.text);
    out.bounds.push_back({begin, out.text.size()});
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string prefixed;
    std::string_view word = words[i];
    if (bytes.add_prefix_space && word.front() != ' ') {
      prefixed = ' ';
      prefixed += word;
      word = prefixed;
    }
    if (!bytes.pattern) {
      append(word);
      continue;
    }
    for (const auto& s : bytes.pattern->cut(word)) {
      if (s.begin != s.end) append(word.substr(s.begin, s.end - s.begin));
    }
  }
  words = std::move(out);
}

void PreTokenizer::apply(const Metaspace& metaspace, Words& words, bool at_start) {
  Words out;
  const std::string& mark = metaspace.replacement;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::size_t begin = out.text.size();
    const std::string_view word = words[i];
    const bool marked = word.front() == ' ' || word.substr(0, mark.size()) == mark;
    const bool first = at_start && words.bounds[i].begin == 0;
    const bool wanted = metaspace.prepend == Metaspace::Prepend::always ||
                        (metaspace.prepend == Metaspace::Prepend::first && first);
    if (wanted && !marked) out.text += mark;
    for (const char c : word) c == ' ' ? out.text += mark : out.text += c;
    out.bounds.push_back({begin, out.text.size()});
  }
  words = std::move(out);
  if (metaspace.split) apply(*metaspace.split, words, at_start);
}

}  // namespace chiasm::language
