#pragma once
/// A GGUF file's metadata keys that share a prefix: those of one architecture.
#include <string>
#include <string_view>

#include "core/gguf.h"

namespace chiasm {

class GgufKeys {
 public:
  /// `scope`: what stands before the dot of each key. The contents must outlive this.
  GgufKeys(const GgufContents& gguf, std::string_view scope)
      : gguf_(gguf), prefix_(std::string(scope) + ".") {}

  bool has(std::string_view key) const { return gguf_.find(prefix_ + std::string(key)) != nullptr; }
  const GgufValue& at(std::string_view key) const { return gguf_.at(prefix_ + std::string(key)); }
  double number(std::string_view key, double otherwise) const {
    return has(key) ? at(key).number() : otherwise;
  }

 private:
  const GgufContents& gguf_;
  std::string prefix_;
};

}  // namespace chiasm
