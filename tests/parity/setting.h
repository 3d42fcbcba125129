#pragma once
/// A golden folder and how its weights are kept, as a test's parameter.
#include <ostream>
#include <string>

#include "runtime/model.h"

namespace chiasm::testing {

struct Setting {
  std::string folder, dtype, quantize = "";

  LoadOptions options(int threads) const {
    LoadOptions o;
    o.dtype = dtype;
    o.quantize = quantize;
    o.threads = threads;
    return o;
  }

  friend std::ostream& operator<<(std::ostream& out, const Setting& s) {
    return out << s.folder << "_" << s.dtype << s.quantize;
  }
};

}  // namespace chiasm::testing
