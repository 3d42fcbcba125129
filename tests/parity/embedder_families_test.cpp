/// Families of embedders against transformers, on the small checkpoints of
/// tests/reference/make_embedder_golden.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/json.h"
#include "runtime/embedder.h"
#include "tests/parity/golden_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

namespace chiasm::testing {

namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Unit vectors of 24 to 32 numbers, about 0.2 each: float32 sums in another order.
constexpr double kBound = 1e-5;

std::filesystem::path folder_of(const std::string& name) {
  return golden_root() / "embedders" / name;
}

Embedder load(const std::string& name, const std::string& dtype = "float32",
              const std::string& quantize = "", int threads = 2) {
  EmbedderOptions options;
  options.dtype = dtype;
  options.quantize = quantize;
  options.threads = threads;
  return Embedder::load(folder_of(name), options);
}

/// The largest difference of a row from golden values; infinite for another number of values.
double error_of(const Tensor& rows, const Json& golden) {
  const auto row = rows.view<float>();
  if (row.rows() != 1 || std::size_t(row.cols()) != golden.size()) return INFINITY;
  double largest = 0;
  for (std::size_t k = 0; k < golden.size(); k++) {
    const double error = std::abs(double(row.row(0)[k]) - golden[k].number());
    if (!(error <= largest)) largest = error;  // NaN stays
  }
  return largest;
}

class EmbedderFamilies : public ::testing::TestWithParam<const char*> {
 protected:
  EmbedderFamilies() : golden_(Json::load(folder_of(GetParam()) / "golden.json")) {}
  Json golden_;
};

TextOptions options_of(const Json& text) {
  TextOptions options{.truncate = true};
  if (text.has("prompt")) options.prompt = text["prompt"].str();
  return options;
}

TEST_P(EmbedderFamilies, TextsAsTheReference) {
  const Embedder embedder = load(GetParam());
  const Json texts = golden_["texts"];
  for (std::size_t i = 0; i < texts.size(); i++) {
    TextOptions options = options_of(texts[i]);
    const Tensor row = embedder.embed_texts({texts[i]["text"].str()}, options);
    EXPECT_LT(error_of(row, texts[i]["vector"]), kBound) << texts[i]["text"].str();
    if (texts[i]["tokens"].integer() <= embedder.info().max_tokens) continue;
    options.truncate = false;
    EXPECT_THAT([&] { embedder.embed_texts({texts[i]["text"].str()}, options); },
                ThrowsMessage<RequestError>(HasSubstr(
                    "text 1 has " + std::to_string(texts[i]["tokens"].integer()) + " tokens")));
  }
}

TEST_P(EmbedderFamilies, PicturesAsTheReference) {
  if (!golden_.has("pictures")) return;  // a family of texts alone
  const Embedder embedder = load(GetParam());
  const Json pictures = golden_["pictures"];
  for (std::size_t i = 0; i < pictures.size(); i++) {
    const Tensor row = embedder.embed_images({golden_picture(pictures[i]["file"].str())});
    EXPECT_LT(error_of(row, pictures[i]["vector"]), kBound) << pictures[i]["file"].str();
  }
  EXPECT_NEAR(embedder.info().logit_scale, golden_["logit_scale"].number(), 1e-4);
  EXPECT_NEAR(embedder.info().logit_bias, golden_["logit_bias"].number(), 1e-5);
}

TEST_P(EmbedderFamilies, AloneInCompanyAndWithAnyThreads) {
  for (const auto& [dtype, quantize] :
       {std::pair("float32", ""), std::pair("bfloat16", ""), std::pair("bfloat16", "int8")}) {
    const Embedder two = load(GetParam(), dtype, quantize),
                   one = load(GetParam(), dtype, quantize, 1);
    const auto expect_same = [&, format = std::string(dtype) + quantize](
                                 const Tensor& all, const Tensor& alone, std::size_t i) {
      const auto size = std::size_t(two.info().size) * sizeof(float);
      EXPECT_EQ(
          std::memcmp(all.view<float>().row(std::int64_t(i)), alone.view<float>().row(0), size), 0)
          << format << " row " << i;
    };
    std::vector<std::string> texts;
    std::vector<ImageInput> pictures;
    for (std::size_t i = 0; i < 50; i++) {
      std::string text = "a red bicycle ";
      for (std::size_t word = 0; word < i % 5; word++) text += std::to_string(word * i) + " wall ";
      texts.push_back(text);
      pictures.push_back(golden_picture(i % 2 == 0 ? "wide.png" : "dot.png"));
    }
    const Tensor all = two.embed_texts(texts, {.truncate = true});
    for (std::size_t i = 0; i < texts.size(); i += 7) {
      expect_same(all, one.embed_texts({texts[i]}, {.truncate = true}), i);
    }
    if (two.info().patches_per_picture == 0) continue;
    const Tensor seen = two.embed_images(pictures);
    for (std::size_t i = 0; i < pictures.size(); i += 7) {
      expect_same(seen, one.embed_images({pictures[i]}), i);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, EmbedderFamilies,
                         ::testing::Values("bert_mean", "bert_prompts", "roberta_max",
                                           "distilbert_dense", "mpnet_far", "clip_quick",
                                           "clip_gelu", "siglip_pool"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(EmbedderPrompts, AreTheModelsOwn) {
  const Embedder embedder = load("bert_prompts");
  EXPECT_EQ(embedder.info().prompts.texts.size(), 2U);
  EXPECT_EQ(embedder.info().prompts.otherwise, "query");
  EXPECT_THAT([&] { embedder.embed_texts({"x"}, {.prompt = "passage"}); },
              ThrowsMessage<RequestError>(HasSubstr("only document, query")));
  EXPECT_THAT([&] { load("bert_mean").embed_texts({"x"}, {.prompt = "query"}); },
              ThrowsMessage<RequestError>(HasSubstr("no prompts")));
}

/// A copy of the folder with Dense modules whose JSON file `name` has changes.
::testing::AssertionResult refused(const std::string& name, const nlohmann::json& changes,
                                   std::initializer_list<std::string_view> words) {
  const TempFolder to;
  std::filesystem::copy(folder_of("distilbert_dense"), to.path(),
                        std::filesystem::copy_options::recursive);
  nlohmann::json value = Json::load(to.path() / name).raw();
  value = value.is_array() ? changes : (value.merge_patch(changes), value);
  to.write(name, value.dump());
  return throws<ModelError>([&] { Embedder::load(to.path()); }, words);
}

TEST(EmbedderFamily, RefusesDenseModulesThatDoNotFit) {
  const std::string config = "2_Dense/config.json";
  EXPECT_TRUE(refused(config, {{"in_features", 31}}, {"2_Dense", "vectors of 31", "have 32"}));
  EXPECT_TRUE(refused(config, {{"out_features", 41}}, {"2_Dense", "linear.bias", "[40]"}));
  EXPECT_TRUE(refused(config, {{"out_features", 1 << 30}}, {"from 32 to 1073741824"}));
  EXPECT_TRUE(refused(config, {{"bias", false}}, {"2_Dense", "linear.bias"}));
  EXPECT_TRUE(refused(config, {{"activation_function", "torch.nn.Softmax"}}, {"Softmax", "Tanh"}));
  const auto modules = [](std::initializer_list<std::pair<const char*, const char*>> all) {
    nlohmann::json out = nlohmann::json::array();
    for (const auto& [path, kind] : all) {
      out.push_back(
          {{"path", path}, {"type", std::string("sentence_transformers.models.") + kind}});
    }
    return out;
  };
  EXPECT_TRUE(refused("modules.json", modules({{"../2_Dense", "Dense"}}), {"../2_Dense", "path"}));
  EXPECT_TRUE(refused("modules.json", modules({{"", "Normalize"}, {"2_Dense", "Dense"}}),
                      {"Dense behind Normalize"}));
}

TEST(EmbedderFamily, RefusesPicturesWhereThereIsNoEyeForThem) {
  EXPECT_THAT([] { load("bert_mean").embed_images({golden_picture("dot.png")}); },
              ThrowsMessage<RequestError>(HasSubstr("embeds no pictures")));
}

}  // namespace

}  // namespace chiasm::testing
