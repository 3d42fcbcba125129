#pragma once
/// A golden folder and how its weights are kept, as a test's parameter.
#include <ostream>
#include <string>

#include "runtime/model.h"

namespace chiasm::testing {

struct Setting {
  std::string folder, dtype, quantize = "", kv_cache = "auto";

  LoadOptions options(int threads) const {
    LoadOptions o;
    o.dtype = dtype;
    o.quantize = quantize;
    o.kv_cache = kv_cache;
    o.threads = threads;
    return o;
  }

  friend std::ostream& operator<<(std::ostream& out, const Setting& s) {
    out << s.folder << "_" << s.dtype << s.quantize;
    return s.kv_cache == "auto" ? out : out << "_kv_" << s.kv_cache;
  }
};

}  // namespace chiasm::testing
