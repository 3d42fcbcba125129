// The SigLIP 2 encoder: positions fitted to each grid, grids that do not see one another.
#include "vision/siglip2.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/random_checkpoint.h"
#include "tests/unit/all_close.h"

namespace chiasm::vision {
namespace {

using namespace chiasm::testing;

constexpr std::int64_t kDim = 16, kInner = 20, kValues = 3 * 2 * 2, kSide = 4;

class Siglip2Test : public ::testing::Test {
 protected:
  Siglip2Test() {
    file_.add("embeddings.patch_embedding.weight", {kDim, kValues}, 0, 0.3f);
    file_.add("embeddings.patch_embedding.bias", {kDim});
    file_.add("embeddings.position_embedding.weight", {kSide * kSide, kDim});
    const std::string layer = "encoder.layers.0.";
    for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      file_.add(layer + "self_attn." + name + ".weight", {kDim, kDim}, 0, 0.3f);
      file_.add(layer + "self_attn." + name + ".bias", {kDim});
    }
    file_.add(layer + "mlp.fc1.weight", {kInner, kDim}, 0, 0.3f);
    file_.add(layer + "mlp.fc1.bias", {kInner});
    file_.add(layer + "mlp.fc2.weight", {kDim, kInner}, 0, 0.3f);
    file_.add(layer + "mlp.fc2.bias", {kDim});
    for (const std::string& norm :
         {layer + "layer_norm1", layer + "layer_norm2", std::string("post_layernorm")}) {
      file_.add(norm + ".weight", {kDim}, 1, 0.2f);
      file_.add(norm + ".bias", {kDim}, 0, 0.2f);
    }
    const Json config = Json::parse(
        R"({"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1,
            "intermediate_size": 20, "patch_size": 2, "num_patches": 16})",
        "config.json");
    encoder_.emplace(context(best_isa()), Siglip2Config::from_json(config), file_.weights(),
                     kernels::WeightFormat::f32, kernels::WeightFormat::f32);
  }

  static std::vector<float> patches(std::int64_t rows) { return random_floats(rows * kValues, 5); }

  /// What leaves the encoder; `embedded`, where given, receives what enters its first layer.
  std::vector<float> encoded(std::span<const float> patches, const std::vector<GridSize>& grids,
                             std::vector<float>* embedded = nullptr) const {
    const auto rows = std::int64_t(patches.size()) / kValues;
    const std::function<void(std::string_view, TensorView<const float>)> tap =
        [&](std::string_view stage, TensorView<const float> x) {
          if (embedded == nullptr || stage != "vision.embed") return;
          embedded->assign(x.data(), x.data() + x.shape().count());
        };
    Context ctx = context(best_isa());
    ctx.tap = &tap;
    Arena arena;
    std::vector<float> out(std::size_t(rows * kDim));
    encoder_->forward(ctx, {patches.data(), {rows, kValues}, "patches"}, grids, arena,
                      view(out, {rows, kDim}));
    return out;
  }

  RandomCheckpoint file_;
  std::optional<Siglip2Encoder> encoder_;
};

TEST_F(Siglip2Test, EmbedsPatchesWithPositionsOfTheirGrid) {
  const std::vector<GridSize> grids{{kSide, kSide}, {2, 6}, {1, 1}};
  const auto x = patches(16 + 12 + 1);
  std::vector<float> embedded;
  encoded(x, grids, &embedded);
  const Tensor table = file_.weights().floats("embeddings.position_embedding.weight", {16, kDim});
  const auto& w = file_.values("embeddings.patch_embedding.weight");
  const auto& b = file_.values("embeddings.patch_embedding.bias");
  std::int64_t row = 0;
  for (const GridSize& grid : grids) {
    Tensor positions = float_tensor({grid.height * grid.width, kDim});
    resize_features_antialiased(table.view<float>(), {kSide, kSide}, grid, positions.view<float>());
    for (std::int64_t p = 0; p < grid.height * grid.width; p++, row++) {
      for (std::int64_t o = 0; o < kDim; o++) {
        double want = double(b[std::size_t(o)]) + double(positions.view<float>().row(p)[o]);
        for (std::int64_t i = 0; i < kValues; i++) {
          want +=
              double(x[std::size_t(row * kValues + i)]) * double(w[std::size_t(o * kValues + i)]);
        }
        // 14 roundings of sums below 16.
        EXPECT_NEAR(double(embedded[std::size_t(row * kDim + o)]), want, 14 * 16 * 0x1p-24);
      }
    }
  }
}

TEST_F(Siglip2Test, TheShapeOfAGridChangesItsPositions) {
  std::vector<float> square, flat;
  encoded(patches(16), {{kSide, kSide}}, &square);
  encoded(patches(16), {{2, 8}}, &flat);
  EXPECT_FALSE(all_close(flat, square, 0, 1e-3));
}

TEST_F(Siglip2Test, GridsDoNotSeeOneAnother) {
  const std::vector<GridSize> grids{{3, 2}, {1, 7}, {5, 5}};
  const auto x = patches(6 + 7 + 25);
  std::vector<float> apart;
  std::size_t at = 0;
  for (const GridSize& grid : grids) {
    const auto values = std::size_t(grid.height * grid.width * kValues);
    const auto one = encoded(std::span(x).subspan(at, values), {grid});
    apart.insert(apart.end(), one.begin(), one.end());
    at += values;
  }
  EXPECT_TRUE(bit_equal(encoded(x, grids), apart));
}

TEST_F(Siglip2Test, RefusesGridsThatDoNotFit) {
  const auto x = patches(6);
  EXPECT_TRUE(throws<ShapeError>([&] { encoded(x, {{3, 3}}); }, {"[9, 12]"}));
  EXPECT_TRUE(throws<ShapeError>([&] { encoded(x, {{3, 2}, {0, 4}}); }, {"0 x 4"}));
}

TEST(Siglip2Config, MissingKeysAreTheReferencesDefaults) {
  const auto read = [](const char* text) {
    return Siglip2Config::from_json(Json::parse(text, "config.json"));
  };
  EXPECT_EQ(read("{}").blocks.hidden_size, 768);
  EXPECT_EQ(read("{}").position_side, 16);
  EXPECT_EQ(read("{}").patch_values(), 3 * 16 * 16);
  EXPECT_TRUE(throws<ModelError>([&] { read(R"({"num_patches": 250})"); }, {"num_patches 250"}));
  EXPECT_TRUE(throws<ModelError>([&] { read(R"({"num_attention_heads": 7})"); }, {"7"}));
  EXPECT_TRUE(throws<ModelError>([&] { read(R"({"model_type": "siglip_vision_model"})"); },
                                 {"siglip_vision_model", "siglip2_vision_model"}));
}

}  // namespace
}  // namespace chiasm::vision
