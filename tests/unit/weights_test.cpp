#include "core/weights.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/safetensors_bytes.h"
#include "tests/support/temp_folder.h"

namespace chiasm {
namespace {

using testing::float_bytes;
using testing::safetensors_bytes;
using testing::TempFolder;
using testing::throws;

class WeightsTest : public ::testing::Test {
 protected:
  WeightsTest() {
    folder_.write(
        "model.safetensors",
        safetensors_bytes(
            R"({"top":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
            R"("layers.3.norm.weight":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},)"
            R"("layers.3.ids":{"dtype":"I32","shape":[1],"data_offsets":[12,16]}})",
            float_bytes({1.5f, -2.0f}) + std::string("\x80\x3f\x00\xc0", 4) + "1234"));
    checkpoint_ = Checkpoint::open(folder_.path());
  }

  TempFolder folder_;
  Checkpoint checkpoint_;
};

const auto kNothingIgnored = [](std::string_view) { return false; };

TEST_F(WeightsTest, FindsByScopeAndName) {
  const Weights weights(checkpoint_);
  const Weights norm = weights.scope("layers", 3).scope("norm");
  EXPECT_EQ(norm.full("weight"), "layers.3.norm.weight");
  EXPECT_TRUE(norm.has("weight"));
  EXPECT_FALSE(norm.has("bias"));
  EXPECT_EQ(norm.entry("weight", {2}).dtype, DType::bf16);
  EXPECT_EQ(weights.entry("top", {2}).shape, Shape{2});
}

TEST_F(WeightsTest, ConvertsToFloats) {
  const Weights weights(checkpoint_);
  Tensor top = weights.floats("top", {2});
  EXPECT_EQ(top.view<float>().data()[0], 1.5f);
  EXPECT_EQ(top.view<float>().data()[1], -2.0f);
  Tensor norm = weights.floats("layers.3.norm.weight", {2});
  EXPECT_EQ(norm.view<float>().data()[0], 1.0f);
  EXPECT_EQ(norm.view<float>().data()[1], -2.0f);
}

TEST_F(WeightsTest, NamesMissingTensorsAndBothShapes) {
  const Weights weights(checkpoint_);
  EXPECT_TRUE(throws<ModelError>([&] { weights.scope("layers", 4).entry("x", {2}); },
                                 {"model.safetensors has no tensor layers.4.x"}));
  EXPECT_TRUE(throws<ModelError>(
      [&] {
        weights.entry("top", {3, 1});
      },
      {"model.safetensors", "top", "[2]", "[3, 1]"}));
  EXPECT_TRUE(throws<ModelError>([&] { weights.floats("layers.3.ids", {1}); },
                                 {"layers.3.ids", "int32", "float32"}));
}

TEST_F(WeightsTest, FinishNamesWhatNobodyRead) {
  const Weights weights(checkpoint_);
  weights.scope("layers", 3).scope("norm").entry("weight", {2});  // a scope shares the memory
  EXPECT_TRUE(throws<ModelError>([&] { weights.finish(kNothingIgnored); },
                                 {"model.safetensors", "2 tensors", "layers.3.ids, top"}));
  weights.floats("top", {2});
  weights.finish([](std::string_view name) { return name.ends_with(".ids"); });
  weights.entry("layers.3.ids", {1});
  weights.finish(kNothingIgnored);
}

TEST_F(WeightsTest, AFailedLookUpDoesNotCountAsRead) {
  const Weights weights(checkpoint_);
  EXPECT_ANY_THROW(weights.entry("top", {3}));
  EXPECT_TRUE(throws<ModelError>([&] { weights.finish(kNothingIgnored); }, {"top"}));
}

TEST(Weights, FinishShortensLongLists) {
  const TempFolder folder;
  std::string header;
  for (int i = 0; i < 20; i++) {
    header += (i > 0 ? ",\"t" : "{\"t") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  folder.write("model.safetensors", safetensors_bytes(header + "}", ""));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_TRUE(throws<ModelError>([&] { Weights(checkpoint).finish(kNothingIgnored); },
                                 {"20 tensors", ", ..."}));
}

TEST(ToFloats, ReadsEveryFloatTypeAtOddAddresses) {
  const std::string doubles = "x" + testing::little_endian(std::bit_cast<std::uint64_t>(-0.75), 8);
  float out = 0;
  to_floats(reinterpret_cast<const std::byte*>(doubles.data()) + 1, DType::f64, 1, &out);
  EXPECT_EQ(out, -0.75f);
  const std::string singles = "x" + float_bytes({3.25f});
  to_floats(reinterpret_cast<const std::byte*>(singles.data()) + 1, DType::f32, 1, &out);
  EXPECT_EQ(out, 3.25f);
  const std::string halves("x\x00\x3e", 3);  // 0x3e00 is 1.5
  to_floats(reinterpret_cast<const std::byte*>(halves.data()) + 1, DType::f16, 1, &out);
  EXPECT_EQ(out, 1.5f);
  const std::string brains("x\xc0\x3f", 3);  // 0x3fc0 is 1.5
  to_floats(reinterpret_cast<const std::byte*>(brains.data()) + 1, DType::bf16, 1, &out);
  EXPECT_EQ(out, 1.5f);
  to_floats(nullptr, DType::f32, 0, nullptr);
}

}  // namespace
}  // namespace chiasm
