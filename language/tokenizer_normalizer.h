#pragma once
/// The normalizers of `tokenizer.json`.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "language/pre_tokenizer_pattern.h"

namespace chiasm::language {

/// Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Replace, Prepend and Strip. Immutable.
class Normalizer {
 public:
  Normalizer() = default;
  /// Reads the "normalizer" object. ModelError names a type that is not supported.
  explicit Normalizer(const Json& json);

  /// The normal form of valid UTF-8.
  std::string run(std::string_view text) const;

 private:
  enum class Kind { nfc, nfd, nfkc, nfkd, lowercase, replace, prepend, strip };
  struct Step {
    Kind kind;
    std::string content;               // replace, prepend
    std::optional<Pattern> pattern;    // replace
    bool left = false, right = false;  // strip
  };

  void add(const Json& json);
  static std::string apply(const Step& step, const std::string& text);

  std::vector<Step> steps_;
};

}  // namespace chiasm::language
