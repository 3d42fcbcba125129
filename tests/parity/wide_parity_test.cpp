/// The widths of published models against transformers: folders of tests/golden/wide, which have
/// fewer layers. Weights come from an integer hash and are written once into wide-checkpoint-NAME
/// below the working directory. Suite names begin with "Large", as those of the large shape.
#include <gtest/gtest.h>

#include "core/hash.h"
#include "core/mapped_file.h"
#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/hash_checkpoint.h"
#include "tests/parity/stage_errors.h"

namespace chiasm::testing {

namespace {

class LargeWidths : public ::testing::TestWithParam<std::string> {
 protected:
  LargeWidths()
      : golden_(read_golden(golden_root() / "wide" / GetParam())),
        folder_(std::filesystem::absolute("wide-checkpoint-" + GetParam())) {
    write_hash_checkpoint(golden_.path, folder_);
  }

  Model load(const std::string& dtype) const {
    LoadOptions options;
    options.dtype = dtype;
    return Model::load(folder_, options);
  }

  void check_stages(Model& model, const GoldenCase& c, const std::string& dtype, double bound) {
    const auto errors = stage_errors(model, c);
    EXPECT_EQ(first_divergence(errors, bound), "") << "prompt " << c.name;
    note_errors(parity_row(GetParam(), model, dtype), errors);
  }

  const GoldenFolder golden_;
  const std::filesystem::path folder_;
};

TEST_P(LargeWidths, WeightsAreThoseOfTheReferenceRun) {
  const MappedFile file(folder_ / "model.safetensors");
  EXPECT_EQ(content_hash(file.bytes()).hex(), golden_.weights_blake2b);
}

TEST_P(LargeWidths, Float32) {
  Model model = load("float32");
  int equal = 0, all = 0;
  for (const GoldenCase& c : golden_.cases) {
    EXPECT_EQ(model.prompt_ids(c.request()), c.ids) << c.name;
    check_stages(model, c, "float32", 1e-4);
    Request request = c.request();
    request.options.max_tokens = std::int64_t(c.greedy.size());
    request.options.ignore_eos = true;
    const Result result = model.generate(request);
    EXPECT_EQ(result.token_ids, c.greedy) << c.name;
    all++;
    equal += result.token_ids == c.greedy ? 1 : 0;
  }
  parity_row(GetParam(), model, "float32").greedy =
      std::to_string(equal) + " of " + std::to_string(all) + " equal";
}

TEST_P(LargeWidths, Bfloat16) {
  Model model = load("bfloat16");
  for (const GoldenCase& c : golden_.cases) check_stages(model, c, "bfloat16", 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Large, LargeWidths, ::testing::Values("lfm2_vl_450m", "qwen2_5_vl_3b"),
                         [](const auto& test) { return test.param; });

}  // namespace

}  // namespace chiasm::testing
