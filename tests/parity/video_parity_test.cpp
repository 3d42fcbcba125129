/// Prompts with videos against transformers, given the same decoded frames: which of them are
/// taken, what the processor makes of them, every stage of the model, and the answer.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "runtime/loader.h"
#include "runtime/prompt.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/stage_errors.h"

namespace chiasm::testing {

namespace {

// float32 against float32 in another order of adding; 2e-6 is the most that was seen.
constexpr double kBound = 1e-5;

class VideoParity : public ::testing::TestWithParam<std::string> {
 protected:
  VideoParity() : golden_(read_video_golden(GetParam())) {}

  LoadOptions options() const {
    LoadOptions options;
    options.dtype = "float32";
    options.threads = 2;
    return options;
  }
  Model load() const { return Model::load(golden_.path, options()); }

  const GoldenFolder golden_;
};

TEST_P(VideoParity, TakesAndPlacesTheFramesThatTheReferenceTakes) {
  const LoadedModel loaded = load_model(golden_.path, options());
  for (const GoldenCase& c : golden_.cases) {
    SCOPED_TRACE(c.name);
    const Prompt prompt =
        make_prompt(*loaded.family, *loaded.tokenizer, c.request(), loaded.engine_options.limits);
    EXPECT_EQ(prompt.ids, c.ids);
    ASSERT_EQ(prompt.media.size(), 1 + c.images.size());
    for (const PlacedMedium& medium : prompt.media) {
      if (medium.video) {
        EXPECT_EQ(medium.video->taken.indices, c.frames);
      }
    }
    std::vector<std::vector<std::int32_t>> positions;
    const auto rows = std::int64_t(prompt.ids.size());
    const auto begin = prompt.arrangement.positions.begin();
    for (std::int64_t axis = 0; axis < std::int64_t(c.positions.size()); axis++) {
      positions.emplace_back(begin + axis * rows, begin + (axis + 1) * rows);
    }
    EXPECT_EQ(positions, c.positions);
  }
}

/// Adds an array's values to those of the same name.
template <class T>
void add(const Tensor& array, std::vector<T>& to) {
  const auto view = array.view<T>();
  to.insert(to.end(), view.data(), view.data() + view.shape().count());
}

TEST_P(VideoParity, Preprocessing) {
  const Model model = load();
  for (const GoldenCase& c : golden_.cases) {
    std::map<std::string, std::vector<float>> floats;
    std::map<std::string, std::vector<std::int64_t>> integers;
    std::vector<std::vector<NamedTensor>> outputs;
    for (const std::string& file : c.images) {
      outputs.push_back(model.preprocess_image(golden_picture(file)));
    }
    const bool video_first = c.prompt.find("<video>") < c.prompt.find("<IMG_CONTEXT>");
    auto video = model.preprocess_video(c.videos[0]);
    outputs.insert(video_first ? outputs.begin() : outputs.end(), std::move(video));
    for (const auto& output : outputs) {
      for (const NamedTensor& array : output) {
        if (array.values.dtype() == DType::f32) {
          add(array.values, floats[array.name]);
        } else {
          add(array.values, integers[array.name]);
        }
      }
    }
    EXPECT_EQ(floats.size() + integers.size(), c.arrays.size());
    for (const auto& [name, want] : c.arrays) {
      SCOPED_TRACE(c.name + ", " + name);
      if (want.sampled) {
        EXPECT_TRUE(holds(floats[name], want, golden_));
      } else {
        EXPECT_TRUE(holds(integers[name], want));
      }
    }
  }
}

TEST_P(VideoParity, Stages) {
  Model model = load();
  for (const GoldenCase& c : golden_.cases) {
    const auto errors = stage_errors(model, c);
    EXPECT_EQ(first_divergence(errors, kBound), "") << "prompt " << c.name;
    note_errors(parity_row(GetParam() + " (video)", model, "float32"), errors);
  }
}

TEST_P(VideoParity, Tokens) {
  Model model = load();
  int equal = 0;
  for (const GoldenCase& c : golden_.cases) {
    Request request = c.request();
    request.options.max_tokens = std::int64_t(c.greedy.size());
    request.options.ignore_eos = true;
    const Result result = model.generate(request);
    EXPECT_EQ(result.token_ids, c.greedy) << c.name;
    EXPECT_EQ(result.text, c.greedy_text) << c.name;
    EXPECT_EQ(result.usage.prompt_tokens, std::int64_t(c.ids.size()));
    EXPECT_GT(result.usage.video_tokens, 0);
    EXPECT_EQ(result.usage.image_tokens > 0, !c.images.empty());
    equal += result.token_ids == c.greedy ? 1 : 0;
  }
  parity_row(GetParam() + " (video)", model, "float32").greedy =
      std::to_string(equal) + " of " + std::to_string(golden_.cases.size()) + " equal";
}

/// clip.mp4 is lossless and shows the very frames that the golden prompts take.
TEST(VideoFileParity, ADecodedFileGivesTheGoldenAnswer) {
  if (vision::video_decoder().starts_with("none")) GTEST_SKIP() << vision::video_decoder();
  for (const char* folder : {"qwen2_5_vl_windows", "smolvlm_2x2"}) {
    const GoldenFolder golden = read_video_golden(folder);
    const GoldenCase& c = golden.cases[0];
    LoadOptions options;
    options.dtype = "float32";
    Model model = Model::load(golden.path, options);
    Request request = c.request();
    VideoInput clip = VideoInput::from_file((golden_root() / "video/clip.mp4").string());
    clip.choice = request.videos[0].choice;
    request.videos = {clip};
    request.options.max_tokens = std::int64_t(c.greedy.size());
    request.options.ignore_eos = true;
    EXPECT_EQ(model.prompt_ids(request), c.ids) << folder;
    EXPECT_EQ(model.generate(request).token_ids, c.greedy) << folder;
    // The prompt's keys and values are found again by the file's content.
    request.videos = {VideoInput::from_bytes(read_file(clip.path, 1 << 20))};
    request.videos[0].choice = clip.choice;
    const Result again = model.generate(request);
    EXPECT_EQ(again.token_ids, c.greedy) << folder;
    EXPECT_EQ(again.usage.cached_tokens, again.usage.prompt_tokens - 1) << folder;
    request.videos[0].choice = {.frames = 2};
    EXPECT_LT(model.generate(request).usage.cached_tokens, again.usage.cached_tokens) << folder;
  }
}

TEST(VideoFileParity, APlanTellsFramesTokensAndMemory) {
  const GoldenFolder golden = read_video_golden("qwen2_5_vl_windows");
  const Model model = Model::load(golden.path, {});
  const Plan plan = model.plan(golden.cases[1].request());
  EXPECT_EQ(plan.tokens, std::int64_t(golden.cases[1].ids.size()));
  EXPECT_EQ(plan.frames, 6);
  EXPECT_EQ(plan.video_tokens, 36);
  EXPECT_EQ(plan.image_tokens, 6);
  EXPECT_EQ(plan.tiles, 1 + 3);  // a picture, and steps of two frames
  Request none = golden.cases[1].request();
  none.videos.clear();
  none.prompt[0].text.erase(none.prompt[0].text.find("<|video_pad|>"), 13);
  EXPECT_GT(plan.activation_bytes, model.plan(none).activation_bytes);
}

INSTANTIATE_TEST_SUITE_P(Families, VideoParity,
                         ::testing::Values("qwen2_vl_merge", "qwen2_5_vl_windows",
                                           "qwen3_vl_deepstack", "smolvlm_2x2",
                                           "llava_onevision_anyres", "internvl_tiles"),
                         [](const auto& test) { return test.param; });

}  // namespace

}  // namespace chiasm::testing
