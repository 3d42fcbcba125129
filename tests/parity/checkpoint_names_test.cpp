/// A checkpoint's names changed with transformers 5: both give the same model. Keys of its
/// config.json did, too.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
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

/// As folders of LFM2-VL were published.
std::string as_published(std::string name) {
  const std::string tower = "model.vision_tower.";
  return name.starts_with(tower) ? tower + "vision_model." + name.substr(tower.size()) : name;
}

/// The file with its tensors renamed; their bytes stay where they are.
std::string renamed(const std::string& file, std::string (*rename)(std::string)) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  const auto header = nlohmann::json::parse(file.substr(sizeof length, length));
  nlohmann::json out;
  for (const auto& [name, entry] : header.items()) {
    out[name == "__metadata__" ? name : rename(name)] = entry;
  }
  std::string text = out.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = text.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes + text + file.substr(sizeof length + length);
}

/// Expects the golden values of a golden folder whose tensors and config are changed.
void expect_the_same(const std::string& name, std::string (*rename)(std::string),
                     const std::function<void(nlohmann::json&)>& change = {}) {
  const GoldenFolder golden = read_golden(golden_root() / "models" / name);
  const TempFolder folder;
  for (const auto& entry : std::filesystem::directory_iterator(golden.path)) {
    std::filesystem::copy(entry.path(), folder.path() / entry.path().filename());
  }
  const std::string weights = read_file(golden.path / "model.safetensors", 64 << 20);
  folder.write("model.safetensors", renamed(weights, rename));
  nlohmann::json config = Json::load(golden.path / "config.json").raw();
  if (change) change(config);
  folder.write("config.json", config.dump());
  LoadOptions options;
  options.dtype = "float32";
  Model model = Model::load(folder.path(), options);
  EXPECT_EQ(first_divergence(stage_errors(model, golden.cases[0]), 1e-4), "");
}

class CheckpointNames : public ::testing::TestWithParam<std::string> {};

TEST_P(CheckpointNames, OfTransformers5AreFoundToo) {
  expect_the_same(GetParam(), as_transformers_5);
}

TEST(PublishedNames, OfLfm2VlAreFoundToo) {
  expect_the_same("lfm2_vl_hybrid", as_published, [](nlohmann::json& config) {
    config["image_token_index"] = config["image_token_id"];
    for (const char* key : {"image_token_id", "tie_word_embeddings", "projector_use_layernorm"}) {
      config.erase(key);
    }
    nlohmann::json& text = config["text_config"];
    text["full_attn_idxs"] = {1, 3};
    text["block_ff_dim"] = text["intermediate_size"];
    text["rope_theta"] = text["rope_parameters"]["rope_theta"];
    text["tie_embedding"] = true;
    for (const char* key :
         {"layer_types", "intermediate_size", "rope_parameters", "tie_word_embeddings"}) {
      text.erase(key);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Families, CheckpointNames,
                         ::testing::Values("llava_clip", "internvl_tiles", "internvl_qk_norm",
                                           "llava_next_anyres", "llava_onevision_anyres"),
                         [](const auto& test) { return test.param; });

}  // namespace

}  // namespace chiasm::testing
