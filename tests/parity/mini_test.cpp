/// models/chiasm-mini against transformers (answers) and its own definition in PyTorch (search).
/// After new weights: python -m tools.mini verify --write-golden.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/json.h"
#include "runtime/embedder.h"
#include "runtime/model.h"
#include "tests/parity/beams.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/mini_model.h"

namespace chiasm::testing {

namespace {

// float32 sums in another order; 1e-6 is usual.
constexpr double kBound = 1e-4;
// How far apart the vectors of narrower formats may point: 1 - cosine. bfloat16 carries 8 bits; the
// head averages 64 patches and reads one row of a text. int4 has 16 steps a group in the decoder.
constexpr double kSearchBfloat16 = 1e-3, kSearchInt8 = 1e-3, kSearchInt4 = 3e-2;

std::vector<float> floats(const Json& list) {
  std::vector<float> out;
  for (std::size_t i = 0; i < list.size(); i++) out.push_back(float(list[i].number()));
  return out;
}

Json golden() { return Json::load(golden_root() / "mini" / "golden.json"); }

ImageInput picture(const std::string& path) {
  return ImageInput::from_file((mini_folder() / "../.." / path).string());
}

std::vector<std::string> texts(const Json& g) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < g["texts"].size(); i++) out.push_back(g["texts"][i].str());
  return out;
}

std::vector<ImageInput> pictures(const Json& g) {
  std::vector<ImageInput> out;
  for (std::size_t i = 0; i < g["questions"].size(); i++) {
    out.push_back(picture(g["questions"][i]["picture"].str()));
  }
  return out;
}

TEST(Mini, AnswersAsTransformersDoes) {
  LoadOptions options;
  options.dtype = "float32";
  Model model = Model::load(mini_folder(), options);
  const Json g = golden();
  for (std::size_t i = 0; i < g["questions"].size(); i++) {
    const Json want = g["questions"][i];
    const std::string question = want["question"].str();
    SCOPED_TRACE(question);
    Request request = model.turn(question, {picture(want["picture"].str())});
    const auto ids = want["ids"].integers();
    EXPECT_EQ(model.prompt_ids(request), std::vector<std::int32_t>(ids.begin(), ids.end()));
    const Tensor logits = model.logits(request);
    const auto view = logits.view<float>();
    const Sampled sampled{want["shape"].integers(), want["stride"].integer(), want["norm"].number(),
                          floats(want["logits"])};
    EXPECT_LE(relative_error({view.data(), std::size_t(view.shape().count())}, sampled), kBound)
        << "if the weights are new: python -m tools.mini verify --write-golden";
    request.options.max_tokens = 64;
    EXPECT_EQ(model.generate(request).text, " " + want["answer"].str());
    if (want["beams"]["answers"].size() == 0) continue;  // rounding decides between two of them
    request.options = beam_options(want["beams"]["settings"]);
    expect_answers(model.generate(request), want["beams"]["answers"]);
  }
}

TEST(Mini, LooksWhereTransformersDoes) {
  LoadOptions options;
  options.dtype = "float32";
  Model model = Model::load(mini_folder(), options);
  const Json g = golden();
  for (std::size_t i = 0; i < g["questions"].size(); i++) {
    const Json want = g["questions"][i];
    SCOPED_TRACE(want["question"].str());
    const Request request = model.turn(want["question"].str(), {picture(want["picture"].str())});
    const auto answer = want["answer_ids"].integers();
    const Attention got = model.attention(request, {answer.begin(), answer.end()});
    ASSERT_EQ(got.pictures.size(), 1u);
    ASSERT_EQ(want["attention"].size(), answer.size());
    double error = 0, norm = 0;
    for (std::size_t t = 0; t < answer.size(); t++) {
      const float* row = got.weights.view<float>().row(std::int64_t(t));
      const std::vector<float> theirs = floats(want["attention"][t]);
      ASSERT_EQ(theirs.size(), got.pictures[0].size());
      for (std::size_t j = 0; j < theirs.size(); j++) {
        const double difference = double(row[got.pictures[0][j]]) - double(theirs[j]);
        error += difference * difference;
        norm += double(theirs[j]) * double(theirs[j]);
      }
    }
    EXPECT_LE(std::sqrt(error / norm), kBound)
        << "if the weights are new: python -m tools.mini verify --write-golden";
  }
}

/// Every `row_stride`-th number of rows of length 1.
void expect_rows(const Tensor& got, const Json& want, std::int64_t stride, double bound) {
  const auto view = got.view<float>();
  ASSERT_EQ(view.rows(), std::int64_t(want.size()));
  for (std::int64_t r = 0; r < view.rows(); r++) {
    const std::vector<float> row = floats(want[std::size_t(r)]);
    double dot = 0, mine = 0, theirs = 0, length = 0;
    for (std::int64_t k = 0; k < view.cols(); k++)
      length += double(view.row(r)[k]) * view.row(r)[k];
    EXPECT_NEAR(length, 1, 1e-6);
    for (std::size_t i = 0; i < row.size(); i++) {
      const double value = view.row(r)[std::int64_t(i) * stride];
      dot += value * double(row[i]);
      mine += value * value;
      theirs += double(row[i]) * double(row[i]);
    }
    // Of the samples: they stand for the whole, 1 - cosine grows with the square of the difference.
    EXPECT_GE(dot / std::sqrt(mine * theirs), 1 - bound) << "row " << r;
  }
}

class MiniSearch : public ::testing::TestWithParam<std::tuple<std::string, std::string, double>> {};

TEST_P(MiniSearch, FindsWhatTheDefinitionFinds) {
  EmbedderOptions options;
  options.dtype = std::get<0>(GetParam());
  options.quantize = std::get<1>(GetParam());
  const Embedder embedder = Embedder::load(mini_folder(), options);
  const Json g = golden();
  const std::int64_t stride = g["row_stride"].integer();
  const double bound = std::get<2>(GetParam());
  expect_rows(embedder.embed_texts(texts(g)), g["text_rows"], stride, bound);
  expect_rows(embedder.embed_images(pictures(g)), g["picture_rows"], stride, bound);
}

INSTANTIATE_TEST_SUITE_P(Formats, MiniSearch,
                         ::testing::Values(std::tuple("float32", "", kBound* kBound),
                                           std::tuple("bfloat16", "", kSearchBfloat16),
                                           std::tuple("bfloat16", "int8", kSearchInt8),
                                           std::tuple("bfloat16", "int4", kSearchInt4)));

}  // namespace

}  // namespace chiasm::testing
