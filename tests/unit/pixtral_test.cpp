// The Pixtral encoder against its formula in double, and in company.
#include "vision/pixtral.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/encoder_tiles.h"
#include "tests/support/expect_error.h"
#include "tests/support/random_checkpoint.h"
#include "tests/unit/all_close.h"

namespace chiasm::vision {
namespace {

using namespace chiasm::testing;

constexpr std::int64_t kDim = 16, kHeads = 2, kInner = 12, kPatch = 2, kValues = 3 * 4;
constexpr std::int64_t kHead = kDim / kHeads;
constexpr double kTheta = 100, kEps = 1e-5;

using Rows = std::vector<std::vector<double>>;

PixtralConfig config() {
  PixtralConfig c = PixtralConfig::from_json(
      Json::parse(R"({"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1,
                      "intermediate_size": 12, "image_size": 8, "patch_size": 2,
                      "hidden_act": "silu", "rope_parameters": {"rope_theta": 100}})",
                  "config.json"));
  return c;
}

/// One layer in double, from transformers' description of it.
class PixtralTest : public ::testing::Test {
 protected:
  PixtralTest() {
    file_.add("patch_conv.weight", {kDim, 3, kPatch, kPatch}, 0, 0.3f);
    file_.add("ln_pre.weight", {kDim}, 1, 0.2f);
    const std::string layer = "transformer.layers.0.";
    file_.add(layer + "attention_norm.weight", {kDim}, 1, 0.2f);
    file_.add(layer + "ffn_norm.weight", {kDim}, 1, 0.2f);
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
      file_.add(layer + "attention." + name + ".weight", {kDim, kDim}, 0, 0.3f);
    }
    file_.add(layer + "feed_forward.gate_proj.weight", {kInner, kDim}, 0, 0.3f);
    file_.add(layer + "feed_forward.up_proj.weight", {kInner, kDim}, 0, 0.3f);
    file_.add(layer + "feed_forward.down_proj.weight", {kDim, kInner}, 0, 0.3f);
    encoder_.emplace(context(best_isa()), config(), file_.weights(), kernels::WeightFormat::f32,
                     kernels::WeightFormat::f32);
  }

  std::vector<float> encoded(const std::vector<PreparedPicture>& pictures) const {
    std::vector<VitTile> tiles;
    std::int64_t rows = 0;
    for (const PreparedPicture& p : pictures) {
      tiles.push_back({&p, 0});
      rows += p.tile(0).height / kPatch * (p.tile(0).width / kPatch);
    }
    Arena arena;
    std::vector<float> out(std::size_t(rows * kDim));
    encoder_->forward(context(best_isa()), tiles, arena, view(out, {rows, kDim}));
    return out;
  }

  /// x W^T.
  Rows times(const Rows& x, const std::string& name, std::int64_t out) const {
    const std::vector<float>& w = file_.values(name);
    Rows y;
    for (const auto& row : x) {
      y.emplace_back();
      for (std::int64_t o = 0; o < out; o++) {
        double sum = 0;
        for (std::size_t i = 0; i < row.size(); i++) {
          sum += row[i] * double(w[std::size_t(o) * row.size() + i]);
        }
        y.back().push_back(sum);
      }
    }
    return y;
  }

  Rows normed(const Rows& x, const std::string& name) const {
    Rows y = x;
    for (auto& row : y) {
      double squares = 0;
      for (const double v : row) squares += v * v / double(kDim);
      for (std::size_t i = 0; i < row.size(); i++) {
        row[i] *= double(file_.values(name)[i]) / std::sqrt(squares + kEps);
      }
    }
    return y;
  }

  /// Pairs (i, i + half of a head) turn: even i by the patch's row, odd ones by its column.
  static void turn(Rows& x, std::int64_t cols) {
    for (std::size_t r = 0; r < x.size(); r++) {
      const double down = double(std::int64_t(r) / cols), across = double(std::int64_t(r) % cols);
      for (std::int64_t h = 0; h < kHeads; h++) {
        // The frequencies of rows come first, then those of columns.
        for (std::int64_t i = 0; i < kHead / 2; i++) {
          const bool by_row = i < kHead / 4;
          const std::int64_t nth = 2 * (i % (kHead / 4)) + (by_row ? 0 : 1);
          const double angle =
              (by_row ? down : across) / std::pow(kTheta, 2 * double(nth) / double(kHead));
          double& a = x[r][std::size_t(h * kHead + i)];
          double& b = x[r][std::size_t(h * kHead + i + kHead / 2)];
          const double turned = a * std::cos(angle) - b * std::sin(angle);
          b = b * std::cos(angle) + a * std::sin(angle);
          a = turned;
        }
      }
    }
  }

  Rows attended(const Rows& x, std::int64_t cols) const {
    const std::string scope = "transformer.layers.0.attention.";
    Rows q = times(x, scope + "q_proj.weight", kDim), k = times(x, scope + "k_proj.weight", kDim);
    const Rows v = times(x, scope + "v_proj.weight", kDim);
    turn(q, cols);
    turn(k, cols);
    Rows mixed(x.size(), std::vector<double>(kDim, 0));
    for (std::size_t r = 0; r < x.size(); r++) {
      for (std::size_t head = 0; head < kHeads; head++) {
        std::vector<double> weights;
        double total = 0;
        for (std::size_t key = 0; key < x.size(); key++) {
          double score = 0;
          for (std::size_t i = head * kHead; i < (head + 1) * kHead; i++)
            score += q[r][i] * k[key][i];
          weights.push_back(std::exp(score / std::sqrt(double(kHead))));
          total += weights.back();
        }
        for (std::size_t key = 0; key < x.size(); key++) {
          for (std::size_t i = head * kHead; i < (head + 1) * kHead; i++) {
            mixed[r][i] += weights[key] / total * v[key][i];
          }
        }
      }
    }
    return times(mixed, scope + "o_proj.weight", kDim);
  }

  Rows fed_forward(const Rows& x) const {
    const std::string scope = "transformer.layers.0.feed_forward.";
    Rows gate = times(x, scope + "gate_proj.weight", kInner);
    const Rows up = times(x, scope + "up_proj.weight", kInner);
    for (std::size_t r = 0; r < x.size(); r++) {
      for (std::size_t i = 0; i < kInner; i++) gate[r][i] *= up[r][i] / (1 + std::exp(-gate[r][i]));
    }
    return times(gate, scope + "down_proj.weight", kDim);
  }

  std::vector<float> in_double(const PreparedPicture& picture) const {
    const Tile& tile = picture.tile(0);
    const std::int64_t cols = tile.width / kPatch;
    Rows x;
    for (std::int64_t p = 0; p < tile.height / kPatch * cols; p++) {
      x.emplace_back();
      for (std::int64_t i = 0; i < kValues; i++) {  // channel, row, column
        const std::int64_t channel = i / (kPatch * kPatch), u = i / kPatch % kPatch, v = i % kPatch;
        const std::int64_t at = (p / cols * kPatch + u) * tile.width + p % cols * kPatch + v;
        x.back().push_back(double(picture.levels[0][tile.rgb[std::size_t(at * 3 + channel)]]));
      }
    }
    x = normed(times(x, "patch_conv.weight", kDim), "ln_pre.weight");
    const auto add = [&x](const Rows& y) {
      for (std::size_t r = 0; r < x.size(); r++) {
        for (std::size_t i = 0; i < x[r].size(); i++) x[r][i] += y[r][i];
      }
    };
    add(attended(normed(x, "transformer.layers.0.attention_norm.weight"), cols));
    add(fed_forward(normed(x, "transformer.layers.0.ffn_norm.weight")));
    std::vector<float> out;
    for (const auto& row : x) out.insert(out.end(), row.begin(), row.end());
    return out;
  }

  RandomCheckpoint file_;
  std::optional<PixtralEncoder> encoder_;
};

TEST_F(PixtralTest, MatchesTheFormula) {
  for (const auto& [height, width] :
       {std::pair<std::int64_t, std::int64_t>{4, 6}, {8, 2}, {2, 2}}) {
    const PreparedPicture picture = small_picture(height, width, 1);
    // Values up to 5, some dozen roundings of 2^-24 each, sums of 16.
    EXPECT_TRUE(all_close(encoded({picture}), in_double(picture), 0, 2e-5)) << height << width;
  }
}

TEST_F(PixtralTest, TilesDoNotSeeOneAnother) {
  const std::vector<PreparedPicture> all{small_picture(4, 6, 1), small_picture(8, 2, 2),
                                         small_picture(2, 2, 3)};
  std::vector<float> apart;
  for (const PreparedPicture& picture : all) {
    const auto one = encoded({picture});
    apart.insert(apart.end(), one.begin(), one.end());
  }
  EXPECT_TRUE(bit_equal(encoded(all), apart));
}

TEST_F(PixtralTest, RefusesPartsOfPatches) {
  EXPECT_TRUE(
      throws<ShapeError>([&] { encoded({small_picture(4, 5, 1)}); }, {"4 x 5", "multiples of 2"}));
}

TEST(PixtralConfig, ReadsOlderAndNewerFolders) {
  const auto read = [](const char* text) {
    return PixtralConfig::from_json(Json::parse(text, "config.json"));
  };
  EXPECT_EQ(read("{}").rope_theta, 10000);
  EXPECT_EQ(read(R"({"rope_theta": 5})").rope_theta, 5);
  EXPECT_EQ(read(R"({"rope_theta": 5, "rope_parameters": {"rope_theta": 7}})").rope_theta, 7);
  EXPECT_EQ(read("{}").blocks.hidden_size, 1024);
  EXPECT_TRUE(throws<ModelError>([&] { read(R"({"model_type": "clip_vision_model"})"); },
                                 {"clip_vision_model", "pixtral"}));
  // Rows and columns need a pair of numbers each in every head.
  EXPECT_TRUE(throws<ModelError>([&] { read(R"({"hidden_size": 12, "num_attention_heads": 2})"); },
                                 {"hidden_size 12"}));
}

}  // namespace
}  // namespace chiasm::vision
