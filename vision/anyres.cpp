#include "vision/anyres.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "core/error.h"

namespace chiasm::vision {

namespace {

/// Python's int(round(x, 7)): rounded as the decimal number is, then cut off.
std::int64_t cut_rounded(double x) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof(text) - 1, x, std::chars_format::fixed, 7);
  *end.ptr = '\0';
  return std::int64_t(std::strtod(text, nullptr));
}

/// Python's int(value // by) for positive numbers, which goes by the exact remainder.
std::int64_t floor_divided(std::int64_t value, double by) {
  const double exact = (double(value) - std::fmod(double(value), by)) / by;
  const double below = std::floor(exact);
  return std::int64_t(exact - below > 0.5 ? below + 1 : below);
}

}  // namespace

PictureSize best_resolution(PictureSize source, std::span<const PictureSize> choices) {
  PictureSize best;
  std::int64_t most_kept = 0, least_wasted = std::numeric_limits<std::int64_t>::max();
  for (const PictureSize& choice : choices) {
    const double scale = std::min(double(choice.width) / double(source.width),
                                  double(choice.height) / double(source.height));
    const auto width = std::int64_t(double(source.width) * scale);
    const auto height = std::int64_t(double(source.height) * scale);
    const std::int64_t kept = std::min(width * height, source.width * source.height);
    const std::int64_t wasted = choice.width * choice.height - kept;
    if (kept > most_kept || (kept == most_kept && wasted < least_wasted)) {
      most_kept = kept;
      least_wasted = wasted;
      best = choice;
    }
  }
  return best;
}

PictureSize fitted_size(PictureSize source, PictureSize target) {
  const double x = double(target.width) / double(source.width);
  const double y = double(target.height) / double(source.height);
  const auto up = [](std::int64_t side, double scale, std::int64_t most) {
    return std::min(std::int64_t(std::ceil(double(side) * scale)), most);
  };
  if (x < y) return {up(source.height, x, target.height), target.width};
  return {target.height, up(source.width, y, target.width)};
}

AnyresGrid anyres_grid(PictureSize source, std::int64_t rows, std::int64_t cols, std::int64_t side,
                       std::int64_t max_tiles) {
  check_source(source);
  AnyresGrid grid{.side = side, .rows = rows, .cols = cols};
  grid.height = rows * side;
  grid.width = cols * side;
  const double aspect = double(source.width) / double(source.height);
  if (aspect > double(grid.width) / double(grid.height)) {
    const double scale = double(grid.width) / double(source.width);
    grid.top = (grid.height - cut_rounded(double(source.height) * scale)) / 2;
    grid.height -= 2 * grid.top;
  } else {
    const double scale = double(grid.height) / double(source.height);
    grid.left = (grid.width - cut_rounded(double(source.width) * scale)) / 2;
    grid.width -= 2 * grid.left;
  }
  grid.out_height = grid.height;
  grid.out_width = grid.width;
  if (max_tiles == 0) return grid;
  const double ratio =
      std::sqrt(double(grid.height * grid.width) / double(max_tiles * side * side));
  if (ratio > 1.1) {
    grid.out_height = floor_divided(grid.height, ratio);
    grid.out_width = floor_divided(grid.width, ratio);
    if (grid.out_height < 1 || grid.out_width < 1) {
      fail<MediaError>("an image of ", source.width, " x ", source.height,
                       " pixels is too thin: shrunk, its features would be gone");
    }
  }
  return grid;
}

std::int64_t anyres_max_tiles(std::string_view text) {
  constexpr std::string_view start = "anyres_max_";
  std::int64_t tiles = 0;
  if (text.starts_with(start)) {
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data() + start.size(), end, tiles);
    if (read.ec == std::errc() && read.ptr == end && tiles > 0 && tiles < 4096) return tiles;
  }
  fail<ModelError>("vision_aspect_ratio: \"", std::string(text),
                   "\", expected anyres_max_<number>");
}

PatchSource shown_patch(const AnyresGrid& grid, std::int64_t row, std::int64_t col) {
  const std::int64_t y = grid.top + row, x = grid.left + col;
  return {1 + y / grid.side * grid.cols + x / grid.side, y % grid.side, x % grid.side};
}

std::vector<PatchSource> anyres_tokens(const AnyresGrid& grid) {
  if (grid.is_shrunk()) fail<ShapeError>("the tokens of a shrunk grid are no single patches");
  std::vector<PatchSource> tokens;
  tokens.reserve(std::size_t(grid.tokens()));
  for (std::int64_t i = 0; i < grid.side * grid.side; i++) {
    tokens.push_back({0, i / grid.side, i % grid.side});
  }
  for (std::int64_t row = 0; row < grid.height; row++) {
    for (std::int64_t col = 0; col < grid.width; col++) {
      tokens.push_back(shown_patch(grid, row, col));
    }
    tokens.push_back({});
  }
  return tokens;
}

}  // namespace chiasm::vision
