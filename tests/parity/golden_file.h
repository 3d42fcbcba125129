#pragma once
/// Reader of what tests/reference/make_golden.py wrote, and the one measure of error.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/request.h"

namespace chiasm::testing {

/// Every `stride`-th value of a tensor, and the Euclidean norm of the whole.
struct Sampled {
  std::vector<std::int64_t> shape;
  std::int64_t stride = 1;
  double norm = 0;
  std::vector<float> values;
};

/// Relative L2 error of a whole tensor against its golden samples: the larger of the samples' error
/// and the difference of the norms. Infinite for another number of values, NaN or infinite values.
double relative_error(std::span<const float> got, const Sampled& want);

/// So many samples of the spoken sentence in tests/golden/audio over and over, from `offset` on.
struct GoldenSound {
  std::int64_t offset = 0, samples = 0;
};

/// One array of a processor, by what is kept of it.
struct GoldenArray {
  std::vector<std::int64_t> shape;
  // Floats: samples, and the sum of the 8-bit levels behind all values. Value i is of channel
  // (i / channel_stride) % 3.
  std::optional<Sampled> sampled;
  std::int64_t level_sum = 0, channel_stride = 0;
  // Integers: all values or, where they are many, their sum and that of value times index.
  std::vector<std::int64_t> values;
  std::int64_t sum = 0, weighted_sum = 0;
};

struct GoldenCase {
  std::string name, prompt;
  std::vector<std::string> images;  // file names in tests/golden/models/pictures
  std::vector<GoldenSound> sounds;
  std::vector<std::int32_t> ids;
  std::map<std::string, Sampled> stages;  // by the name of the tap
  std::vector<std::int32_t> greedy, penalized;
  std::string greedy_text;
  std::vector<double> scores;  // of GoldenFolder::answers
  // Of tests/golden/video.
  std::vector<VideoInput> videos;
  std::vector<std::int64_t> frames;                  // that are taken
  std::map<std::string, GoldenArray> arrays;         // of the processor, of all media of the prompt
  std::vector<std::vector<std::int32_t>> positions;  // by axis; empty where it has none

  Request request() const;
};

struct GoldenPicture {
  std::string file;
  std::int64_t prompt_tokens = 0;  // of a prompt of this picture alone
  std::map<std::string, GoldenArray> arrays;
};

/// What the family's extractor makes of a sound.
struct GoldenFeatures {
  std::int64_t samples = 0, tokens = 0;
  std::map<std::string, GoldenArray> arrays;  // integers by their sum alone
};

struct GoldenTurn {
  std::string words;
  std::vector<std::string> images;
  std::vector<GoldenSound> sounds;
  std::vector<std::int32_t> ids;
};

struct GoldenFolder {
  std::filesystem::path path;
  std::string family, dtype;
  std::string picture_prompt;  // the text that stands for a picture
  std::array<double, 3> image_mean{}, image_std{};
  std::vector<GoldenPicture> pictures;
  std::vector<GoldenFeatures> sounds;
  std::vector<std::int64_t> too_short;  // samples of sounds that make no token
  std::vector<GoldenCase> cases;
  std::vector<std::string> answers;
  std::vector<std::int32_t> end_tokens, stopped;  // of the first case; empty where not recorded
  std::optional<GoldenTurn> turn;
  std::string weights_blake2b;  // of large shapes

  const GoldenCase& find(const std::string& name) const;
};

/// Reads golden.json and golden.safetensors of a folder.
GoldenFolder read_golden(const std::filesystem::path& folder);

/// Reads what tests/golden/video has of a folder: cases with a video.
GoldenFolder read_video_golden(const std::string& folder);

/// Whether `got` is what was kept of an array: floats within 1e-6 (normalising may round otherwise
/// in the last place) with the same 8-bit levels behind them; integers as they are.
::testing::AssertionResult holds(std::span<const float> got, const GoldenArray& want,
                                 const GoldenFolder& folder);
::testing::AssertionResult holds(std::span<const std::int64_t> got, const GoldenArray& want);

std::filesystem::path golden_root();  // tests/golden
ImageInput golden_picture(const std::string& file);
AudioInput golden_sound(const GoldenSound& sound);
std::vector<AudioInput> golden_sounds(const std::vector<GoldenSound>& sounds);

}  // namespace chiasm::testing
