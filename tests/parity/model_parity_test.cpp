/// Small random checkpoints against transformers, stage by stage, through the public API.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>
#include <string>
#include <tuple>

#include "core/json.h"
#include "language/tokenizer.h"
#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/stage_errors.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

namespace chiasm::testing {

namespace {

// float32 against float32 in another order of adding: 1e-6 is usual, 1e-4 what the project
// promises. In bfloat16 keys, values and, where the CPU multiplies bfloat16, activations carry 8
// bits.
// Gemma's scale of word rows is rounded to bfloat16, as the reference does in bfloat16: 1.3e-3 of
// every row at these widths, on top of the rest.
// mistral3_rows is an ill-conditioned checkpoint, not a rounding of ours: some rows of its pictures
// are a fifth as large as words, and the first decoder layer makes an error of 4 % of one of 1 %
// there. One such row of prompt "two" has 42 % of the squared error of all its logits, which is
// 1.02e-2 (1.2e-2 by the samples kept). torch in float32 with the same roundings, of what enters a
// product, is at 9.9e-3 with the same worst row; transformers in bfloat16 is at 1.9e-2.
double bound(const std::string& folder, const std::string& dtype) {
  if (dtype == "float32") return 1e-4;
  const bool wider = folder.find("gemma") != std::string::npos || folder == "mistral3_rows";
  return wider ? 1.3e-2 : 1e-2;
}

class ModelParity : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  std::string name() const { return std::get<0>(GetParam()); }
  std::string dtype() const { return std::get<1>(GetParam()); }
  bool exact() const { return dtype() == "float32"; }
  const GoldenFolder& golden() {
    if (!golden_) golden_ = read_golden(golden_root() / "models" / name());
    return *golden_;
  }
  Model load() {
    LoadOptions options;
    options.dtype = dtype();
    options.threads = 2;
    return Model::load(golden().path, options);
  }

 private:
  std::optional<GoldenFolder> golden_;
};

/// Where tokens must be the reference's: bfloat16 may choose another where two are close.
class GreedyParity : public ModelParity {};
/// Folders with pictures.
class PictureParity : public ModelParity {};
/// Folders with sounds.
class SoundParity : public ModelParity {};

const NamedTensor& find(const std::vector<NamedTensor>& all, const std::string& name) {
  for (const NamedTensor& t : all) {
    if (t.name == name) return t;
  }
  fail<RequestError>("preprocess_image returned no ", name);
}

template <class T>
std::span<const T> values(const Tensor& tensor) {
  const auto view = tensor.view<T>();
  return {view.data(), std::size_t(view.shape().count())};
}

TEST_P(PictureParity, Preprocessing) {
  Model model = load();
  for (const GoldenPicture& want : golden().pictures) {
    const ImageInput picture = golden_picture(want.file);
    const auto all = model.preprocess_image(picture);
    EXPECT_EQ(all.size(), want.arrays.size()) << want.file;
    for (const auto& [key, array] : want.arrays) {
      SCOPED_TRACE(want.file + ", " + key);
      const Tensor& got = find(all, key).values;
      const auto dims = got.shape().dims();
      ASSERT_EQ(std::vector<std::int64_t>(dims.begin(), dims.end()), array.shape);
      if (array.sampled) {
        EXPECT_TRUE(holds(values<float>(got), array, golden()));
      } else {
        EXPECT_TRUE(holds(values<std::int64_t>(got), array));
      }
    }
    const Request alone = Request::text(golden().picture_prompt, {picture});
    EXPECT_EQ(std::int64_t(model.prompt_ids(alone).size()), want.prompt_tokens) << want.file;
  }
}

TEST_P(ModelParity, PromptIds) {
  Model model = load();
  for (const GoldenCase& c : golden().cases) {
    EXPECT_EQ(model.prompt_ids(c.request()), c.ids) << c.name;
  }
}

TEST_P(ModelParity, Stages) {
  Model model = load();
  for (const GoldenCase& c : golden().cases) {
    const auto errors = stage_errors(model, c);
    EXPECT_EQ(first_divergence(errors, bound(name(), dtype())), "") << "prompt " << c.name;
    note_errors(parity_row(name(), model, dtype()), errors);
  }
}

TEST_P(PictureParity, EncodedImageIsTheProjectorsOutput) {
  Model model = load();
  for (const GoldenCase& c : golden().cases) {
    if (c.images.size() != 1) continue;
    const Tensor features = model.encode_image(golden_picture(c.images[0]));
    const auto view = features.view<float>();
    const Sampled& want = c.stages.at("projector.out");
    ASSERT_EQ(view.rows(), want.shape[0]);
    EXPECT_LE(relative_error({view.data(), std::size_t(view.shape().count())}, want),
              bound(name(), dtype()))
        << c.name;
  }
}

TEST_P(GreedyParity, Tokens) {
  Model model = load();
  int equal = 0, all = 0;
  for (const GoldenCase& c : golden().cases) {
    for (const double penalty : {1.0, 1.3}) {
      Request request = c.request();
      request.options.max_tokens = std::int64_t(c.greedy.size());
      request.options.ignore_eos = true;
      request.options.repetition_penalty = penalty;
      const Result result = model.generate(request);
      const auto& want = penalty == 1.0 ? c.greedy : c.penalized;
      EXPECT_EQ(result.token_ids, want) << c.name << ", repetition penalty " << penalty;
      EXPECT_EQ(result.finish_reason, "length");
      if (penalty == 1.0) {
        EXPECT_EQ(result.text, c.greedy_text) << c.name;
      }
      all++;
      equal += result.token_ids == want ? 1 : 0;
    }
  }
  parity_row(name(), model, dtype()).greedy =
      std::to_string(equal) + " of " + std::to_string(all) + " equal";
}

TEST_P(GreedyParity, StopsAtTheFirstOfSeveralEndTokens) {
  Model model = load();
  EXPECT_EQ(model.info().eos_token_ids, golden().end_tokens);
  Request request = golden().cases[0].request();
  request.options.max_tokens = 64;
  const Result result = model.generate(request);
  EXPECT_EQ(result.token_ids, golden().stopped);
  EXPECT_EQ(result.finish_reason, "stop");
}

TEST_P(ModelParity, Scores) {
  Model model = load();
  for (const GoldenCase& c : golden().cases) {
    const auto scores = model.score(c.request(), golden().answers);
    ASSERT_EQ(scores.size(), c.scores.size());
    for (std::size_t i = 0; i < scores.size(); i++) {
      const auto length = double(model.tokenize(golden().answers[i], false).size());
      // Logits are of the order of 5 to 20, so a token's log-probability moves by ten times the
      // relative error at most.
      const double tolerance = (exact() ? 1e-4 : 1e-1) * length;
      EXPECT_NEAR(scores[i], c.scores[i], tolerance) << c.name << ", answer " << i;
    }
  }
}

TEST_P(PictureParity, TurnIsTheChatTemplates) {
  if (!golden().turn) GTEST_SKIP() << "the family has no chat template";
  Model model = load();
  std::vector<ImageInput> images;
  for (const auto& file : golden().turn->images) images.push_back(golden_picture(file));
  EXPECT_EQ(model.prompt_ids(model.turn(golden().turn->words, images)), golden().turn->ids);
}

TEST_P(SoundParity, FeaturesAndTokens) {
  Model model = load();
  for (const GoldenFeatures& want : golden().sounds) {
    const AudioInput sound = golden_sound({0, want.samples});
    const auto all = model.preprocess_audio(sound);
    EXPECT_EQ(all.size(), want.arrays.size());
    for (const auto& [key, array] : want.arrays) {
      SCOPED_TRACE(std::to_string(want.samples) + " samples, " + key);
      const Tensor& got = find(all, key).values;
      const auto dims = got.shape().dims();
      ASSERT_EQ(std::vector<std::int64_t>(dims.begin(), dims.end()), array.shape);
      if (array.sampled) {
        // The reference transforms in float32: bins far under the loudest carry its rounding.
        const auto floats = got.view<float>();
        EXPECT_LE(
            relative_error({floats.data(), std::size_t(floats.shape().count())}, *array.sampled),
            2e-5);
      } else {
        const auto values = got.view<std::int64_t>();
        EXPECT_EQ(
            std::accumulate(values.data(), values.data() + values.shape().count(), std::int64_t{0}),
            array.sum);
      }
    }
    Request alone = Request::text("");
    alone.audio = {sound};
    EXPECT_EQ(model.plan(alone).audio_tokens, want.tokens) << want.samples;
    EXPECT_EQ(model.encode_audio(sound).shape()[0], want.tokens) << want.samples;
  }
}

TEST_P(SoundParity, TooLittleSoundIsOneClearError) {
  Model model = load();
  for (const std::int64_t samples : golden().too_short) {
    const AudioInput sound = golden_sound({0, samples});
    EXPECT_TRUE(throws<MediaError>([&] { model.encode_audio(sound); }, {"too few"})) << samples;
  }
  const AudioInput none = golden_sound({0, 0});
  EXPECT_TRUE(throws<MediaError>([&] { model.encode_audio(none); }, {"0 samples"}));
}

TEST_P(SoundParity, TurnIsTheReferences) {
  if (!golden().turn) GTEST_SKIP() << "the family leaves its format to the decoder's template";
  Model model = load();
  const Request request =
      model.sound_turn(golden().turn->words, golden_sounds(golden().turn->sounds));
  EXPECT_EQ(model.prompt_ids(request), golden().turn->ids);
}

TEST(FirstDivergence, NamesTheStageThatAWrongSettingChanges) {
  const GoldenFolder golden = read_golden(golden_root() / "models" / "smolvlm_2x2");
  const auto divergence = [&](const char* part, const char* key) {
    const TempFolder folder;
    for (const auto& entry : std::filesystem::directory_iterator(golden.path)) {
      std::filesystem::copy(entry.path(), folder.path() / entry.path().filename());
    }
    nlohmann::json config = Json::load(folder.path() / "config.json").raw();
    config[part][key] = 0.01;
    folder.write("config.json", config.dump());
    LoadOptions options;
    options.dtype = "float32";
    Model model = Model::load(folder.path(), options);
    return first_divergence(stage_errors(model, golden.cases[0]), 1e-4);
  };
  EXPECT_THAT(divergence("text_config", "rms_norm_eps"),
              ::testing::HasSubstr("stage: decoder.layers.0"));
  EXPECT_THAT(divergence("vision_config", "layer_norm_eps"),
              ::testing::HasSubstr("stage: vision.layers.0"));
}

TEST(RelativeError, RejectsWhatItMust) {
  const Sampled want{{2, 3}, 1, std::sqrt(91.0), {1, 2, 3, 4, 5, 6}};
  const auto error = [&](std::vector<float> got) { return relative_error(got, want); };
  EXPECT_EQ(error({1, 2, 3, 4, 5, 6}), 0);
  EXPECT_GT(error({1, 2, 3, 4, 5, 6.01f}), 1e-4);
  EXPECT_GT(error({-1, -2, -3, -4, -5, -6}), 1);
  EXPECT_GT(error({0, 0, 0, 0, 0, 0}), 0.5);
  EXPECT_FALSE(error({1, 2, 3, 4, 5}) < 1e9);
  EXPECT_FALSE(error({1, 2, 3, 4, 5, NAN}) < 1e9);
  EXPECT_FALSE(error({1, 2, 3, 4, INFINITY, 6}) < 1e9);
  // Values between the samples are seen through the norm of the whole.
  const Sampled sparse{{2, 3}, 5, std::sqrt(91.0), {1, 6}};
  EXPECT_GT(relative_error(std::vector<float>{1, 2, 3, 40, 5, 6}, sparse), 1e-4);
}

std::string test_name(const ::testing::TestParamInfo<ModelParity::ParamType>& test) {
  return std::get<0>(test.param) + "_" + std::get<1>(test.param);
}

auto combine(std::vector<std::string> folders, const std::string& dtype) {
  return ::testing::Combine(::testing::ValuesIn(folders), ::testing::Values(dtype));
}

/// Folders of make_sound_golden.py, stored in bfloat16.
const std::vector<std::string> kSounds = {"qwen2_audio_pooled", "voxtral_windows", "ultravox_mid",
                                          "ultravox_post"};

const std::vector<std::string> kPictures = {"smolvlm_2x2", "smolvlm_side25", "idefics3_3x3",
                                            "idefics3_side29"};
const std::vector<std::string> kAll = {
    "smolvlm_2x2",  "smolvlm_side25", "idefics3_3x3", "idefics3_side29", "llama_gqa",
    "llama_tied",   "llama31_old",    "llama31_new",  "llama_suppress",  "qwen2_window",
    "qwen3_heads",  "mistral_window", "gemma_mqa",    "gemma2_caps",     "gemma3_local",
    "lfm2_mixed",   "gpt2_bare",      "gpt2_depth",   "phi3_longrope",   "phi3_window",
    "smollm3_nope", "mamba2_groups",  "mamba2_tied"};
// Stored in 16 bits: the golden values are those of the rounded weights.
const std::vector<std::string> kPictures16 = {"smolvlm_2x2", "idefics3_3x3", "idefics3_side29"};
const std::vector<std::string> kAll16 = {
    "smolvlm_2x2",   "idefics3_3x3", "idefics3_side29", "llama_gqa",      "llama31_old",
    "llama31_new",   "qwen2_window", "qwen3_heads",     "mistral_window", "gemma_mqa",
    "gemma2_caps",   "gemma3_local", "lfm2_mixed",      "gpt2_bare",      "gpt2_depth",
    "phi3_longrope", "phi3_window",  "smollm3_nope",    "mamba2_groups",  "mamba2_tied"};

/// Folders of make_family_golden.py, stored in bfloat16.
const std::vector<std::string> kFamilyFolders = {
    "llava_clip",         "llava_full",        "qwen2_5_vl_windows",     "qwen2_vl_merge",
    "internvl_tiles",     "internvl_qk_norm",  "gemma3_sliding",         "gemma3_pan",
    "qwen3_vl_deepstack", "llava_next_anyres", "llava_onevision_anyres", "paligemma_prefix",
    "paligemma_2",        "mistral3_rows",     "lfm2_vl_hybrid"};

/// `folders` and kFamilyFolders.
std::vector<std::string> with_families(std::vector<std::string> folders) {
  folders.insert(folders.end(), kFamilyFolders.begin(), kFamilyFolders.end());
  return folders;
}

TEST(FamilyFolders, TokenizersAreTheReferences) {
  for (const std::string& folder : kFamilyFolders) {
    const GoldenFolder golden = read_golden(golden_root() / "models" / folder);
    const auto tokenizer = language::Tokenizer::load(golden.path);
    for (const GoldenCase& c : golden.cases) {
      EXPECT_EQ(tokenizer.decode(c.greedy, true), c.greedy_text) << folder << ", " << c.name;
      if (!c.images.empty()) continue;
      // LFM2-VL's processor adds nothing: its template begins with the beginning token.
      const bool adds = golden.family != "lfm2_vl";
      EXPECT_EQ(tokenizer.encode(c.prompt, adds), c.ids) << folder << ", " << c.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Float32, ModelParity, combine(with_families(kAll), "float32"), test_name);
INSTANTIATE_TEST_SUITE_P(Float32, GreedyParity, combine(with_families(kAll), "float32"), test_name);
INSTANTIATE_TEST_SUITE_P(Float32, PictureParity, combine(with_families(kPictures), "float32"),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Bfloat16, ModelParity, combine(with_families(kAll16), "bfloat16"),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Bfloat16, PictureParity, combine(with_families(kPictures16), "bfloat16"),
                         test_name);
INSTANTIATE_TEST_SUITE_P(SoundsFloat32, ModelParity, combine(kSounds, "float32"), test_name);
INSTANTIATE_TEST_SUITE_P(SoundsFloat32, GreedyParity, combine(kSounds, "float32"), test_name);
INSTANTIATE_TEST_SUITE_P(SoundsBfloat16, ModelParity, combine(kSounds, "bfloat16"), test_name);
INSTANTIATE_TEST_SUITE_P(Float32, SoundParity, combine(kSounds, "float32"), test_name);
INSTANTIATE_TEST_SUITE_P(Float16, ModelParity, combine({"llama_suppress"}, "float16"), test_name);

}  // namespace

}  // namespace chiasm::testing
