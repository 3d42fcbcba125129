#include "language/piece_merges.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace chiasm::language {

using nlohmann::json;

namespace {

/// Longer pieces have no merges: sentencepiece's own limit is 16 characters, and added words are
/// found before.
constexpr std::size_t kMaxPiece = 512;

struct Merge {
  double score;
  std::string_view left, right;
};

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

}  // namespace

json piece_merges(std::span<const std::string_view> pieces, std::span<const std::int64_t> kinds,
                  std::span<const double> scores) {
  const auto joins = [&](std::size_t id) {
    return kinds[id] == kNormal || kinds[id] == kUserDefined;
  };
  std::unordered_map<std::string_view, std::size_t> known;
  for (std::size_t id = 0; id < pieces.size(); id++) {
    if (joins(id)) known.emplace(pieces[id], id);
  }
  std::vector<Merge> all;
  for (std::size_t id = 0; id < pieces.size(); id++) {
    const std::string_view piece = pieces[id];
    if (!joins(id) || piece.size() > kMaxPiece) continue;
    for (std::size_t cut = 1; cut < piece.size(); cut++) {
      if (!begins_character(piece[cut])) continue;
      const std::string_view left = piece.substr(0, cut), right = piece.substr(cut);
      if (known.contains(left) && known.contains(right)) all.push_back({scores[id], left, right});
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

}  // namespace chiasm::language
