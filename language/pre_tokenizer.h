#pragma once
/// Cuts normalized text into words before the model merges inside them.
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/json.h"
#include "language/pre_tokenizer_pattern.h"

namespace chiasm::language {

/// What becomes of a match: the names are those of `tokenizer.json`.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// A text and the words it is cut into, in order.
struct Words {
  struct Bounds {
    std::size_t begin, end;
  };
  std::string text;
  std::vector<Bounds> bounds;

  std::size_t size() const { return bounds.size(); }
  std::string_view operator[](std::size_t i) const {
    return std::string_view(text).substr(bounds[i].begin, bounds[i].end - bounds[i].begin);
  }
};

/// The pre-tokenizers Sequence, Split, ByteLevel, Digits, Metaspace, Whitespace, WhitespaceSplit
/// and BertPreTokenizer of the `tokenizers` library. Immutable, shared freely between threads.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  /// Reads the "pre_tokenizer" object. ModelError names a type that is not supported.
  explicit PreTokenizer(const Json& json);

  /// Cuts valid UTF-8. `at_start`: nothing of the whole text comes before `text`.
  Words run(std::string_view text, bool at_start) const;

 private:
  struct Split {
    Pattern pattern;
    SplitBehavior behavior;
    bool invert;
  };
  struct ByteLevel {
    bool add_prefix_space;
    std::optional<Pattern> pattern;
  };
  struct Metaspace {
    enum class Prepend { always, first, never };
    std::string replacement;
    Prepend prepend;
    std::optional<Split> split;
  };
  using Step = std::variant<Split, ByteLevel, Metaspace>;

  void add(const Json& json);
  static Split split_from(const Json& json);
  static Metaspace metaspace_from(const Json& json);
  static void apply(const Split& split, Words& words, bool at_start);
  static void apply(const ByteLevel& bytes, Words& words, bool at_start);
  static void apply(const Metaspace& metaspace, Words& words, bool at_start);

  std::vector<Step> steps_;
};

/// Reads {"String": ...} or {"Regex": ...}.
Pattern pattern_from(const Json& json);

}  // namespace chiasm::language
