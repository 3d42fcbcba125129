/// Runs the tests; a forced instruction set that this CPU lacks is a skip, not a failure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "core/isa.h"

namespace {
constexpr int kSkipped = 77;  // SKIP_RETURN_CODE in tests/CMakeLists.txt
}

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (const char* forced = std::getenv("CHIASM_FORCE_CPU")) {
    for (const chiasm::Isa isa : {chiasm::Isa::avx2, chiasm::Isa::avx512}) {
      if (forced == chiasm::name(isa) && !chiasm::supported(isa)) {
        std::cout << "skipped: this CPU lacks " << forced << "\n";
        return kSkipped;
      }
    }
  }
  return RUN_ALL_TESTS();
}
