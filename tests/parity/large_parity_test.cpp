/// SmolVLM-256M's full shape against transformers. Weights come from an integer hash and are
/// written once into the folder CHIASM_LARGE_FOLDER (default: large-checkpoint below the working
/// directory). Suite names begin with "Large": ctest runs them apart, and not under sanitizers.
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/hash.h"
#include "core/json.h"
#include "core/mapped_file.h"
#include "runtime/model.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/hash_checkpoint.h"
#include "tests/parity/stage_errors.h"
#include "tests/support/temp_folder.h"

namespace chiasm::testing {

namespace {

const std::filesystem::path& checkpoint() {
  static const std::filesystem::path folder = [] {
    const char* chosen = std::getenv("CHIASM_LARGE_FOLDER");
    std::filesystem::path path = chosen != nullptr ? chosen : "large-checkpoint";
    write_hash_checkpoint(golden_root() / "large" / "folder", path);
    return std::filesystem::absolute(path);
  }();
  return folder;
}

const GoldenFolder& golden() {
  static const GoldenFolder read = read_golden(golden_root() / "large");
  return read;
}

/// The checkpoint with a processor that makes a single tile of any picture.
class SingleTile {
 public:
  SingleTile() {
    for (const auto& entry : std::filesystem::directory_iterator(checkpoint())) {
      const auto name = entry.path().filename();
      if (name == "preprocessor_config.json") {
        nlohmann::json config = Json::load(entry.path()).raw();
        config["size"]["longest_edge"] = 512;
        folder_.write(name.string(), config.dump());
      } else {
        std::filesystem::create_symlink(entry.path(), folder_.path() / name);
      }
    }
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TempFolder folder_;
};

Model load(const std::filesystem::path& path, const std::string& dtype) {
  LoadOptions options;
  options.dtype = dtype;
  return Model::load(path, options);
}

void check_stages(Model& model, const GoldenCase& c, const std::string& dtype, double bound) {
  const auto errors = stage_errors(model, c);
  EXPECT_EQ(first_divergence(errors, bound), "") << "prompt " << c.name;
  note_errors(parity_row("smolvlm_256m", model, dtype), errors);
}

TEST(LargeParity, WeightsAreThoseOfTheReferenceRun) {
  const MappedFile file(checkpoint() / "model.safetensors");
  EXPECT_EQ(content_hash(file.bytes()).hex(), golden().weights_blake2b);
}

TEST(LargeParity, Float32SingleTileAndText) {
  const SingleTile folder;
  Model model = load(folder.path(), "float32");
  int equal = 0, all = 0;
  for (const char* name : {"single", "text"}) {
    const GoldenCase& c = golden().find(name);
    EXPECT_EQ(model.prompt_ids(c.request()), c.ids) << name;
    check_stages(model, c, "float32", 1e-4);
    Request request = c.request();
    request.options.max_tokens = std::int64_t(c.greedy.size());
    request.options.ignore_eos = true;
    const Result result = model.generate(request);
    EXPECT_EQ(result.token_ids, c.greedy) << name;
    EXPECT_EQ(result.text, c.greedy_text) << name;
    all++;
    equal += result.token_ids == c.greedy ? 1 : 0;
  }
  parity_row("smolvlm_256m", model, "float32").greedy =
      std::to_string(equal) + " of " + std::to_string(all) + " equal";
}

TEST(LargeParity, Float32SeventeenTiles) {
  Model model = load(checkpoint(), "float32");
  const GoldenCase& c = golden().find("tiles");
  EXPECT_EQ(model.prompt_ids(c.request()), c.ids);
  EXPECT_EQ(model.plan(c.request()).tiles, 17);
  check_stages(model, c, "float32", 1e-4);
}

TEST(LargeParity, Bfloat16SingleTileAndText) {
  const SingleTile folder;
  Model model = load(folder.path(), "bfloat16");
  for (const char* name : {"single", "text"}) {
    check_stages(model, golden().find(name), "bfloat16", 1e-2);
  }
}

}  // namespace

}  // namespace chiasm::testing
