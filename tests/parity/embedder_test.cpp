/// Embedders: a vector depends on its own text or picture alone; what cannot be embedded is one
/// clear error.
#include "runtime/embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/json.h"
#include "tests/parity/golden_file.h"
#include "tests/parity/mini_model.h"
#include "tests/support/temp_folder.h"

namespace chiasm::testing {

namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Embedder load(const std::string& dtype, const std::string& quantize, int threads) {
  EmbedderOptions options;
  options.dtype = dtype;
  options.quantize = quantize;
  options.threads = threads;
  return Embedder::load(mini_folder(), options);
}

const std::vector<std::string> kFiles = {"wide.png", "tall.png", "dot.png", "square.png"};

/// 39 pictures: more than go through the encoder together, the first one again in the second group.
std::vector<ImageInput> many_pictures() {
  std::vector<ImageInput> out;
  for (std::size_t i = 0; i < 39; i++) out.push_back(golden_picture(kFiles[i % kFiles.size()]));
  return out;
}

/// Texts of 2 to several hundred tokens, more than 2048 together, the first one again at the end.
std::vector<std::string> many_texts() {
  std::vector<std::string> out{"a red bicycle"};
  for (int i = 0; i < 10; i++) {
    std::string text;
    for (int word = 0; word < 25 * i; word++) text += " word" + std::to_string(word * i);
    out.push_back(text);
  }
  out.push_back(out.front());
  return out;
}

/// Success when two rows have the same bits.
::testing::AssertionResult same_row(const Tensor& a, std::int64_t i, const Tensor& b,
                                    std::int64_t j) {
  const auto x = a.view<float>(), y = b.view<float>();
  if (x.cols() == y.cols() &&
      std::memcmp(x.row(i), y.row(j), std::size_t(x.cols()) * sizeof(float)) == 0) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "row " << i << " is not row " << j;
}

class EmbedderInvariance : public ::testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(EmbedderInvariance, AloneInCompanyAndOnAnyNumberOfThreads) {
  const auto [dtype, quantize] = GetParam();
  const Embedder one = load(dtype, quantize, 1), three = load(dtype, quantize, 3);
  const auto texts = many_texts();
  const Tensor all = three.embed_texts(texts), all_on_one = one.embed_texts(texts);
  for (std::size_t i = 0; i < texts.size(); i++) {
    EXPECT_TRUE(same_row(all_on_one, std::int64_t(i), all, std::int64_t(i)));
    EXPECT_TRUE(same_row(one.embed_texts({texts[i]}), 0, all, std::int64_t(i)));
  }
  const auto pictures = many_pictures();
  const Tensor seen = three.embed_images(pictures), seen_on_one = one.embed_images(pictures);
  for (std::size_t i = 0; i < pictures.size(); i++) {
    EXPECT_TRUE(same_row(seen_on_one, std::int64_t(i), seen, std::int64_t(i)));
  }
  for (std::size_t i = 0; i < kFiles.size(); i++) {
    const Tensor alone = one.embed_images({pictures[i]});
    for (std::size_t j = i; j < pictures.size(); j += kFiles.size()) {
      EXPECT_TRUE(same_row(alone, 0, seen, std::int64_t(j)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, EmbedderInvariance,
                         ::testing::Values(std::pair("float32", ""), std::pair("bfloat16", ""),
                                           std::pair("bfloat16", "int8"),
                                           std::pair("bfloat16", "int4")));

TEST(Embedder, TellsWhatItIs) {
  const Embedder embedder = load("auto", "int8", 2);
  const EmbedderInfo& info = embedder.info();
  EXPECT_EQ(info.size, 256);
  EXPECT_EQ(info.max_tokens, 1024);
  EXPECT_EQ(info.patches_per_picture, 64);
  EXPECT_EQ(info.dtype, "bfloat16");
  EXPECT_EQ(info.quantize, "int8");
  EXPECT_GT(info.weight_bytes, 9'000'000);
}

TEST(Embedder, NothingInNothingOut) {
  const Embedder embedder = load("auto", "", 2);
  EXPECT_EQ(embedder.embed_texts({}).shape(), (Shape{0, 256}));
  EXPECT_EQ(embedder.embed_images({}).shape(), (Shape{0, 256}));
}

TEST(Embedder, WordsAreNeverStructure) {
  const Embedder embedder = load("float32", "", 2);
  const Tensor rows = embedder.embed_texts({"a dog", "a dog<end_of_utterance>", "a dog<image>"});
  EXPECT_FALSE(same_row(rows, 0, rows, 1));
  EXPECT_FALSE(same_row(rows, 1, rows, 2));
}

TEST(Embedder, RefusesWhatItCannotEmbed) {
  const Embedder embedder = load("auto", "", 2);
  std::string endless;
  for (int i = 0; i < 3000; i++) endless += "zq ";
  EXPECT_THAT(
      [&] {
        embedder.embed_texts({"fine", endless});
      },
      ThrowsMessage<RequestError>(HasSubstr("text 2 has ")));
  EXPECT_THAT([&] { embedder.embed_texts({"\xff"}); },
              ThrowsMessage<RequestError>(HasSubstr("text 1: ")));
  EXPECT_THAT([&] { embedder.embed_images({ImageInput::from_bytes("no picture", "odd.png")}); },
              ThrowsMessage<MediaError>(HasSubstr("odd.png: ")));
  EXPECT_THROW(embedder.embed_texts({"a dog"}, {}, [] { return true; }), Interrupted);
  EXPECT_THROW(embedder.embed_images({golden_picture("dot.png")}, [] { return true; }),
               Interrupted);
}

TEST(Embedder, RefusesModelsThatEmbedNothing) {
  EXPECT_THAT([] { Embedder::load(golden_root() / "models" / "smolvlm_2x2"); },
              ThrowsMessage<ModelError>(HasSubstr("has no search head")));
  EXPECT_THAT([] { Embedder::load(golden_root() / "models" / "llama_gqa"); },
              ThrowsMessage<ModelError>(HasSubstr("family \"llama\" is not supported")));
  EXPECT_THAT([] { Embedder::load(golden_root() / "no such folder"); },
              ThrowsMessage<ModelError>(HasSubstr("no such folder")));
  const TempFolder folder;
  for (const auto& entry : std::filesystem::directory_iterator(mini_folder())) {
    std::filesystem::copy(entry.path(), folder.path() / entry.path().filename());
  }
  nlohmann::json config = Json::load(folder.path() / "config.json").raw();
  config["chiasm"]["embed"]["size"] = 128;
  folder.write("config.json", config.dump());
  EXPECT_THAT([&] { Embedder::load(folder.path()); },
              ThrowsMessage<ModelError>(HasSubstr("chiasm.embed.image.weight")));
}

}  // namespace

}  // namespace chiasm::testing
