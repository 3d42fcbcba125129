// A language model and a projector in two GGUF files against the same model in a Hugging Face
// folder. The projectors' files are llama.cpp's own conversions
// (tests/reference/make_mmproj_golden.py).
#include "runtime/gguf_pair.h"

#include <gtest/gtest.h>

#include <functional>

#include "runtime/gguf_model.h"
#include "runtime/gguf_projector.h"
#include "runtime/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_conversion.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/all_close.h"

namespace chiasm {
namespace {

namespace fs = std::filesystem;
using chiasm::testing::all_close;
using chiasm::testing::Parts;
using chiasm::testing::TempFolder;
using chiasm::testing::throws;

const fs::path kGolden = fs::path(CHIASM_SOURCE_DIR) / "tests/golden";

struct Case {
  std::string folder, architecture, mmproj;
};
const Case kIdefics3{"idefics3_3x3", "llama", "mmproj-idefics3.gguf"};
const Case kLlava{"llava_clip", "llama", "mmproj-llava.gguf"};
const Case kLlavaNext{"llava_next_anyres", "llama", "mmproj-llava-next.gguf"};
const Case kGemma3{"gemma3_sliding", "gemma3", "mmproj-gemma3.gguf"};

/// A copy of the case's folder in terms that a GGUF file can say: it has no scale of attention.
void put_folder(const TempFolder& to, const Case& c) {
  fs::copy(kGolden / "models" / c.folder, to.path());
  nlohmann::json config = Json::load(to.path() / "config.json").raw();
  auto& text = config["text_config"];
  if (text.contains("query_pre_attn_scalar")) text["query_pre_attn_scalar"] = text["head_dim"];
  to.write("config.json", config.dump());
}

Parts words_of(const Case& c) {
  Parts parts;
  parts.architecture = c.architecture;
  return testing::convert(parts, kGolden / "models" / c.folder);
}

/// The pair in a folder of its own.
fs::path put_pair(const TempFolder& to, const Case& c) {
  fs::copy(kGolden / "gguf" / c.mmproj, to.path() / c.mmproj);
  return to.write("model.gguf", words_of(c).bytes());
}

Model load(const fs::path& path, const std::string& mmproj = "",
           const std::string& dtype = "auto") {
  LoadOptions options;
  options.threads = 2;
  options.mmproj = mmproj;
  options.dtype = dtype;
  return Model::load(path, options);
}

ImageInput picture(const std::string& name) {
  return ImageInput::from_file((kGolden / "models/pictures" / name).string());
}

std::span<const float> floats(const Tensor& t) {
  return {t.view<float>().data(), std::size_t(t.shape().count())};
}

/// float32 of the same numbers; f16 tensors of the file have lost the last bits of small ones.
void expect_alike(const Tensor& got, const Tensor& want) {
  ASSERT_EQ(got.shape(), want.shape());
  EXPECT_TRUE(all_close(floats(got), floats(want), 1e-4, 1e-5));
}

void expect_equal(const Case& c) {
  SCOPED_TRACE(c.folder);
  const TempFolder pair, folder;
  put_folder(folder, c);
  Model model = load(put_pair(pair, c)), expected = load(folder.path(), "", "float32");
  EXPECT_EQ(model.info().family, expected.info().family);
  EXPECT_EQ(model.info().image_token, expected.info().image_token);
  for (const char* name : {"wide.png", "tall.png"}) {
    const ImageInput image = picture(name);
    const auto got = model.preprocess_image(image), want = expected.preprocess_image(image);
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); i++) {
      EXPECT_EQ(got[i].name, want[i].name);
      ASSERT_EQ(got[i].values.shape(), want[i].values.shape()) << name;
      EXPECT_EQ(std::memcmp(got[i].values.data(), want[i].values.data(), got[i].values.bytes()), 0);
    }
    expect_alike(model.encode_image(image), expected.encode_image(image));
    Request request = expected.turn("What is this?", {image});
    request.token_ids = expected.prompt_ids(request);
    request.prompt.clear();
    expect_alike(model.logits(request), expected.logits(request));
  }
}

TEST(GgufPair, EqualsTheFolder) {
  expect_equal(kIdefics3);
  expect_equal(kLlava);
  expect_equal(kLlavaNext);
  expect_equal(kGemma3);
}

TEST(GgufPair, PromptsAreTheFolders) {
  const TempFolder to;
  const Model model = load(put_pair(to, kIdefics3));
  const Model expected = load(kGolden / "models" / kIdefics3.folder);
  const ImageInput image = picture("wide.png");
  EXPECT_EQ(model.prompt_ids(model.turn("What is 12?", {image})),
            expected.prompt_ids(expected.turn("What is 12?", {image})));
}

TEST(GgufPair, TheProjectorBesideTheModelIsFound) {
  const TempFolder to;
  const fs::path model = put_pair(to, kIdefics3);
  EXPECT_EQ(load(model).info().family, "idefics3");
  EXPECT_EQ(load(model, "none").info().family, "llama");
  const fs::path second = to.path() / "small-MMPROJ-f16.gguf";
  fs::copy(kGolden / "gguf" / kIdefics3.mmproj, second);
  EXPECT_TRUE(throws<ModelError>(
      [&] { load(model); },
      {"model.gguf", "mmproj-idefics3.gguf, small-MMPROJ-f16.gguf", "name one with mmproj"}));
  EXPECT_EQ(load(model, second.string()).info().family, "idefics3");
  EXPECT_TRUE(
      throws<ModelError>([&] { load(model, "nowhere.gguf"); }, {"nowhere.gguf", "no such"}));
  EXPECT_TRUE(throws<ModelError>([&] { load(second, "none"); },
                                 {"general.architecture", "\"clip\"", "language model"}));
  EXPECT_TRUE(throws<RequestError>([&] { load(kGolden / "models" / kIdefics3.folder, "none"); },
                                   {"mmproj", ".gguf", "folder"}));
}

TEST(GgufPair, AnotherModelsProjectorIsRefusedByNameAndShape) {
  const TempFolder to;
  const fs::path model = put_pair(to, kIdefics3);
  const std::string llava = (kGolden / "gguf" / kLlava.mmproj).string();
  EXPECT_TRUE(throws<ModelError>([&] { load(model, llava); },
                                 {"mmproj-llava.gguf", "mm.2.weight [48, 48]", "model.gguf",
                                  "token_embd.weight [411, 64]", "another model", "none"}));
  const std::string gemma = (kGolden / "gguf" / kGemma3.mmproj).string();
  EXPECT_TRUE(
      throws<ModelError>([&] { load(model, gemma); },
                         {"mmproj-gemma3.gguf", "\"gemma3\"", "model.gguf is of llama", "mmproj"}));
}

// Vicuna's vocabulary, unlike its Hugging Face folder's, has no <image>.
TEST(GgufPair, AReservedTokenStandsForPicturesWhereWordsHaveNone) {
  const TempFolder to;
  Parts parts = words_of(kLlava);
  const std::string bytes = parts.bytes();
  const auto at = bytes.find("<image>");
  ASSERT_NE(at, std::string::npos);
  std::string without = bytes;
  without.replace(at, 7, "<unused");
  fs::copy(kGolden / "gguf" / kLlava.mmproj, to.path() / kLlava.mmproj);
  const Model model = load(to.write("model.gguf", without));
  const auto ids = model.prompt_ids(model.turn("?", {picture("wide.png")}));
  EXPECT_EQ(std::ranges::count(ids, 338), 36);
}

// --- files that do not say what they must

/// A projector's metadata, which a test may change before it is written.
struct Keys {
  std::map<std::string, std::uint32_t> lengths{
      {"projection_dim", 64},      {"image_size", 84},
      {"patch_size", 14},          {"embedding_length", 40},
      {"block_count", 2},          {"feed_forward_length", 72},
      {"attention.head_count", 5}, {"projector.scale_factor", 3},
      {"preproc_image_size", 200}};
  std::string architecture = "clip", type = "idefics3";
  std::vector<float> mean{0.5f, 0.5f, 0.5f}, deviation{0.5f, 0.5f, 0.5f};
  bool epsilon = true;
  std::string text;  // a key whose value is a text instead

  std::string bytes() const {
    Parts p;
    const auto add = [&](testing::GgufBytes&) { p.values++; };
    add(p.metadata.value("general.architecture", architecture));
    if (!type.empty()) add(p.metadata.value("clip.projector_type", type));
    for (const auto& [key, value] : lengths) {
      if (key == text) {
        add(p.metadata.value("clip.vision." + key, "many"));
      } else {
        add(p.metadata.value("clip.vision." + key, value));
      }
    }
    if (epsilon) add(p.metadata.value("clip.vision.attention.layer_norm_epsilon", 1e-6f));
    add(p.metadata.numbers("clip.vision.image_mean", mean));
    add(p.metadata.numbers("clip.vision.image_std", deviation));
    p.tensor("mm.model.fc.weight", {64, 360}, std::vector<float>(64 * 360, 0.1f));
    return p.bytes();
  }
};

TEST(GgufPair, RefusesMetadataThatIsMissingWrongOrAbsurd) {
  const TempFolder to;
  const fs::path model = to.write("model.gguf", words_of(kIdefics3).bytes());
  const auto refused = [&](const std::function<void(Keys&)>& change,
                           std::initializer_list<std::string_view> words) {
    Keys keys;
    change(keys);
    const auto file = to.write("mmproj.gguf", keys.bytes());
    return throws<ModelError>([&] { load(model, file.string()); }, words);
  };
  EXPECT_TRUE(refused([](Keys& k) { k.architecture = "llama"; }, {"mmproj.gguf", "\"clip\""}));
  EXPECT_TRUE(refused([](Keys& k) { k.type = ""; }, {"has no metadata clip.projector_type"}));
  EXPECT_TRUE(refused([](Keys& k) { k.type = "ldpv2"; },
                      {"clip.projector_type", "\"ldpv2\"", "mlp, idefics3, gemma3"}));
  EXPECT_TRUE(refused([](Keys& k) { k.epsilon = false; }, {"layer_norm_epsilon"}));
  for (const char* key :
       {"image_size", "patch_size", "embedding_length", "block_count", "feed_forward_length",
        "attention.head_count", "projector.scale_factor"}) {
    EXPECT_TRUE(refused([&](Keys& k) { k.lengths.erase(key); }, {"has no metadata", key})) << key;
    EXPECT_TRUE(refused([&](Keys& k) { k.text = key; }, {key, "expected an integer"})) << key;
    EXPECT_TRUE(refused([&](Keys& k) { k.lengths[key] = 0; }, {"mmproj.gguf"})) << key;
    EXPECT_TRUE(refused([&](Keys& k) { k.lengths[key] = 0xFFFFFFFF; }, {"mmproj.gguf"})) << key;
  }
  EXPECT_TRUE(refused([](Keys& k) { k.lengths["patch_size"] = 85; }, {"patch_size 85"}));
  EXPECT_TRUE(
      refused([](Keys& k) { k.lengths["preproc_image_size"] = 0; }, {"preproc_image_size"}));
  EXPECT_TRUE(refused([](Keys& k) { k.mean.pop_back(); }, {"image_mean", "3 numbers"}));
  EXPECT_TRUE(refused([](Keys& k) { k.deviation[1] = 0; }, {"image_std", "zero"}));
  EXPECT_TRUE(refused([](Keys&) {}, {"has no tensor"}));  // right keys, but no encoder
}

TEST(GgufPair, RefusesTilesThatItCannotCut) {
  const auto refused = [](const std::vector<std::int32_t>& sides, const std::string& merge,
                          bool clip, std::initializer_list<std::string_view> words) {
    Parts p;
    p.metadata.value("general.architecture", "clip").value("clip.projector_type", "mlp");
    for (const char* key : {"image_size", "patch_size", "embedding_length", "block_count",
                            "feed_forward_length", "attention.head_count"}) {
      p.metadata.value("clip.vision." + std::string(key), 14u);
    }
    p.metadata.value("clip.vision.attention.layer_norm_epsilon", 1e-5f);
    p.metadata.numbers("clip.vision.image_mean", {0, 0, 0});
    p.metadata.numbers("clip.vision.image_std", {1, 1, 1});
    p.metadata.integers("clip.vision.image_grid_pinpoints", sides);
    p.metadata.value("clip.vision.mm_patch_merge_type", merge);
    p.values = 13;
    p.tensor(clip ? "v.class_embd" : "v.other", {1}, {1});
    const std::string bytes = p.bytes();
    const GgufContents file = parse_gguf(std::as_bytes(std::span(bytes)), "mmproj.gguf");
    return throws<ModelError>(
        [&] {
          gguf_projector(file).config(file);
          gguf_projector(file).settings(file);
        },
        words);
  };
  EXPECT_TRUE(refused({14, 28}, "flat", true, {"mm_patch_merge_type", "flat", "spatial_unpad"}));
  EXPECT_TRUE(refused({14, 28}, "spatial_unpad", false, {"image_grid_pinpoints", "than CLIP"}));
  for (const auto& [sides, word] :
       std::vector<std::pair<std::vector<std::int32_t>, const char*>>{{{}, "0 numbers"},
                                                                      {{14}, "1 numbers"},
                                                                      {{14, 0}, "0 is"},
                                                                      {{14, -14}, "-14 is"},
                                                                      {{15, 14}, "15 is"},
                                                                      {{14 * 65, 14}, "910 is"}}) {
    EXPECT_TRUE(refused(sides, "spatial_unpad", true, {"image_grid_pinpoints", word})) << word;
  }
}

TEST(GgufPair, RefusesTensorsThatItDoesNotKnow) {
  const std::string bytes = Keys().bytes();
  const GgufContents file = parse_gguf(std::as_bytes(std::span(bytes)), "mmproj.gguf");
  const GgufProjector& kind = gguf_projector(file);
  for (const char* name :
       {"v.blk", "v.blk.0", "v.blk.0.", "v.blk..ln1.weight.", "v.", "mm.2.weight",
        "v.blk.0.attn_sinks.weight", "a.blk.0.ln1.weight", "v.ln1.weight"}) {
    EXPECT_EQ(projector_name(kind, name, false), "") << name;
  }
  EXPECT_EQ(projector_name(kind, "v.blk.7.ffn_up.bias", false),
            "model.vision_model.encoder.layers.7.mlp.fc1.bias");
  EXPECT_EQ(projector_name(kind, "v.blk.7.ffn_up.bias", true),
            "model.vision_model.encoder.layers.7.mlp.fc2.bias");
}

}  // namespace
}  // namespace chiasm
