#include "language/gguf_pieces.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/error.h"

namespace chiasm::language {

namespace {

using nlohmann::json;

constexpr std::string_view kSpace = "\u2581";
/// Longer pieces have no merges: sentencepiece's own limit is 16 characters, and added words are
/// found before.
constexpr std::size_t kMaxPiece = 512;

struct Merge {
  double score;
  std::string_view left, right;
};

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

json merges(std::span<const std::string_view> tokens, std::span<const std::int64_t> types,
            std::span<const double> scores) {
  const auto joins = [&](std::size_t id) {
    return types[id] == kNormal || types[id] == kUserDefined;
  };
  std::unordered_map<std::string_view, std::size_t> pieces;
  for (std::size_t id = 0; id < tokens.size(); id++) {
    if (joins(id)) pieces.emplace(tokens[id], id);
  }
  std::vector<Merge> all;
  for (std::size_t id = 0; id < tokens.size(); id++) {
    const std::string_view piece = tokens[id];
    if (!joins(id) || piece.size() > kMaxPiece) continue;
    for (std::size_t cut = 1; cut < piece.size(); cut++) {
      if (!begins_character(piece[cut])) continue;
      const std::string_view left = piece.substr(0, cut), right = piece.substr(cut);
      if (pieces.contains(left) && pieces.contains(right)) all.push_back({scores[id], left, right});
    }
  }
  std::ranges::stable_sort(all, [](const Merge& a, const Merge& b) {
    if (a.score != b.score) return a.score > b.score;
    if (a.left.size() != b.left.size()) return a.left.size() > b.left.size();
    return a.right.size() > b.right.size();
  });
  json out = json::array();
  for (const Merge& m : all) out.push_back(json::array({m.left, m.right}));
  return out;
}

}  // namespace

json piece_parts(const GgufContents& gguf, std::span<const std::string_view> tokens,
                 std::span<const std::int64_t> types, const json& vocab) {
  const GgufValue& value = gguf.at("tokenizer.ggml.scores");
  const std::vector<double> scores = value.numbers();
  if (scores.size() != tokens.size()) {
    fail<ModelError>(value.where(), ": ", scores.size(), " scores for ", tokens.size(), " tokens");
  }
  if (!std::ranges::all_of(scores, [](double s) { return std::isfinite(s); })) {
    fail<ModelError>(value.where(), ": scores are not all finite");
  }
  const GgufValue* const prefix = gguf.find("tokenizer.ggml.add_space_prefix");
  const bool prefixed = prefix == nullptr || prefix->boolean();
  const json space{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}};
  json normalizer = space;
  json decoders =
      json::array({json{{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}},
                   json{{"type", "ByteFallback"}}, json{{"type", "Fuse"}}});
  if (prefixed) {
    normalizer = {
        {"type", "Sequence"},
        {"normalizers", json::array({json{{"type", "Prepend"}, {"prepend", kSpace}}, space})}};
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  json model{{"type", "BPE"},         {"vocab", vocab},
             {"fuse_unk", true},      {"merges", merges(tokens, types, scores)},
             {"byte_fallback", true}, {"unk_token", nullptr}};
  const auto unknown = std::ranges::find(types, std::int64_t(kUnknown));
  if (unknown != types.end()) model["unk_token"] = tokens[std::size_t(unknown - types.begin())];
  return {{"normalizer", normalizer},
          {"pre_tokenizer", nullptr},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
          {"model", model}};
}

}  // namespace chiasm::language
