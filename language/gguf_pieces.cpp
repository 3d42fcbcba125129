#include "language/gguf_pieces.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace chiasm::language {

namespace {

using nlohmann::json;

constexpr std::string_view kSpace = "\u2581";

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
             {"fuse_unk", true},      {"merges", piece_merges(tokens, types, scores)},
             {"byte_fallback", true}, {"unk_token", nullptr}};
  const auto unknown = std::ranges::find(types, std::int64_t(kUnknown));
  if (unknown != types.end()) model["unk_token"] = tokens[std::size_t(unknown - types.begin())];
  return {{"normalizer", normalizer},
          {"pre_tokenizer", nullptr},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
          {"model", model}};
}

}  // namespace chiasm::language
