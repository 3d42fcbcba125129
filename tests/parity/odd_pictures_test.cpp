/// Pictures that no one photographs, and the same picture in two roles, in every family.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "runtime/loader.h"
#include "runtime/model.h"
#include "tests/parity/golden_file.h"

namespace chiasm::testing {

namespace {

/// Golden folders with pictures whose family is there; of two folders of a family, the first.
std::vector<std::string> folders() {
  const auto there = supported_families();
  std::vector<std::string> out, seen;
  std::vector<std::filesystem::path> all;
  for (const auto& entry : std::filesystem::directory_iterator(golden_root() / "models")) {
    if (std::filesystem::exists(entry.path() / "preprocessor_config.json")) {
      all.push_back(entry.path());
    }
  }
  std::sort(all.begin(), all.end());
  for (const auto& folder : all) {
    const Json config = Json::load(folder / "config.json");
    if (config.has("audio_config")) continue;  // it hears and sees nothing
    const std::string family = config["model_type"].str();
    if (std::find(there.begin(), there.end(), family) == there.end()) continue;
    if (std::find(seen.begin(), seen.end(), family) != seen.end()) continue;
    seen.push_back(family);
    out.push_back(folder.filename().string());
  }
  return out;
}

ImageInput picture(std::int64_t width, std::int64_t height) {
  vision::Image image{width, height, {}};
  for (std::int64_t i = 0; i < width * height * 3; i++) {
    image.rgb.push_back(std::uint8_t(i * 37 % 251));
  }
  return ImageInput::from_pixels(std::move(image), "odd.png");
}

class OddPictures : public ::testing::TestWithParam<std::string> {
 protected:
  OddPictures() : golden_(read_golden(golden_root() / "models" / GetParam())) {
    LoadOptions options;
    options.dtype = "float32";
    options.threads = 2;
    model_.emplace(Model::load(golden_.path, options));
  }

  Result answer(const ImageInput& image) {
    Request request = Request::text(golden_.picture_prompt + " Hm?", {image});
    request.options.max_tokens = 2;
    request.options.ignore_eos = true;
    return model_->generate(request);
  }

  const GoldenFolder golden_;
  std::optional<Model> model_;
};

TEST_P(OddPictures, GiveAnAnswerOrOneClearError) {
  for (const auto& [width, height] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {1, 1}, {2, 3}, {4000, 1}, {1, 4000}, {199, 1}, {3, 500}}) {
    SCOPED_TRACE(std::to_string(width) + " x " + std::to_string(height));
    try {
      EXPECT_EQ(answer(picture(width, height)).token_ids.size(), 2u);
    } catch (const MediaError& e) {
      EXPECT_NE(std::string(e.what()).find("odd.png"), std::string::npos) << e.what();
    }
  }
  EXPECT_EQ(answer(picture(40, 30)).token_ids.size(), 2u);  // the model goes on
}

TEST_P(OddPictures, PlansTellTheEncodersWork) {
  const Request request = Request::text(golden_.picture_prompt + " Hm?", {picture(90, 60)});
  EXPECT_GT(model_->plan(request).encode_macs, 100'000);  // the smallest tower is 16 wide
  EXPECT_EQ(model_->plan(Request::text("Hm?")).encode_macs, 0);
}

TEST_P(OddPictures, APictureAloneIsNotTakenForTheSameBesideAnother) {
  const std::string one = golden_.picture_prompt;
  const auto request = [&](std::size_t pictures) {
    std::string prompt;
    std::vector<ImageInput> images;
    for (std::size_t i = 0; i < pictures; i++) {
      prompt += one + "\n";
      images.push_back(picture(90, 60));
    }
    Request made = Request::text(prompt + "Which?", images);
    made.options.max_tokens = 1;
    made.options.ignore_eos = true;
    made.options.logprobs = 1;  // bit-equal, whatever part of the prompt is known already
    return made;
  };
  const double fresh = model_->generate(request(2)).logprobs.at(0).logprob;
  LoadOptions options;
  options.dtype = "float32";
  Model other = Model::load(golden_.path, options);
  other.generate(request(1));  // leaves its pages to the prefix cache
  EXPECT_EQ(other.generate(request(2)).logprobs.at(0).logprob, fresh);
}

INSTANTIATE_TEST_SUITE_P(Families, OddPictures, ::testing::ValuesIn(folders()),
                         [](const auto& test) { return test.param; });

}  // namespace

}  // namespace chiasm::testing
