#include "core/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "core/error.h"

namespace chiasm {
namespace {

/// best_isa() chooses once a process, so each choice is watched in a process of its own.
[[noreturn]] void choose_and_exit(const char* forced) {
  if (forced != nullptr) {
    ::setenv("CHIASM_FORCE_CPU", forced, 1);
  } else {
    ::unsetenv("CHIASM_FORCE_CPU");
  }
  try {
    std::cerr << "chose " << name(best_isa()) << "\n";
  } catch (const DeviceError& e) {
    std::cerr << "refused: " << e.what() << "\n";
  }
  std::exit(0);
}

[[noreturn]] void ask_for_amx_and_exit(const char* asked) {
  ::setenv("CHIASM_AMX", asked, 1);
  try {
    std::cerr << "uses AMX: " << use_amx() << "\n";
  } catch (const DeviceError& e) {
    std::cerr << "refused: " << e.what() << "\n";
  }
  std::exit(0);
}

class IsaDeathTest : public ::testing::Test {
 protected:
  IsaDeathTest() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
  static auto success() { return ::testing::ExitedWithCode(0); }
};

TEST_F(IsaDeathTest, ForcesWhatThisCpuHas) {
  for (const Isa isa : {Isa::reference, Isa::portable, Isa::neon, Isa::avx2, Isa::avx512}) {
    const std::string forced(name(isa));
    const std::string want = supported(isa) ? "chose " + forced : "refused.*this CPU lacks it";
    EXPECT_EXIT(choose_and_exit(forced.c_str()), success(), want);
  }
}

TEST_F(IsaDeathTest, RefusesUnknownNames) {
  EXPECT_EXIT(choose_and_exit("sse9"), success(), "refused: CHIASM_FORCE_CPU=sse9: no such path");
  EXPECT_EXIT(choose_and_exit(""), success(), "refused: CHIASM_FORCE_CPU=: no such path");
}

TEST_F(IsaDeathTest, ChoosesTheFastest) {
  EXPECT_EXIT(choose_and_exit(nullptr), success(),
              "chose " + std::string(name(supported_isas().back())));
}

TEST_F(IsaDeathTest, UsesAmxOnlyWhereAskedAndThere) {
  EXPECT_EXIT(ask_for_amx_and_exit("0"), success(), "uses AMX: 0");
  EXPECT_EXIT(ask_for_amx_and_exit("yes"), success(), "refused: CHIASM_AMX=yes: use 0 or 1");
  EXPECT_EXIT(ask_for_amx_and_exit("1"), success(),
              has_amx() ? "uses AMX: 1" : "refused: CHIASM_AMX=1: this CPU lacks it");
}

TEST(Isa, SupportIsConsistent) {
  EXPECT_TRUE(supported(Isa::reference));
  EXPECT_TRUE(supported(Isa::portable));
  EXPECT_TRUE(supported(Isa::avx2) || !supported(Isa::avx512));
  EXPECT_TRUE(supported(Isa::avx512) || !has_avx512_bf16());
  EXPECT_TRUE(has_avx512_bf16() || !has_amx());
  EXPECT_TRUE(supported(Isa::neon) || !has_neon_dot());
  EXPECT_FALSE(supported(Isa::neon) && supported(Isa::avx2));
}

}  // namespace
}  // namespace chiasm
