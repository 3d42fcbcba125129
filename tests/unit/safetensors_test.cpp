#include "core/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "core/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/safetensors_bytes.h"
#include "tests/support/temp_folder.h"

namespace chiasm {
namespace {

using testing::float_bytes;
using testing::little_endian;
using testing::safetensors_bytes;
using testing::TempFolder;
using testing::throws;

std::map<std::string, TensorEntry, std::less<>> parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "x.safetensors");
}

/// Expects a FormatError that names the file and holds every one of `words`.
::testing::AssertionResult refused(const std::string& bytes,
                                   std::initializer_list<std::string_view> words) {
  const auto named = throws<FormatError>([&] { parse(bytes); }, {"x.safetensors"});
  return named ? throws<FormatError>([&] { parse(bytes); }, words) : named;
}

/// One float32 tensor "a" of shape [2] with the given text in place of its offsets.
std::string with_offsets(const std::string& offsets, std::size_t data_bytes = 8) {
  return safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + offsets + "}}",
                           std::string(data_bytes, 'x'));
}

std::string with_shape(const std::string& shape) {
  return safetensors_bytes(R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,8]}})",
                           std::string(8, 'x'));
}

TEST(Safetensors, ReadsTensorsWhereTheyLie) {
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("b":{"dtype":"BF16","shape":[2,1],"data_offsets":[8,12]},)"
                             R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("scalar":{"dtype":"U8","shape":[],"data_offsets":[12,13]},)"
                             R"("empty":{"dtype":"F32","shape":[0,5],"data_offsets":[8,8]}}   )";
  const std::string bytes = safetensors_bytes(header, float_bytes({1.5f, -2.0f}) + "12345");
  const auto tensors = parse(bytes);
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors.at("a").dtype, DType::f32);
  EXPECT_EQ(tensors.at("a").shape, Shape{2});
  EXPECT_EQ(std::memcmp(tensors.at("a").bytes.data(), float_bytes({1.5f, -2.0f}).data(), 8), 0);
  EXPECT_EQ(tensors.at("b").dtype, DType::bf16);
  EXPECT_EQ(tensors.at("b").shape, (Shape{2, 1}));
  EXPECT_EQ(std::memcmp(tensors.at("b").bytes.data(), "1234", 4), 0);
  EXPECT_EQ(tensors.at("scalar").shape.rank(), 0);
  EXPECT_EQ(tensors.at("scalar").bytes[0], std::byte('5'));
  EXPECT_TRUE(tensors.at("empty").bytes.empty());
}

TEST(Safetensors, ReadsEveryDtype) {
  const std::pair<const char*, DType> cases[] = {
      {"F64", DType::f64}, {"F32", DType::f32},     {"F16", DType::f16}, {"BF16", DType::bf16},
      {"I64", DType::i64}, {"I32", DType::i32},     {"I16", DType::i16}, {"I8", DType::i8},
      {"U8", DType::u8},   {"BOOL", DType::boolean}};
  for (const auto& [text, dtype] : cases) {
    const std::size_t size = 3 * size_of(dtype);
    const auto tensors = parse(safetensors_bytes(std::string(R"({"a":{"dtype":")") + text +
                                                     R"(","shape":[3],"data_offsets":[0,)" +
                                                     std::to_string(size) + "]}}",
                                                 std::string(size, 'x')));
    EXPECT_EQ(tensors.at("a").dtype, dtype) << text;
  }
}

TEST(Safetensors, RefusesBadHeaderLengths) {
  EXPECT_TRUE(refused("", {"too short"}));
  EXPECT_TRUE(refused("1234567", {"too short"}));
  EXPECT_TRUE(refused(little_endian(3, 8) + "{}", {"offset 8", "past the end", "truncated"}));
  EXPECT_TRUE(refused(little_endian(~0ull, 8) + "{}", {"18446744073709551615", "over the limit"}));
  EXPECT_TRUE(refused(little_endian(100'000'001, 8) + "{}", {"over the limit of 100000000"}));
  EXPECT_TRUE(refused(little_endian(100'000'000, 8) + "{}", {"past the end"}));
}

TEST(Safetensors, RefusesHeadersThatAreNotTheRightJson) {
  EXPECT_TRUE(refused(safetensors_bytes("", ""), {"JSON"}));
  EXPECT_TRUE(refused(safetensors_bytes("{", ""), {"JSON"}));
  EXPECT_TRUE(refused(safetensors_bytes("{}x", ""), {"JSON"}));
  EXPECT_TRUE(refused(safetensors_bytes("[]", ""), {"not a JSON object"}));
  EXPECT_TRUE(refused(safetensors_bytes("{\"\xff\":1}", ""), {"JSON"}));
  EXPECT_TRUE(refused(safetensors_bytes(R"({"a":5})", ""), {"a", "expected an object"}));
  EXPECT_TRUE(refused(safetensors_bytes(R"({"a":{"dtype":"F32"}})", ""), {"a", "shape"}));
  EXPECT_TRUE(refused(safetensors_bytes(std::string(100, '['), ""), {"nested deeper"}));
}

TEST(Safetensors, RefusesDuplicateNames) {
  const std::string one = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  EXPECT_TRUE(refused(safetensors_bytes("{" + one + "," + one + "}", std::string(8, 'x')),
                      {"duplicate", "\"a\""}));
}

TEST(Safetensors, RefusesUnknownDtypes) {
  for (const char* text : {"F8_E4M3", "f32", "", "C64"}) {
    EXPECT_TRUE(refused(safetensors_bytes(std::string(R"({"a":{"dtype":")") + text +
                                              R"(","shape":[2],"data_offsets":[0,8]}})",
                                          std::string(8, 'x')),
                        {"a", "unknown dtype", text}));
  }
  EXPECT_TRUE(refused(
      safetensors_bytes(R"({"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})", "12345678"),
      {"a.dtype", "expected a string"}));
}

TEST(Safetensors, RefusesBadShapes) {
  EXPECT_TRUE(refused(with_shape("[-2]"), {"a.shape[0]", "-2"}));
  EXPECT_TRUE(refused(with_shape("[2.0]"), {"a.shape[0]", "2.0"}));
  EXPECT_TRUE(refused(with_shape("[\"2\"]"), {"a.shape[0]"}));
  EXPECT_TRUE(refused(with_shape("2"), {"a.shape", "expected an array"}));
  EXPECT_TRUE(refused(with_shape("[1,1,1,1,1,1,2]"), {"a.shape", "rank 7"}));
  EXPECT_TRUE(refused(with_shape("[9223372036854775808]"), {"a.shape[0]", "too large"}));
  // Elements overflow; elements fit but bytes overflow; a wrapped product that would equal 8 bytes.
  EXPECT_TRUE(refused(with_shape("[4294967296,4294967296]"), {"a", "too large"}));
  EXPECT_TRUE(refused(with_shape("[2305843009213693952]"), {"a", "too large"}));
  EXPECT_TRUE(refused(with_shape("[4611686018427387905,2]"), {"a", "too large"}));
}

TEST(Safetensors, RefusesOffsetsOutOfBounds) {
  EXPECT_TRUE(refused(with_offsets("[0,8]", 7), {"a", "past the end", "truncated"}));
  EXPECT_TRUE(refused(with_offsets("[8,16]"), {"a", "past the end"}));
  EXPECT_TRUE(refused(with_offsets("[9223372036854775807,9223372036854775807]"), {"past the end"}));
  EXPECT_TRUE(
      refused(with_offsets("[0,18446744073709551615]"), {"a.data_offsets[1]", "too large"}));
  EXPECT_TRUE(refused(with_offsets("[8,0]"), {"a.data_offsets", "ends before"}));
  EXPECT_TRUE(refused(with_offsets("[-8,0]"), {"a.data_offsets[0]", "-8"}));
  EXPECT_TRUE(refused(with_offsets("[0]"), {"a.data_offsets", "[begin, end]"}));
  EXPECT_TRUE(refused(with_offsets("[0,4,8]"), {"a.data_offsets", "[begin, end]"}));
  EXPECT_TRUE(refused(with_offsets("null"), {"a.data_offsets", "[begin, end]"}));
}

TEST(Safetensors, RefusesSizesThatDoNotMatch) {
  EXPECT_TRUE(refused(with_offsets("[0,4]", 4), {"a", "shape [2]", "takes 8 bytes", "4"}));
  EXPECT_TRUE(refused(with_offsets("[0,12]", 12), {"a", "takes 8 bytes", "12"}));
}

/// Two float32 tensors of shape [2] with these offsets, over 24 bytes of data.
std::string two_tensors(const std::string& a, const std::string& b, std::size_t data_bytes) {
  return safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + a +
                               R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":)" + b + "}}",
                           std::string(data_bytes, 'x'));
}

TEST(Safetensors, RefusesOverlapsAndGaps) {
  EXPECT_EQ(parse(two_tensors("[8,16]", "[0,8]", 16)).size(), 2u);
  EXPECT_TRUE(refused(two_tensors("[0,8]", "[4,12]", 12), {"b", "offset", "inside the tensor"}));
  EXPECT_TRUE(refused(two_tensors("[0,8]", "[0,8]", 8), {"inside the tensor"}));
  EXPECT_TRUE(refused(two_tensors("[0,8]", "[12,20]", 20), {"b", "leaving a gap"}));
  EXPECT_TRUE(refused(two_tensors("[4,12]", "[12,20]", 20), {"a", "leaving a gap"}));
  EXPECT_TRUE(refused(two_tensors("[0,8]", "[8,16]", 24), {"8 bytes", "belong to no tensor"}));
}

TEST(Safetensors, EveryTruncationOfAGoodFileIsRefused) {
  const std::string good = two_tensors("[0,8]", "[8,16]", 16);
  for (std::size_t size = 0; size < good.size(); size++) {
    EXPECT_TRUE(refused(good.substr(0, size), {})) << size;
  }
}

const std::string kOneTensor = safetensors_bytes(
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", float_bytes({1.0f, 2.0f}));
const std::string kOtherTensor = safetensors_bytes(
    R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", float_bytes({3.0f}));

TEST(Checkpoint, OpensOneFile) {
  const TempFolder folder;
  folder.write("model.safetensors", kOneTensor);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.tensors().size(), 1u);
  EXPECT_EQ(checkpoint.bytes(), 8u);
  EXPECT_EQ(checkpoint.source(), "model.safetensors");
}

TEST(Checkpoint, OpensShards) {
  const TempFolder folder;
  folder.write("s1.safetensors", kOneTensor);
  folder.write("s2.safetensors", kOtherTensor);
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.tensors().size(), 2u);
  EXPECT_EQ(checkpoint.bytes(), 12u);
}

TEST(Checkpoint, NamesWhatIsMissing) {
  const TempFolder folder;
  EXPECT_TRUE(
      throws<ModelError>([&] { Checkpoint::open(folder.path() / "no"); }, {"is not a folder"}));
  EXPECT_TRUE(throws<ModelError>([&] { Checkpoint::open(folder.path()); },
                                 {folder.path().string(), "model.safetensors"}));
  folder.write("s1.safetensors", kOneTensor);
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  EXPECT_TRUE(throws<ModelError>([&] { Checkpoint::open(folder.path()); },
                                 {"s2.safetensors", "cannot be opened"}));
}

TEST(Checkpoint, RefusesANameInTwoShards) {
  const TempFolder folder;
  folder.write("s1.safetensors", kOneTensor);
  folder.write("s2.safetensors", kOneTensor);
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  EXPECT_TRUE(throws<ModelError>([&] { Checkpoint::open(folder.path()); },
                                 {"a is in both", "s1.safetensors", "s2.safetensors"}));
}

TEST(Checkpoint, RefusesAnIndexThatLies) {
  const TempFolder folder;
  folder.write("s1.safetensors", kOneTensor);
  folder.write("s2.safetensors", kOtherTensor);
  folder.write(
      "model.safetensors.index.json",
      R"({"weight_map":{"a":"s2.safetensors","b":"s2.safetensors","c":"s1.safetensors"}})");
  EXPECT_TRUE(throws<ModelError>([&] { Checkpoint::open(folder.path()); },
                                 {"puts a in s2.safetensors", "does not hold it"}));
}

TEST(Checkpoint, RefusesShardsOutsideTheFolder) {
  const TempFolder folder;
  for (const char* shard : {"../x.safetensors", "/etc/passwd", "a\\\\b", "", "..", "a\\u0000b"}) {
    folder.write("model.safetensors.index.json",
                 std::string(R"({"weight_map":{"a":")") + shard + R"("}})");
    EXPECT_TRUE(throws<FormatError>([&] { Checkpoint::open(folder.path()); },
                                    {"model.safetensors.index.json", "plain file name"}))
        << shard;
  }
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":5}})");
  EXPECT_TRUE(throws<FormatError>([&] { Checkpoint::open(folder.path()); }, {"expected a string"}));
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const TempFolder folder;
  EXPECT_TRUE(throws<ModelError>([&] { MappedFile map(folder.path()); }, {"regular file"}));
  EXPECT_TRUE(throws<ModelError>([&] { MappedFile map(folder.path() / "no"); },
                                 {"cannot be opened", "No such file"}));
  EXPECT_TRUE(MappedFile(folder.write("empty", "")).bytes().empty());
}

TEST(MappedFile, MovesItsBytes) {
  const TempFolder folder;
  MappedFile first(folder.write("file", "words"));
  const std::byte* data = first.bytes().data();
  MappedFile second(std::move(first));
  EXPECT_EQ(second.bytes().data(), data);
  first = std::move(second);
  EXPECT_EQ(first.bytes().data(), data);
  EXPECT_EQ(first.bytes().size(), 5u);
}

/// Resident bytes of this process that lie in `bytes`, in pages.
std::size_t resident_pages(std::span<const std::byte> bytes) {
  const auto page = std::size_t(::sysconf(_SC_PAGESIZE));
  std::size_t kilobytes = 0;
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(bytes.data());
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t from = 0, to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &from, &to) == 2) inside = from == wanted;
    if (inside && line.starts_with("Rss:")) std::sscanf(line.c_str(), "Rss: %zu", &kilobytes);
  }
  return kilobytes * 1024 / page;
}

TEST(MappedFile, ReleaseDropsWholePagesAndKeepsTheBytes) {
  const auto page = std::size_t(::sysconf(_SC_PAGESIZE));
  const TempFolder folder;
  const MappedFile file(folder.write("file", std::string(8 * page + 100, 'w')));
  std::size_t sum = 0;
  const auto touch = [&] {
    for (const std::byte b : file.bytes()) sum += std::to_integer<std::size_t>(b);
  };
  touch();
  ASSERT_EQ(resident_pages(file.bytes()), 9u);
  file.release(page / 2, 3 * page);  // pages 1 and 2 lie wholly inside, 0 and 3 in part
  EXPECT_EQ(resident_pages(file.bytes()), 7u);
  file.release(7 * page, page + 100);  // reaches the end of the file: its short last page goes too
  EXPECT_EQ(resident_pages(file.bytes()), 5u);
  file.release(100 * page, 5);  // outside: nothing to do
  file.release(0, ~std::size_t(0));
  EXPECT_EQ(resident_pages(file.bytes()), 0u);
  sum = 0;
  touch();
  EXPECT_EQ(sum, file.bytes().size() * 'w');
}

TEST(Checkpoint, ReleasesTheFileOfAnEntry) {
  const auto page = std::size_t(::sysconf(_SC_PAGESIZE));
  const TempFolder folder;
  const std::size_t size = 6 * page;
  folder.write("model.safetensors",
               safetensors_bytes(R"({"a":{"dtype":"U8","shape":[)" + std::to_string(size) +
                                     R"(],"data_offsets":[0,)" + std::to_string(size) + "]}}",
                                 std::string(size, 'w')));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  const TensorEntry& a = checkpoint.tensors().at("a");
  EXPECT_EQ(std::size_t(std::count(a.bytes.begin(), a.bytes.end(), std::byte('w'))), size);
  const auto start = reinterpret_cast<std::uintptr_t>(a.bytes.data()) / page * page;
  const std::span<const std::byte> whole(reinterpret_cast<const std::byte*>(start), size + page);
  ASSERT_EQ(resident_pages(whole), 7u);
  checkpoint.release(a);
  EXPECT_EQ(resident_pages(whole), 1u);  // the header's page, which the tensor only shares
}

}  // namespace
}  // namespace chiasm
