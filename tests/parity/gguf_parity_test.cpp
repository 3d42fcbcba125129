/// llama.cpp's own conversions of small language models against transformers on what was converted
/// (tests/reference/make_gguf_model_golden.py).
#include <gtest/gtest.h>

#include <string>

#include "core/json.h"
#include "runtime/model.h"
#include "tests/parity/golden_file.h"

namespace chiasm::testing {

namespace {

class GgufParity : public ::testing::TestWithParam<std::string> {};

template <class T>
std::vector<T> numbers(const Json& list) {
  std::vector<T> out;
  for (const auto& number : list.raw()) out.push_back(number.get<T>());
  return out;
}

TEST_P(GgufParity, IsTheModelThatWasConverted) {
  LoadOptions options;
  options.threads = 2;
  options.mmproj = "none";  // those beside it belong to others
  const auto folder = golden_root() / "gguf";
  Model model = Model::load(folder / (GetParam() + ".gguf"), options);
  EXPECT_EQ(model.info().family, GetParam());
  EXPECT_EQ(model.info().dtype, "float32");
  const Json cases = Json::load(folder / "models.json")[GetParam()];
  ASSERT_EQ(cases.size(), 2u);
  for (std::size_t i = 0; i < cases.size(); i++) {
    const Json c = cases[i], logits = c["logits"];
    Request request = Request::text(c["prompt"].str(), {});
    EXPECT_EQ(model.prompt_ids(request), numbers<std::int32_t>(c["ids"]));
    const Sampled want{logits["shape"].integers(), logits["stride"].integer(),
                       logits["norm"].number(), numbers<float>(logits["values"])};
    const Tensor got = model.logits(request);
    const auto count = std::size_t(got.shape().count());
    // What the project promises of float32; 1e-6 is usual.
    EXPECT_LT(relative_error({got.view<float>().data(), count}, want), 1e-4) << "prompt " << i;
    const auto greedy = numbers<std::int32_t>(c["greedy"]);
    request.options.max_tokens = std::int64_t(greedy.size());
    request.options.ignore_eos = true;
    EXPECT_EQ(model.generate(request).token_ids, greedy) << "prompt " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Converted, GgufParity,
                         ::testing::Values("gpt2", "phi3", "smollm3", "mamba2"),
                         [](const auto& test) { return test.param; });

}  // namespace

}  // namespace chiasm::testing
