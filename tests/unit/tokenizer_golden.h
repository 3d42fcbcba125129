#pragma once
/// The texts and hashes of tests/reference/make_tokenizer_golden.py, made again in C++.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "language/tokenizer.h"
#include "language/unicode.h"

namespace chiasm::test {

constexpr std::size_t kTexts = 10'000, kFull = 200, kSequences = 2'000;

inline std::filesystem::path tokenizer_golden(const std::string& name) {
  return std::filesystem::path(CHIASM_SOURCE_DIR) / "tests/golden/tokenizer" / name;
}

/// splitmix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()(std::uint64_t below) {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (z ^ (z >> 31)) % below;
  }

 private:
  std::uint64_t state_;
};

inline bool is_surrogate(std::uint64_t c) { return c >= 0xD800 && c < 0xE000; }

/// Text `index`: pieces and random code points.
inline std::string golden_text(std::uint64_t index) {
  static const auto pieces = Json::load(tokenizer_golden("pieces.json")).raw();
  Random rand(index);
  std::string out;
  for (std::uint64_t count = 1 + rand(12); count > 0; --count) {
    const auto kind = rand(8);
    if (kind == 0) {
      const auto c = rand(2) != 0 ? rand(0x110000) : rand(0x3000);
      language::append_utf8(is_surrogate(c) ? U'?' : char32_t(c), out);
    } else {
      const auto& piece = pieces[rand(pieces.size())].get_ref<const std::string&>();
      for (auto times = kind > 1 ? 1 : 1 + rand(20); times > 0; --times) out += piece;
    }
  }
  return out;
}

/// All code points of a page of 256, each between letters, marks, digits and spaces.
inline std::string every_code_point(std::uint32_t page) {
  std::string out;
  for (std::uint32_t c = page << 8; c < (page + 1) << 8; ++c) {
    if (is_surrogate(c)) continue;
    std::string point;
    language::append_utf8(c, point);
    out += "a" + point + "\u0327\u0301b " + point + "1" + point + point + " ";
  }
  return out;
}

inline std::uint64_t fnv(std::string_view bytes) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char b : bytes) hash = (hash ^ static_cast<unsigned char>(b)) * 0x100000001B3;
  return hash;
}

inline std::uint64_t hash_ids(const std::vector<std::int32_t>& ids) {
  return fnv({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(std::int32_t)});
}

inline std::vector<std::uint64_t> golden_hashes(const std::string& name) {
  const std::string bytes = read_file(tokenizer_golden(name), 1 << 20);
  std::vector<std::uint64_t> out(bytes.size() / 8);
  std::memcpy(out.data(), bytes.data(), out.size() * 8);
  return out;
}

/// The tokenizer.json of SmolLM2: the base and, from the file of merges, all other tokens.
inline Json smollm2_json() {
  auto json = Json::load(tokenizer_golden("smollm2_base.json")).raw();
  auto& vocabulary = json["model"]["vocab"];
  const std::string lines = read_file(tokenizer_golden("smollm2_merges.txt"), 1 << 20);
  std::size_t id = vocabulary.size();
  for (std::size_t begin = 0, end; begin < lines.size(); begin = end + 1) {
    end = lines.find('\n', begin);
    std::string merge = lines.substr(begin, end - begin);
    json["model"]["merges"].push_back(merge);
    vocabulary[merge.erase(merge.find(' '), 1)] = id++;
  }
  return Json::parse(json.dump(), "tokenizer.json");
}

/// A tokenizer of the golden files, loaded once.
inline language::Tokenizer golden_tokenizer(const std::string& name) {
  static std::map<std::string, language::Tokenizer> loaded;
  const auto it = loaded.find(name);
  if (it != loaded.end()) return it->second;
  const Json json =
      name == "smollm2" ? smollm2_json() : Json::load(tokenizer_golden(name + ".json"));
  return loaded.emplace(name, language::Tokenizer::from_json(json)).first->second;
}

/// The blocks of `count` items whose hash is not the golden one; `bytes(i)` is what item i gave.
inline std::string differing(const nlohmann::json& golden, std::size_t count, std::size_t block,
                             const std::function<std::string(std::size_t)>& bytes) {
  std::string out;
  for (std::size_t first = 0; first < count; first += block) {
    std::string all;
    for (std::size_t i = first; i < std::min(first + block, count); i++) all += bytes(i);
    char hash[17];
    std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(fnv(all)));
    if (golden[first / block] != hash) out += " " + std::to_string(first);
  }
  return out;
}

}  // namespace chiasm::test
