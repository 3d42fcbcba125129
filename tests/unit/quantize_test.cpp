// Model folders that `quantize` writes: bit for bit the model that quantize= gives, mapped.
#include "runtime/quantize.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "core/json.h"
#include "core/packed_file.h"
#include "runtime/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

namespace chiasm {
namespace {

namespace fs = std::filesystem;
using testing::TempFolder;
using testing::throws;

const std::string kMini = std::string(CHIASM_SOURCE_DIR) + "/models/chiasm-mini";
const std::string kUntied = std::string(CHIASM_SOURCE_DIR) + "/tests/golden/models/smolvlm_side25";
// A projection that the file holds the other way round.
const std::string kTurned = std::string(CHIASM_SOURCE_DIR) + "/tests/golden/models/gemma3_pan";

Model load(const fs::path& folder, const std::string& quantize = "") {
  LoadOptions options;
  options.quantize = quantize;
  options.threads = 2;
  return Model::load(folder, options);
}

std::vector<float> logits(Model& model) {
  vision::Image image;
  image.width = 70;
  image.height = 50;
  for (int i = 0; i < 70 * 50 * 3; i++) image.rgb.push_back(std::uint8_t(i * 7 % 251));
  const Tensor values = model.logits(model.turn("What is this?", {ImageInput::from_pixels(image)}));
  const auto view = values.view<float>();
  return {view.data(), view.data() + view.shape().count()};
}

class Quantize : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(Quantize, GivesTheBitsOfTheOriginal) {
  const auto& [source, to] = GetParam();
  const TempFolder folder;
  const fs::path out = folder.path() / "packed";
  double last = 0;
  QuantizeOptions options;
  options.to = to;
  options.progress = [&](double fraction) {
    EXPECT_GE(fraction, last);
    last = fraction;
  };
  quantize(source, out, options);
  EXPECT_EQ(last, 1);
  Model original = load(source, to), packed = load(out);
  EXPECT_EQ(logits(original), logits(packed));
  EXPECT_EQ(packed.info().quantize, to);
  EXPECT_EQ(packed.info().packed_layout, "panel32.1");
  EXPECT_EQ(packed.info().dtype, original.info().dtype);
  EXPECT_EQ(packed.info().weight_bytes, original.info().weight_bytes);
  EXPECT_EQ(original.info().packed_layout, "");
  EXPECT_FALSE(fs::exists(out / "model.safetensors"));
  EXPECT_TRUE(fs::exists(out / "tokenizer.json") && fs::exists(out / "README.md"));
}

INSTANTIATE_TEST_SUITE_P(All, Quantize,
                         ::testing::Combine(::testing::Values(kMini, kUntied, kTurned),
                                            ::testing::Values("int8", "int4")));

TEST(QuantizeFolder, ReplacesOnlyWhatItWrote) {
  const TempFolder folder;
  const fs::path out = folder.path() / "packed";
  const auto write = [&](bool force) {
    QuantizeOptions options;
    options.force = force;
    quantize(kMini, out, options);
  };
  write(false);
  EXPECT_TRUE(throws<RequestError>([&] { write(false); }, {"exists", "--force"}));
  std::ofstream(out / "mark") << "x";
  write(true);
  EXPECT_FALSE(fs::exists(out / "mark"));
  fs::remove(out / kPackedFile);
  EXPECT_TRUE(throws<RequestError>([&] { write(true); }, {"is no packed model"}));
  fs::remove_all(out);
  std::ofstream(out) << "a file";
  EXPECT_TRUE(throws<RequestError>([&] { write(true); }, {"is no packed model"}));
  EXPECT_TRUE(fs::is_regular_file(out));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1) << "nothing half-written";
}

TEST(QuantizeFolder, AnErrorMidwayLeavesNothing) {
  const TempFolder folder;
  QuantizeOptions options;
  options.progress = [](double fraction) {
    if (fraction > 0.6) fail<Interrupted>("enough");
  };
  EXPECT_TRUE(
      throws<Interrupted>([&] { quantize(kMini, folder.path() / "packed", options); }, {"enough"}));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(QuantizeFolder, RefusesWhatItCannotDo) {
  const TempFolder folder;
  const fs::path out = folder.path() / "packed";
  const auto refused = [&](const fs::path& model, const fs::path& to, const std::string& format,
                           std::initializer_list<std::string_view> words) {
    QuantizeOptions options;
    options.to = format;
    return throws<RequestError>([&] { quantize(model, to, options); }, words);
  };
  EXPECT_TRUE(refused(kMini, out, "int3", {"int3", "int8 or int4"}));
  EXPECT_TRUE(refused("x.gguf", out, "int8", {"GGUF"}));
  EXPECT_TRUE(refused(kMini, "/no/such/place", "int8", {"/no/such", "does not exist"}));
  quantize(kMini, out);
  EXPECT_TRUE(refused(out, folder.path() / "twice", "int8", {"quantized already"}));
  EXPECT_TRUE(throws<RequestError>([&] { load(out, "int4"); }, {"int4", "packed as int8"}));
  load(out, "int8");
}

TEST(QuantizeFolder, ADamagedFileIsAModelError) {
  const TempFolder folder;
  const fs::path out = folder.path() / "packed", file = out / kPackedFile;
  quantize(kMini, out);
  const std::string good = read_file(file, std::size_t(1) << 30);
  const auto with = [&](const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
    return [&] { load(out); };
  };
  const auto swapped = [&](std::string_view from, const std::string& to) {
    std::string bytes = good;
    bytes.replace(bytes.find(from), from.size(), to);
    return bytes;
  };
  EXPECT_TRUE(throws<ModelError>(with(good.substr(0, good.size() - 9)), {"chiasm.safetensors"}));
  EXPECT_TRUE(throws<ModelError>(with("not a model"), {"chiasm.safetensors"}));
  EXPECT_TRUE(throws<ModelError>(with(swapped("panel32.1", "panel16.9")),
                                 {"panel16.9", "panel32.1", "original"}));
  EXPECT_TRUE(throws<ModelError>(with(swapped("chiasm.layout", "chiasm.lavout")), {"layout"}));
  EXPECT_TRUE(
      throws<ModelError>(with(swapped(R"(\"format\":\"q8\")", R"(\"format\":\"q4\")")), {"q4"}));
  EXPECT_TRUE(throws<ModelError>(with(swapped("[2048,256]", "[2049,256]")), {"2049", "2048"}));
}

}  // namespace
}  // namespace chiasm
