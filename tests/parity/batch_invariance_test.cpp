/// The same request gives bit-equal logits whatever runs beside it, however its prompt and pictures
/// are cut into pieces and with any number of threads.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "runtime/loader.h"
#include "runtime/model.h"
#include "runtime/prompt.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/setting.h"

namespace chiasm::testing {

namespace {

std::vector<float> values(const Tensor& t) {
  const auto view = t.view<float>();
  return {view.data(), view.data() + view.shape().count()};
}

/// Success when both have the same bits.
::testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " != " << b.size();
  for (std::size_t i = 0; i < a.size(); i++) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) {
      return ::testing::AssertionFailure() << "value " << i << ": " << a[i] << " != " << b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

class BatchInvariance : public ::testing::TestWithParam<Setting> {
 protected:
  BatchInvariance() : golden_(read_golden(golden_root() / "models" / GetParam().folder)) {}

  LoadOptions options(int threads) const { return GetParam().options(threads); }
  Model load(int threads) const { return Model::load(golden_.path, options(threads)); }
  /// The case under test: the one with most pictures.
  const GoldenCase& subject() const { return golden_.cases[1]; }
  /// Seven other requests, of several lengths.
  std::vector<Request> others() const {
    std::vector<Request> out;
    for (std::size_t i = 0; i < 7; i++) {
      out.push_back(golden_.cases[i % golden_.cases.size()].request());
      out.back().prompt[0].text += std::string(i + 1, 'x');
      out.back().options.max_tokens = std::int64_t(5 + 3 * i);
      out.back().options.ignore_eos = true;
    }
    return out;
  }

  GoldenFolder golden_;
};

TEST_P(BatchInvariance, AnyNumberOfThreads) {
  const std::vector<float> one = values(load(1).logits(subject().request()));
  EXPECT_TRUE(same_bits(values(load(2).logits(subject().request())), one));
  EXPECT_TRUE(same_bits(values(load(3).logits(subject().request())), one));
}

TEST_P(BatchInvariance, BesideSevenOthers) {
  Model model = load(2);
  const std::vector<float> alone = values(model.logits(subject().request()));
  std::vector<std::thread> threads;
  for (const Request& request : others()) {
    threads.emplace_back([&model, request] { model.generate(request); });
  }
  for (int i = 0; i < 3; i++) {
    EXPECT_TRUE(same_bits(values(model.logits(subject().request())), alone)) << "run " << i;
  }
  for (std::thread& t : threads) t.join();
}

TEST_P(BatchInvariance, GeneratedInABatchOfEight) {
  Model model = load(2);
  Request request = subject().request();
  request.options.max_tokens = 24;
  request.options.ignore_eos = true;
  request.options.logprobs = 3;
  const Result alone = load(2).generate(request);
  std::vector<Request> batch = others();
  batch.insert(batch.begin() + 4, request);
  const Result result = model.generate_all(batch)[4];
  EXPECT_EQ(result.token_ids, alone.token_ids);
  ASSERT_EQ(result.logprobs.size(), alone.logprobs.size());
  for (std::size_t i = 0; i < alone.logprobs.size(); i++) {
    EXPECT_EQ(result.logprobs[i].logprob, alone.logprobs[i].logprob) << "token " << i;
    EXPECT_EQ(result.logprobs[i].top, alone.logprobs[i].top) << "token " << i;
  }
}

/// Logits from an engine of its own, which takes `rows` prompt rows and `tiles` tiles a step.
std::vector<float> chunked_logits(const GoldenFolder& golden, const GoldenCase& c,
                                  const LoadOptions& options, std::int64_t rows,
                                  std::int64_t tiles) {
  LoadedModel loaded = load_model(golden.path, options);
  loaded.engine_options.prefill_rows = rows;
  loaded.engine_options.patches_per_step = tiles * loaded.info.patches_per_tile;
  Engine engine(*loaded.family, *loaded.tokenizer, loaded.context(), loaded.engine_options);
  const auto sequence = std::make_shared<Sequence>();
  sequence->prompt =
      make_prompt(*loaded.family, *loaded.tokenizer, c.request(), engine.options().limits);
  sequence->options.max_tokens = 1;
  sequence->options.ignore_eos = true;
  const auto vocab = std::size_t(loaded.info.vocab_size);
  std::vector<float> out(std::size_t(sequence->prompt_length()) * vocab);
  sequence->on_logits = [&](std::int64_t row, std::span<const float> logits) {
    std::copy(logits.begin(), logits.end(), out.begin() + row * std::int64_t(vocab));
  };
  engine.submit({&sequence, 1});
  engine.wait({&sequence, 1}, {}, {});
  return out;
}

TEST_P(BatchInvariance, SplitInChunks) {
  const std::vector<float> whole = values(load(2).logits(subject().request()));
  for (const std::int64_t rows : {1, 7, 64, 100}) {
    EXPECT_TRUE(
        same_bits(chunked_logits(golden_, subject(), options(2), rows, 1 + rows % 4), whole))
        << rows << " rows a step";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Small, BatchInvariance,
    ::testing::Values(
        Setting{"smolvlm_2x2", "float32"}, Setting{"smolvlm_2x2", "bfloat16"},
        Setting{"smolvlm_2x2", "bfloat16", "int8"}, Setting{"smolvlm_2x2", "bfloat16", "int4"},
        Setting{"smolvlm_side25", "float32"}, Setting{"llama31_old", "bfloat16"},
        Setting{"qwen2_window", "bfloat16"}, Setting{"qwen3_heads", "bfloat16", "int4"},
        Setting{"gemma2_caps", "bfloat16", "int4"}, Setting{"gemma3_local", "bfloat16"},
        Setting{"gemma3_local", "float32"}, Setting{"llama_suppress", "float16"},
        Setting{"internvl_tiles", "bfloat16"}, Setting{"llava_next_anyres", "float32"},
        Setting{"llava_onevision_anyres", "bfloat16", "int8"},
        Setting{"qwen2_5_vl_windows", "bfloat16"}, Setting{"qwen2_vl_merge", "float32"},
        Setting{"qwen3_vl_deepstack", "bfloat16", "int8"}, Setting{"gemma3_sliding", "float32"},
        Setting{"gemma3_pan", "bfloat16"}, Setting{"paligemma_2", "float32"},
        Setting{"mistral3_rows", "bfloat16"}, Setting{"gpt2_depth", "bfloat16", "int4"},
        Setting{"phi3_longrope", "bfloat16"}, Setting{"smollm3_nope", "float32"},
        Setting{"mamba2_groups", "bfloat16"}, Setting{"mamba2_tied", "float32"},
        Setting{"lfm2_mixed", "bfloat16", "int4"}, Setting{"smolvlm_2x2", "bfloat16", "", "int8"},
        Setting{"gemma3_local", "bfloat16", "", "int8"},
        Setting{"llama31_old", "float32", "", "int8"},
        Setting{"lfm2_mixed", "bfloat16", "int4", "int8"}),
    ::testing::PrintToStringParamName());

}  // namespace

}  // namespace chiasm::testing
