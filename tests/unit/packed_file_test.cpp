// The file of `chiasm quantize`: what is written is read, and nothing else is.
#include "core/packed_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "core/error.h"
#include "core/hash.h"
#include "core/mapped_file.h"
#include "kernels/matrix.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/support/safetensors_bytes.h"
#include "tests/support/temp_folder.h"

namespace chiasm {
namespace {

using kernels::Matrix;
using kernels::WeightFormat;
using testing::safetensors_bytes;
using testing::TempFolder;
using testing::throws;

constexpr WeightFormat kAll[] = {WeightFormat::f32, WeightFormat::bf16,    WeightFormat::f16,
                                 WeightFormat::q8,  WeightFormat::q8_rows, WeightFormat::q4};

/// 37 x 50: a narrow last panel, and inputs that fill no group.
Matrix small_matrix(WeightFormat format) {
  ThreadPool pool(2);
  Context ctx;
  ctx.pool = &pool;
  std::vector<float> weights(37 * 50);
  for (std::size_t i = 0; i < weights.size(); i++) {  // exact in every plain format
    weights[i] = float(int(mix64(i) % 255) - 127) / 128;
  }
  const kernels::WeightRows rows{reinterpret_cast<const std::byte*>(weights.data()), DType::f32,
                                 37};
  return Matrix::pack(ctx, {&rows, 1}, 50, format);
}

PackedContents parse(const std::string& bytes) {
  return parse_packed(std::as_bytes(std::span(bytes)), "chiasm.safetensors");
}

/// A file of one packed matrix "a" with the given notes.
std::string with_notes(const std::string& notes) {
  return safetensors_bytes(R"({"__metadata__":)" + notes +
                               R"(,"a":{"dtype":"U8","shape":[64],"data_offsets":[0,64]},)"
                               R"("b":{"dtype":"F32","shape":[1],"data_offsets":[64,68]}})",
                           std::string(68, 'x'));
}

std::string notes(const std::string& matrices, const std::string& version = "1") {
  return R"({"format":"chiasm","chiasm.version":")" + version +
         R"(","chiasm.layout":"l","chiasm.quantize":"int8","chiasm.dtype":"float32",)"
         R"("chiasm.matrices":")" +
         matrices + R"("})";
}

TEST(PackedFile, HoldsMatricesAsTheyAreAndTheRestToo) {
  const TempFolder folder;
  const float values[] = {1, 2.5f, -3};
  std::map<std::string, TensorEntry, std::less<>> others;
  others["norm"] = {DType::f32, Shape{3}, std::as_bytes(std::span(values))};
  std::vector<Matrix> matrices;
  std::vector<PackedMatrix> list;
  for (const WeightFormat format : kAll) {
    matrices.push_back(small_matrix(format));
    const std::string name(format_name(format));
    list.push_back({name, name, Shape{37, 50}, matrices.back().data(), {}});
  }
  write_packed(folder.path() / kPackedFile, {"layout", "int8", "float32"}, list, others);

  EXPECT_TRUE(has_packed_file(folder.path()));
  const auto [header, checkpoint] = open_packed(folder.path());
  EXPECT_EQ(header.layout, "layout");
  EXPECT_EQ(header.quantize, "int8");
  EXPECT_EQ(header.dtype, "float32");
  ASSERT_EQ(checkpoint.tensors().size(), 7u);
  const TensorEntry& norm = checkpoint.tensors().at("norm");
  EXPECT_EQ(norm.packed, "");
  EXPECT_EQ(std::memcmp(norm.bytes.data(), values, sizeof values), 0);
  for (std::size_t i = 0; i < std::size(kAll); i++) {
    const TensorEntry& entry = checkpoint.tensors().at(list[i].name);
    EXPECT_EQ(entry.packed, list[i].name);
    EXPECT_EQ(entry.shape, (Shape{37, 50}));
    const Matrix mapped = Matrix::over(entry.bytes, 37, 50, kAll[i]);
    EXPECT_EQ(mapped.data().data(), entry.bytes.data()) << "no copy";
    ASSERT_EQ(mapped.bytes(), matrices[i].bytes());
    EXPECT_EQ(std::memcmp(mapped.data().data(), matrices[i].data().data(), mapped.bytes()), 0);
    float was[50], is[50];
    matrices[i].row(36, was);
    mapped.row(36, is);
    EXPECT_EQ(std::memcmp(was, is, sizeof was), 0);
  }
}

/// 37 x 64 of a GGUF file's blocks: their values are given, so that no way of rounding counts.
Matrix block_matrix(BlockType type) {
  ThreadPool pool(1);
  Context ctx;
  ctx.pool = &pool;
  std::vector<std::byte> blocks(37 * 2 * block_bytes(type));
  for (std::size_t i = 0; i < blocks.size(); i++) {  // the upper bit of each half stays 0: finite
    blocks[i] = std::byte(mix64(i) % (i % 2 == 0 ? 256 : 64));
  }
  const kernels::BlockRows rows{blocks.data(), type, 37, 0};
  return Matrix::pack_blocks(ctx, {&rows, 1}, 64);
}

// Files on people's disks hold these bytes. If this fails, the layout has changed: give
// packed_layout() another name, and only then renew the hashes.
TEST(PackedFile, TheLayoutIsTheOneThatItsNameSays) {
  EXPECT_EQ(kernels::packed_layout(), "panel32.1");
  const auto hash = [](const Matrix& matrix) { return content_hash(matrix.data()).hex(); };
  EXPECT_EQ(hash(small_matrix(WeightFormat::f32)), "57f5ddced8ed653769b767e26528b404");
  EXPECT_EQ(hash(small_matrix(WeightFormat::bf16)), "ad30212aa2cc77f8d2e0e50cdb6b4942");
  EXPECT_EQ(hash(small_matrix(WeightFormat::f16)), "950c7bffc5cfaf3699fef3671b73c9f7");
  EXPECT_EQ(hash(small_matrix(WeightFormat::q8_rows)), "fca2ea654f7a1972b560163fedabc684");
  EXPECT_EQ(hash(block_matrix(BlockType::q8_0)), "bc7d9f46abedbab31701f310b6355579");
  EXPECT_EQ(hash(block_matrix(BlockType::q4_1)), "63503610d53e4e61164392d1b312f825");
}

TEST(PackedFile, BytesThatDoNotFitAreRefused) {
  alignas(64) std::byte bytes[4160] = {};
  const auto over = [&](std::size_t begin, std::size_t count) {
    Matrix::over({bytes + begin, count}, 16, 32, WeightFormat::f32);
  };
  over(0, 2048);
  EXPECT_TRUE(throws<ModelError>([&] { over(0, 2112); }, {"16 x 32", "2048", "2112"}));
  EXPECT_TRUE(throws<ModelError>([&] { over(0, 0); }, {"2048"}));
  EXPECT_TRUE(throws<ModelError>([&] { over(16, 2048); }, {"multiple of 64"}));
}

TEST(PackedFile, ForeignAndDamagedNotesAreRefused) {
  const std::string good = notes(R"({\"a\":{\"format\":\"q8\",\"shape\":[16,32]}})");
  EXPECT_EQ(parse(with_notes(good)).tensors.at("a").packed, "q8");
  const auto refused = [](const std::string& text, std::initializer_list<std::string_view> words) {
    return throws<FormatError>([&] { parse(with_notes(text)); }, words);
  };
  EXPECT_TRUE(refused(R"({"format":"pt"})", {"\"pt\"", "chiasm quantize"}));
  EXPECT_TRUE(refused("{}", {"has no note \"format\""}));
  EXPECT_TRUE(refused(R"({"format":3})", {"__metadata__.format"}));
  EXPECT_TRUE(refused("[]", {"__metadata__"}));
  EXPECT_TRUE(refused(notes("{}", "2"), {"version 2", "quantize the original model again"}));
  EXPECT_TRUE(refused(notes("3"), {"chiasm.matrices", "object"}));
  EXPECT_TRUE(refused(notes("{"), {"chiasm.matrices"}));
  const auto matrix = [](const std::string& name, const std::string& value) {
    return notes(R"({\")" + name + R"(\":)" + value + "}");
  };
  EXPECT_TRUE(refused(matrix("c", R"({\"format\":\"q8\",\"shape\":[16,32]})"), {"c", "U8"}));
  EXPECT_TRUE(refused(matrix("b", R"({\"format\":\"q8\",\"shape\":[16,32]})"), {"b", "U8"}));
  for (const char* shape : {"[]", "[16]", "[0,32]", "[16,-1]", "[1,1,1,1,1,1,1]"}) {
    const std::string value = std::string(R"({\"format\":\"q8\",\"shape\":)") + shape + "}";
    EXPECT_TRUE(refused(matrix("a", value), {"shape"})) << shape;
  }
  EXPECT_TRUE(refused(matrix("a", R"({\"format\":\"\",\"shape\":[16,32]})"), {"format"}));
  EXPECT_TRUE(refused(matrix("a", R"({\"shape\":[16,32]})"), {"format"}));
}

TEST(PackedFile, TwoSetsOfWeightsInOneFolderAreRefused) {
  const TempFolder folder;
  write_packed(folder.path() / kPackedFile, {"l", "int8", "float32"}, {}, {});
  std::ofstream(folder.path() / "model.safetensors") << "x";
  EXPECT_TRUE(throws<ModelError>([&] { open_packed(folder.path()); },
                                 {"chiasm.safetensors", "model.safetensors", "one of them"}));
}

TEST(PackedFile, AFullDiskIsAClearError) {
  const char byte[] = {1};
  std::map<std::string, TensorEntry, std::less<>> others;
  others["a"] = {DType::u8, Shape{1}, std::as_bytes(std::span(byte))};
  EXPECT_TRUE(throws<ModelError>([&] { write_packed("/no/such/file", {}, {}, others); },
                                 {"/no/such/file", "cannot be written", "No such file"}));
}

}  // namespace
}  // namespace chiasm
