// Weights of GPTQ and AWQ: their values against the formulas, and logits against transformers on
// the dequantized weights.
#include "kernels/grouped.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <vector>

#include "core/error.h"
#include "kernels/linear_layer.h"
#include "runtime/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/all_close.h"

namespace chiasm {
namespace {

using chiasm::testing::bit_equal;
using chiasm::testing::TempFolder;
using chiasm::testing::throws;

const std::string kFolders[] = {"gptq_order", "awq_groups"};

std::filesystem::path folder_of(const std::string& name) {
  return std::filesystem::path(CHIASM_SOURCE_DIR) / "tests/golden/quantized" / name;
}

struct Golden {
  explicit Golden(const std::string& name)
      : bytes(read_file(folder_of(name) / "golden.safetensors", 1 << 20)) {
    tensors = parse_safetensors(std::as_bytes(std::span(bytes)), "golden.safetensors");
  }
  template <class T>
  std::vector<T> at(const std::string& name) const {
    const TensorEntry& entry = tensors.at(name);
    std::vector<T> values(entry.bytes.size() / sizeof(T));
    std::memcpy(values.data(), entry.bytes.data(), entry.bytes.size());
    return values;
  }
  std::string bytes;
  std::map<std::string, TensorEntry, std::less<>> tensors;
};

TEST(Grouped, HoldsTheFormulasValuesBitForBit) {
  for (const std::string& name : kFolders) {
    const Checkpoint checkpoint = Checkpoint::open(folder_of(name));
    const auto found = kernels::find_grouped(Weights(checkpoint).scope("model.layers.0.self_attn"),
                                             "q_proj", 128, 128);
    ASSERT_TRUE(found);
    const auto w = kernels::Matrix::pack_grouped(testing::context(Isa::portable), {&*found, 1});
    const auto want = Golden(name).at<float>("q_proj");
    std::vector<float> row(128);
    for (std::int64_t o = 0; o < 128; o++) {
      w.row(o, row.data());
      // s q - s z against s (q - z): all exact in float32; zero may have the other sign.
      EXPECT_TRUE(testing::all_close(row, std::span(want).subspan(std::size_t(o * 128), 128), 0, 0))
          << name << " row " << o;
    }
  }
}

// Float32 sums in another order than torch's: 1e-4 is the bound of all models, 1e-6 what comes out.
TEST(Grouped, GivesTheLogitsOfTheDequantizedModel) {
  for (const std::string& name : kFolders) {
    const Golden golden(name);
    LoadOptions options;
    options.dtype = "float32";
    options.threads = 2;
    Model model = Model::load(folder_of(name), options);
    EXPECT_EQ(model.info().quantize, name.substr(0, name.find('_')));
    Request request;
    request.token_ids = golden.at<std::int32_t>("ids");
    const Tensor logits = model.logits(request);
    const auto want = golden.at<float>("logits");
    ASSERT_EQ(std::size_t(logits.shape().count()), want.size());
    const float* const got = logits.view<float>().data();
    double off = 0, all = 0;
    for (std::size_t i = 0; i < want.size(); i++) {
      off += std::pow(double(got[i]) - double(want[i]), 2);
      all += std::pow(double(want[i]), 2);
    }
    EXPECT_LT(std::sqrt(off / all), 1e-4) << name;
  }
}

TEST(Grouped, RowsAreThoseOfOneAtATime) {
  const Checkpoint checkpoint = Checkpoint::open(folder_of("gptq_order"));
  const auto found =
      kernels::find_grouped(Weights(checkpoint).scope("model.layers.0.mlp"), "down_proj", 128, 128);
  const auto w = kernels::Matrix::pack_grouped(testing::context(Isa::portable), {&*found, 1});
  constexpr std::int64_t kRows = 37;
  const auto x = testing::random_floats(kRows * 128, 3);
  for (const Isa isa : supported_isas()) {
    std::vector<float> all(kRows * 128), one(128);
    linear(testing::context(isa), testing::view(x, {kRows, 128}), w, {},
           testing::view(all, {kRows, 128}));
    for (const std::int64_t r : {0, 20, 36}) {
      const auto part = std::span(x).subspan(std::size_t(r * 128), 128);
      linear(testing::context(isa, 1), TensorView<const float>(part.data(), {1, 128}), w, {},
             testing::view(one, {1, 128}));
      EXPECT_TRUE(bit_equal(one, std::span(all).subspan(std::size_t(r * 128), 128)));
    }
  }
}

/// The tensors of a product [16, 64] with two groups, for tests to change.
struct Tensors {
  Tensors() {
    add("p.qweight", DType::i32, {8, 16});
    add("p.qzeros", DType::i32, {2, 2});
    add("p.scales", DType::f16, {2, 16});
    add("p.g_idx", DType::i32, {64});
    std::vector<std::int32_t> groups(64);
    for (std::size_t i = 0; i < 64; i++) groups[i] = i % 2;
    std::memcpy(bytes["p.g_idx"].data(), groups.data(), 256);
  }
  void add(const std::string& name, DType dtype, const Shape& shape) {
    bytes[name].assign(std::size_t(shape.count()) * size_of(dtype), std::byte(1));
    entries.insert_or_assign(name, TensorEntry{dtype, shape, bytes[name]});
  }
  bool refused(std::initializer_list<std::string_view> words) const {
    const Checkpoint checkpoint = Checkpoint::of({}, "x", entries);
    return throws<ModelError>([&] { kernels::find_grouped(Weights(checkpoint), "p", 16, 64); },
                              words);
  }
  std::map<std::string, std::vector<std::byte>> bytes;
  std::map<std::string, TensorEntry, std::less<>> entries;
};

TEST(Grouped, RefusesTensorsThatDoNotFit) {
  Tensors t;
  const Checkpoint right = Checkpoint::of({}, "x", t.entries);
  EXPECT_EQ(kernels::find_grouped(Weights(right), "p", 16, 64)->order[1], 2);
  EXPECT_FALSE(kernels::find_grouped(Weights(right), "q", 16, 64));
  t.add("p.qweight", DType::i32, {8, 15});
  EXPECT_TRUE(t.refused({"p.qweight", "[8, 15]"}));
  t = {};
  t.add("p.qweight", DType::f32, {8, 16});
  EXPECT_TRUE(t.refused({"p.qweight", "float32", "int32"}));
  t = {};
  t.add("p.scales", DType::f16, {4, 16});
  EXPECT_TRUE(t.refused({"p.scales", "4 groups of 64"}));
  t = {};
  t.add("p.scales", DType::f16, {2, 8});
  EXPECT_TRUE(t.refused({"p.scales", "[2, 8]"}));
  t = {};
  t.add("p.qzeros", DType::i32, {1, 2});
  EXPECT_TRUE(t.refused({"p.qzeros", "[1, 2]"}));
  for (const std::int32_t wrong : {-1, 2, 1 << 30}) {
    t = {};
    std::memcpy(t.bytes["p.g_idx"].data(), &wrong, sizeof wrong);
    EXPECT_TRUE(t.refused({"p.g_idx", "32 inputs"}));
  }
  t = {};
  t.entries.erase("p.scales");
  EXPECT_TRUE(t.refused({"p.scales"}));
}

TEST(Grouped, RefusesOtherSettings) {
  const auto refused = [](const nlohmann::json& changes,
                          std::initializer_list<std::string_view> words) {
    const TempFolder to;
    nlohmann::json config = Json::load(folder_of("gptq_order") / "config.json").raw();
    config["quantization_config"].merge_patch(changes);
    to.write("config.json", config.dump());
    return throws<ModelError>([&] { Model::load(to.path()); }, words);
  };
  EXPECT_TRUE(refused({{"bits", 3}}, {"bits", "3 bits of gptq"}));
  EXPECT_TRUE(refused({{"checkpoint_format", "marlin"}}, {"checkpoint_format", "marlin"}));
  EXPECT_TRUE(refused({{"quant_method", "awq"}, {"version", "gemv"}}, {"version", "gemv"}));
  LoadOptions options;
  options.quantize = "int8";
  EXPECT_TRUE(throws<RequestError>([&] { Model::load(folder_of("gptq_order"), options); },
                                   {"quantize", "gptq"}));
}

}  // namespace
}  // namespace chiasm
