// A language model from a GGUF file gives the very logits and tokens of the same model in a Hugging
// Face folder.
#include "runtime/gguf_model.h"

#include <gtest/gtest.h>

#include <functional>

#include "core/json.h"
#include "language/gguf_tokenizer.h"
#include "language/rope.h"
#include "runtime/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_conversion.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/all_close.h"

namespace chiasm {
namespace {

using chiasm::testing::bit_equal;
using chiasm::testing::Parts;
using chiasm::testing::TempFolder;
using chiasm::testing::throws;

const std::string kModels = std::string(CHIASM_SOURCE_DIR) + "/tests/golden/models/";
const std::string kFolder = kModels + "llama_gqa";

/// A folder's config with changes, in terms that a GGUF file can say.
void copy_changed(const TempFolder& to, const std::string& name, const nlohmann::json& changes) {
  nlohmann::json config = Json::load(kModels + name + "/config.json").raw();
  config.merge_patch(changes);
  for (const char* file : {"model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::copy(kModels + name + "/" + file, to.path() / file);
  }
  to.write("config.json", config.dump());
}

Parts convert(const Parts& parts = {}) { return testing::convert(parts, kFolder); }

Model load(const std::string& path, const LoadOptions& extra = {}) {
  LoadOptions options = extra;
  options.threads = 2;
  return Model::load(path, options);
}

TEST(GgufModel, EqualsTheFolderBitForBit) {
  const TempFolder folder;
  const auto file = folder.write("small.gguf", convert().bytes());
  LoadOptions plain;
  plain.dtype = "float32";
  Model expected = load(kFolder, plain), model = load(file.string());
  EXPECT_EQ(model.info().dtype, "float32");
  EXPECT_EQ(model.info().layers, expected.info().layers);
  EXPECT_EQ(model.info().eos_token_ids, (std::vector<std::int32_t>{2, 0}));  // <|endoftext|> too
  const std::string text = "Hello 123 <|im_start|> it's fine";
  EXPECT_EQ(model.tokenize(text), expected.tokenize(text));
  EXPECT_EQ(model.special_tokens(), expected.special_tokens());
  Request request;
  request.prompt = {{text, true}};
  const Tensor got = model.logits(request), want = expected.logits(request);
  ASSERT_EQ(got.shape(), want.shape());
  const auto count = std::size_t(got.shape().count());
  EXPECT_TRUE(bit_equal({got.view<float>().data(), count}, {want.view<float>().data(), count}));
}

/// Expects the logits of a folder, bit for bit, of a GGUF file made of it.
void expect_equal(const std::filesystem::path& folder, const std::string& architecture) {
  const TempFolder to;
  Parts parts;
  parts.architecture = architecture;
  const auto file = to.write("small.gguf", testing::convert(parts, folder).bytes());
  LoadOptions plain;
  plain.dtype = "float32";
  Model expected = load(folder.string(), plain), model = load(file.string());
  Request request;
  request.prompt = {
      {"A sentence of some length, so that rows fall out of the windows, and "
       "numbers as well: 1 2 3 4 5 6 7 8 9. Then it goes on and on and on.",
       true}};
  const Tensor got = model.logits(request), want = expected.logits(request);
  ASSERT_EQ(got.shape(), want.shape());
  const auto count = std::size_t(got.shape().count());
  EXPECT_TRUE(bit_equal({got.view<float>().data(), count}, {want.view<float>().data(), count}))
      << architecture;
}

// What a file cannot say is changed in the folder: windows of Qwen2, other scales of attention.
TEST(GgufModel, KnowsOtherArchitectures) {
  expect_equal(kModels + "qwen3_heads", "qwen3");
  expect_equal(kModels + "gemma_mqa", "gemma");
  const TempFolder qwen2, gemma2, gemma3;
  copy_changed(qwen2, "qwen2_window", {{"layer_types", nullptr}, {"use_sliding_window", false}});
  expect_equal(qwen2.path(), "qwen2");
  copy_changed(gemma2, "gemma2_caps", {{"query_pre_attn_scalar", 32}});
  expect_equal(gemma2.path(), "gemma2");
  copy_changed(gemma3, "gemma3_local", {{"query_pre_attn_scalar", 24}});
  expect_equal(gemma3.path(), "gemma3");
  const TempFolder smollm3, gpt2;
  copy_changed(
      smollm3, "smollm3_nope",
      {{"no_rope_layers", nullptr}, {"layer_types", nullptr}, {"use_sliding_window", false}});
  expect_equal(smollm3.path(), "smollm3");
  expect_equal(kModels + "phi3_longrope", "phi3");
  copy_changed(gpt2, "gpt2_depth", {{"scale_attn_by_inverse_layer_idx", false}});
  expect_equal(gpt2.path(), "gpt2");
  expect_equal(kModels + "mamba2_groups", "mamba2");
  expect_equal(kModels + "mamba2_tied", "mamba2");
}

// GPT-NeoX's vocabulary, which Mamba's first checkpoints have, does not cut digits and composes
// letters.
TEST(GgufModel, KnowsGptNeoxPreTokenizer) {
  const auto tokenizer = [](const std::string& pre) {
    Parts parts;
    parts.pre = pre;
    const std::string bytes = convert(parts).bytes();
    return language::tokenizer_from_gguf(parse_gguf(std::as_bytes(std::span(bytes)), "x.gguf"));
  };
  const auto neox = tokenizer("mpt"), gpt2 = tokenizer("gpt-2");
  EXPECT_EQ(neox.encode("it's 12 caf\xc3\xa9"), gpt2.encode("it's 12 caf\xc3\xa9"));
  EXPECT_EQ(neox.encode("cafe\xcc\x81"), gpt2.encode("caf\xc3\xa9"));
  EXPECT_NE(gpt2.encode("cafe\xcc\x81"), gpt2.encode("caf\xc3\xa9"));
}

// Llama 3.1's stretched frequencies are divisors in a file, as convert_hf_to_gguf.py writes them.
TEST(GgufModel, ReadsFrequencyFactors) {
  Parts p = convert();
  p.tensor("rope_freqs.weight", {5}, {1, 1, 1.5f, 4, 8});
  const std::string bytes = p.bytes();
  const Json config = gguf_config(parse_gguf(std::as_bytes(std::span(bytes)), "x.gguf"));
  const auto plain = language::rope_frequencies(Json::load(kFolder + "/config.json"), 10);
  const auto stretched = language::rope_frequencies(config, 10);
  const float factors[] = {1, 1, 1.5f, 4, 8};
  for (std::size_t i = 0; i < 5; i++) {
    EXPECT_EQ(stretched.inv_freq[i], plain.inv_freq[i] / factors[i]);
  }
  const TempFolder folder;
  p = convert();
  p.tensor("rope_freqs.weight", {5}, {1, 1, 0, 4, 8});
  auto file = folder.write("bad.gguf", p.bytes());
  EXPECT_TRUE(throws<ModelError>([&] { load(file.string()); }, {"rope_freqs.weight", "above 0"}));
  p = convert();
  p.tensor("rope_freqs.weight", {2}, {1, 1});
  file = folder.write("bad.gguf", p.bytes());
  EXPECT_TRUE(throws<ModelError>([&] { load(file.string()); }, {"2 factors for 5 pairs"}));
}

TEST(GgufModel, RefusesWhatItDoesNotKnow) {
  const TempFolder folder;
  const auto refused = [&](Parts parts, std::initializer_list<std::string_view> words) {
    const auto file = folder.write("bad.gguf", parts.bytes());
    return throws<ModelError>([&] { load(file.string()); }, words);
  };
  Parts p;
  p.architecture = "gemma9";
  EXPECT_TRUE(refused(convert(p), {"bad.gguf", "general.architecture", "\"gemma9\""}));
  p = {};
  p.model = "unigram";
  EXPECT_TRUE(refused(convert(p), {"tokenizer.ggml.model", "\"unigram\"", "gpt2 and llama"}));
  p = {};
  p.pre = "other";
  EXPECT_TRUE(refused(convert(p), {"tokenizer.ggml.pre", "\"other\"", "smollm"}));
  p = convert();
  p.tensor("blk.0.attn_sinks.weight", {4}, {1, 2, 3, 4});
  EXPECT_TRUE(refused(p, {"blk.0.attn_sinks.weight", "not known"}));
  p = convert();
  p.tensor("blk.77.ffn_up.weight", {4}, {1, 2, 3, 4});
  EXPECT_TRUE(refused(p, {"model.layers.77.mlp.up_proj.weight"}));
  p = convert();
  p.metadata.value("llama.rope.scaling.type", "other");
  p.values++;
  EXPECT_TRUE(refused(p, {"llama.rope.scaling.type", "\"other\"", "linear and yarn"}));
  p = convert();
  p.metadata.value("llama.attention.value_length", 12u);
  p.values++;
  EXPECT_TRUE(refused(p, {"llama.attention.value_length", "12", "10"}));
  p = convert();
  p.tensor("blk.0.attn_q.bias", {60}, std::vector<float>(60, 1));
  EXPECT_TRUE(refused(p, {"blk.0.attn_q.bias", "biases of attention", "llama"}));
}

TEST(GgufModel, RefusesAStateSpaceThatDoesNotFit) {
  const TempFolder folder;
  const auto refused = [&](Parts parts, const std::function<void(Parts&)>& spoil,
                           std::initializer_list<std::string_view> words) {
    parts.architecture = "mamba2";
    parts = testing::convert(parts, kModels + "mamba2_tied");
    if (spoil) spoil(parts);
    const auto file = folder.write("bad.gguf", parts.bytes());
    return throws<ModelError>([&] { load(file.string()); }, words);
  };
  // One key of the conversion is renamed, and written anew.
  const auto key = [&](const std::string& name, std::uint32_t number,
                       std::initializer_list<std::string_view> words) {
    const auto spoil = [&](Parts& p) {
      p.metadata.bytes.at(p.metadata.bytes.find("mamba2." + name)) = 'x';
      p.metadata.value("mamba2." + name, number);
      p.values++;
    };
    return refused({}, spoil, words);
  };
  constexpr std::string_view kSizes = "do not describe a state space";
  EXPECT_TRUE(key("ssm.time_step_rank", 0, {kSizes, "num_heads 0"}));
  EXPECT_TRUE(key("ssm.time_step_rank", 3, {kSizes, "num_heads 3"}));
  EXPECT_TRUE(key("ssm.inner_size", 0xffffffff, {kSizes, "expand"}));
  EXPECT_TRUE(key("ssm.group_count", 2, {kSizes, "n_groups 2"}));
  EXPECT_TRUE(key("embedding_length", 0, {kSizes, "hidden_size 0"}));
  EXPECT_TRUE(key("ssm.conv_kernel", 4, {"mixer.conv1d.weight", "[144, 1, 4]"}));
  const auto tensor = [&](const std::string& name, const Shape& shape, float number,
                          std::initializer_list<std::string_view> words) {
    Parts parts;
    parts.change = [&](const std::string& n, Shape& s, std::vector<float>& values) {
      if (n != name) return;
      s = shape;
      values.assign(std::size_t(shape.count()), number);
    };
    return refused(parts, {}, words);
  };
  EXPECT_TRUE(tensor("blk.0.ssm_a", {5, 1}, 1, {"mixer.A", "1 makes no decay"}));
  EXPECT_TRUE(tensor("blk.0.ssm_a", {4, 1}, -1, {"mixer.A", "[4]", "[5]"}));
  EXPECT_TRUE(tensor("blk.0.ssm_conv1d.weight", {7}, 1, {"blk.0.ssm_conv1d", "[7]", "taps"}));
}

TEST(GgufModel, RefusesOtherNumberFormats) {
  const TempFolder folder;
  const auto file = folder.write("small.gguf", convert().bytes());
  LoadOptions options;
  options.quantize = "int8";
  EXPECT_TRUE(throws<RequestError>([&] { load(file.string(), options); }, {"GGUF", "quantize"}));
}

}  // namespace
}  // namespace chiasm
