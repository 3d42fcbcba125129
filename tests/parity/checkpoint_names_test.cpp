/// A checkpoint's names changed with transformers 5: both give the same model.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "core/json.h"
#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/stage_errors.h"
#include "tests/support/temp_folder.h"

namespace chiasm::testing {

namespace {

/// "language_model.model.x" -> "model.language_model.x" and so on, as transformers 5 keeps them.
std::string as_transformers_5(std::string name) {
  const auto begins = [&](const std::string& text) { return name.starts_with(text); };
  const std::string text = "language_model.", tower = "vision_tower.vision_model.";
  if (begins(text + "lm_head.")) return name.substr(text.size());
  if (begins(text + "model.")) return "model." + text + name.substr(text.size() + 6);
  if (begins(tower)) return "model.vision_tower." + name.substr(tower.size());
  return "model." + name;
}

/// The file with its tensors renamed; their bytes stay where they are.
std::string renamed(const std::string& file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  const auto header = nlohmann::json::parse(file.substr(sizeof length, length));
  nlohmann::json out;
  for (const auto& [name, entry] : header.items()) {
    out[name == "__metadata__" ? name : as_transformers_5(name)] = entry;
  }
  std::string text = out.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = text.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes + text + file.substr(sizeof length + length);
}

class CheckpointNames : public ::testing::TestWithParam<std::string> {};

TEST_P(CheckpointNames, OfTransformers5AreFoundToo) {
  const GoldenFolder golden = read_golden(golden_root() / "models" / GetParam());
  const TempFolder folder;
  for (const auto& entry : std::filesystem::directory_iterator(golden.path)) {
    std::filesystem::copy(entry.path(), folder.path() / entry.path().filename());
  }
  const std::string weights = read_file(golden.path / "model.safetensors", 64 << 20);
  folder.write("model.safetensors", renamed(weights));
  LoadOptions options;
  options.dtype = "float32";
  Model model = Model::load(folder.path(), options);
  EXPECT_EQ(first_divergence(stage_errors(model, golden.cases[0]), 1e-4), "");
}

INSTANTIATE_TEST_SUITE_P(Families, CheckpointNames,
                         ::testing::Values("llava_clip", "internvl_tiles", "internvl_qk_norm",
                                           "llava_next_anyres", "llava_onevision_anyres"),
                         [](const auto& test) { return test.param; });

}  // namespace

}  // namespace chiasm::testing
