#pragma once
/// The normalizers of `tokenizer.json`.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "language/pre_tokenizer_pattern.h"
#include "language/precompiled_charsmap.h"

namespace chiasm::language {

/// Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Replace, Prepend, Strip, Precompiled and what
/// BertNormalizer is made of. Immutable.
class Normalizer {
 public:
  Normalizer() = default;
  /// Reads the "normalizer" object. ModelError names a type that is not supported.
  explicit Normalizer(const Json& json);

  /// The normal form of valid UTF-8.
  std::string run(std::string_view text) const;

 private:
  enum class Kind {
    nfc,
    nfd,
    nfkc,
    nfkd,
    lowercase,
    replace,
    prepend,
    strip,
    clean,
    space_han,
    unaccent,
    precompiled
  };
  struct Step {
    Kind kind;
    std::string content;               // replace, prepend
    std::optional<Pattern> pattern;    // replace
    bool left = false, right = false;  // strip
    std::shared_ptr<const PrecompiledCharsmap> table{};
  };

  void add(const Json& json);
  void add_bert(const Json& json);
  static std::string apply(const Step& step, const std::string& text);

  std::vector<Step> steps_;
};

}  // namespace chiasm::language
