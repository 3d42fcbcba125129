#pragma once
/// A small model asked with beginnings of its longest golden prompt.
#include <cstdint>
#include <string>

#include "runtime/model.h"
#include "tests/parity/golden_file.h"

namespace chiasm::testing {

class Beginnings {
 protected:
  explicit Beginnings(const std::string& folder)
      : golden_(read_golden(golden_root() / "models" / folder)) {}

  /// In float32, with nothing remembered.
  Model load() const {
    LoadOptions options;
    options.dtype = "float32";
    options.threads = 2;
    return Model::load(golden_.path, options);
  }

  /// The first `tokens` of the long prompt, and an answer of that many tokens.
  Request request(std::int64_t tokens, std::int64_t answer) const {
    Request r;
    r.token_ids.assign(golden_.cases[1].ids.begin(), golden_.cases[1].ids.begin() + tokens);
    r.options.max_tokens = answer;
    r.options.ignore_eos = true;
    return r;
  }

 private:
  GoldenFolder golden_;
};

}  // namespace chiasm::testing
