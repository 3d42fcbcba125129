/// Whole models over keys and values in int8.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/mini_model.h"
#include "tests/parity/stage_errors.h"

namespace chiasm::testing {

namespace {

Model load(const std::filesystem::path& path, const std::string& dtype, const std::string& kv) {
  LoadOptions options;
  options.dtype = dtype;
  options.kv_cache = kv;
  options.threads = 2;
  return Model::load(path, options);
}

/// The largest error of a folder's logits.
double logits_error(const std::string& folder, const std::string& dtype, const std::string& kv) {
  const GoldenFolder golden = read_golden(golden_root() / "models" / folder);
  Model model = load(golden.path, dtype, kv);
  double worst = 0;
  for (const GoldenCase& c : golden.cases)
    worst = std::max(worst, stage_errors(model, c).back().second);
  return worst;
}

class KvInt8 : public ::testing::TestWithParam<std::string> {};

// The largest of 32 normal numbers is some 2.2 times their root mean square, so a number in int8 is
// off by 0.5 % of it (2.2 / 127 / sqrt(12)), and a weight of softmax by as much times the spread of
// scores. These checkpoints are random and their attention sharp: logits move by 0.3 to 0.9 % in
// float32, and where bfloat16 rounds too, by 0.4 to 1.3 % in all.
TEST_P(KvInt8, LogitsStayNearTheReferences) {
  for (const auto& [dtype, bound] : {std::pair("float32", 1e-2), std::pair("bfloat16", 1.4e-2)}) {
    const double kept = logits_error(GetParam(), dtype, "auto");
    const double narrow = logits_error(GetParam(), dtype, "int8");
    EXPECT_GT(narrow, kept) << dtype;
    EXPECT_LE(narrow, bound) << dtype;
  }
}

INSTANTIATE_TEST_SUITE_P(Small, KvInt8,
                         ::testing::Values("smolvlm_2x2", "llama31_old", "qwen2_window",
                                           "gemma3_local", "lfm2_mixed", "phi3_longrope",
                                           "gpt2_depth", "qwen3_heads", "qwen2_vl_merge"),
                         [](const auto& test) { return test.param; });

Request mini_request(int words, std::int64_t tokens) {
  std::string text = "<|im_start|>User:";
  for (int i = 0; i < words; i++) text += " word " + std::to_string(i * 7 % 13);
  Request request = Request::text(text);
  request.options.max_tokens = tokens;
  request.options.ignore_eos = true;
  request.options.logprobs = 2;
  return request;
}

void expect_same(const Result& got, const Result& want) {
  EXPECT_EQ(got.token_ids, want.token_ids);
  ASSERT_EQ(got.logprobs.size(), want.logprobs.size());
  for (std::size_t i = 0; i < want.logprobs.size(); i++) {
    EXPECT_EQ(got.logprobs[i].top, want.logprobs[i].top) << "token " << i;
  }
}

/// Heads of 64: rows are read where they lie.
TEST(KvInt8Mini, IsTheSameAloneBesideOthersAndFromARememberedPrefix) {
  const Request asked = mini_request(150, 40);
  const Result alone = load(mini_folder(), "bfloat16", "int8").generate(asked);
  Model model = load(mini_folder(), "bfloat16", "int8");
  std::vector<Request> batch;
  for (int i = 0; i < 5; i++) batch.push_back(mini_request(20 + 17 * i, 10 + 5 * i));
  batch.insert(batch.begin() + 2, asked);
  expect_same(model.generate_all(batch)[2], alone);
  const Result again = model.generate(asked);  // its pages are shared, the last one is copied
  EXPECT_GT(again.usage.cached_tokens, 100);
  expect_same(again, alone);
  for (const Result& answer : model.choices(asked, 3)) expect_same(answer, alone);
}

TEST(KvInt8Mini, TakesLittleMoreThanHalfOfTheMemory) {
  const Request asked = mini_request(150, 40);
  const auto bytes = [&](const std::string& kv) {
    return double(load(mini_folder(), "bfloat16", kv).plan(asked).kv_bytes);
  };
  // A byte a number and two for each 32, instead of two a number.
  EXPECT_DOUBLE_EQ(bytes("int8") / bytes("bfloat16"), (1 + 2.0 / 32) / 2);
}

}  // namespace

}  // namespace chiasm::testing
