/// Retrievers against transformers, on the small checkpoints of
/// tests/reference/make_retriever_golden.py; vectors of a model that answers.
#include "runtime/retriever.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/json.h"
#include "tests/parity/golden_file.h"

namespace chiasm::testing {

namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Unit vectors of 20 numbers: float32 sums in another order.
constexpr double kBound = 1e-5;

std::filesystem::path folder_of(const std::string& name) {
  return golden_root() / "retrievers" / name;
}

Retriever load(const std::string& name, int threads = 2) {
  EmbedderOptions options;
  options.dtype = "float32";
  options.threads = threads;
  return Retriever::load(folder_of(name), options);
}

/// The largest difference from golden rows; infinite for another shape.
double error_of(const Tensor& rows, const Json& golden) {
  const auto view = rows.view<float>();
  const auto shape = golden["shape"].integers();
  if (shape != std::vector{view.rows(), view.cols()}) return INFINITY;
  const auto values = golden["values"].raw().get<std::vector<double>>();
  double largest = 0;
  for (std::size_t i = 0; i < values.size(); i++) {
    const double error = std::abs(double(view.data()[i]) - values[i]);
    if (!(error <= largest)) largest = error;  // NaN stays
  }
  return largest;
}

class Retrievers : public ::testing::TestWithParam<const char*> {};

TEST_P(Retrievers, AsTheReference) {
  const Json golden = Json::load(folder_of(GetParam()) / "golden.json");
  const Retriever retriever = load(GetParam());
  EXPECT_EQ(retriever.info().family, GetParam());
  std::vector<std::string> texts;
  std::vector<ImageInput> pictures;
  for (std::size_t i = 0; i < golden["texts"].size(); i++) {
    texts.push_back(golden["texts"][i]["text"].str());
  }
  for (std::size_t i = 0; i < golden["pictures"].size(); i++) {
    pictures.push_back(golden_picture(golden["pictures"][i]["file"].str()));
  }
  const auto queries = retriever.embed_texts(texts);
  const auto pages = retriever.embed_images(pictures);
  for (std::size_t i = 0; i < texts.size(); i++) {
    EXPECT_LT(error_of(queries[i], golden["texts"][i]["rows"]), kBound) << texts[i];
    for (std::size_t j = 0; j < pictures.size(); j++) {
      // The reference adds some twenty products of float32 rows.
      EXPECT_NEAR(max_sim(queries[i].view<float>(), pages[j].view<float>()),
                  golden["scores"][i][j].number(), 1e-4);
    }
  }
  for (std::size_t j = 0; j < pictures.size(); j++) {
    EXPECT_LT(error_of(pages[j], golden["pictures"][j]["rows"]), kBound) << j;
  }
}

TEST_P(Retrievers, AloneInCompanyAndWithAnyThreads) {
  const Retriever two = load(GetParam()), one = load(GetParam(), 1);
  std::vector<ImageInput> pictures;
  for (int i = 0; i < 7; i++)
    pictures.push_back(golden_picture(i % 2 == 0 ? "wide.png" : "dot.png"));
  const auto all = two.embed_images(pictures);
  for (std::size_t i = 0; i < 2; i++) {
    const auto alone = one.embed_images({pictures[i]});
    for (std::size_t j = i; j < all.size(); j += 2) {
      ASSERT_EQ(all[j].shape(), alone[0].shape());
      EXPECT_EQ(
          std::memcmp(all[j].view<float>().data(), alone[0].view<float>().data(), all[j].bytes()),
          0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, Retrievers, ::testing::Values("colpali", "colqwen2"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(Retriever, RefusesOtherModels) {
  EXPECT_THAT([] { Retriever::load(golden_root() / "models" / "llama_gqa"); },
              ThrowsMessage<ModelError>(HasSubstr("\"llama\" is not supported as a retriever")));
}

TEST(MaxSim, SumsTheBestMatches) {
  const float query[] = {1, 0, 0, 1}, document[] = {0.5f, 0.25f, -1, 0.75f, 0.25f, 0};
  const TensorView<const float> q(query, {2, 2}, "q"), d(document, {3, 2}, "d");
  EXPECT_DOUBLE_EQ(max_sim(q, d), 0.5 + 0.75);
  EXPECT_THROW(max_sim(q, TensorView<const float>(document, {0, 2}, "d")), ShapeError);
  EXPECT_THROW(max_sim(q, TensorView<const float>(document, {2, 3}, "d")), ShapeError);
}

TEST(PooledModel, IsAUnitVectorOfThePromptsRows) {
  LoadOptions options;
  options.dtype = "float32";
  Model model = Model::load(golden_root() / "models" / "smolvlm_2x2", options);
  const Request request = read_golden(golden_root() / "models" / "smolvlm_2x2").cases[0].request();
  const Tensor rows = model.hidden_rows(request);
  const auto r = rows.view<float>();
  ASSERT_EQ(r.rows(), std::int64_t(model.prompt_ids(request).size()));
  const Tensor last = model.embed(request, projector::Pooling::last);
  const Tensor mean = model.embed(request, projector::Pooling::mean);
  double length = 0, product = 0, mean_length = 0;
  for (std::int64_t k = 0; k < r.cols(); k++) {
    const double value = r.row(r.rows() - 1)[k], unit = last.view<float>().data()[k];
    length += value * value;
    product += value * unit;
    mean_length += std::pow(double(mean.view<float>().data()[k]), 2);
  }
  EXPECT_NEAR(product, std::sqrt(length), 1e-5 * std::sqrt(length));
  EXPECT_NEAR(mean_length, 1, 1e-5);
}

}  // namespace

}  // namespace chiasm::testing
