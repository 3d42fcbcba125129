// Look-ups, patches and pixel shuffle: moves of numbers, so equal bit for bit.
#include "kernels/embed.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/expect_error.h"
#include "tests/support/kernels.h"
#include "tests/unit/all_close.h"

namespace chiasm::kernels {
namespace {

using namespace chiasm::testing;

TEST(Embed, LooksRowsUp) {
  const std::int64_t rows = 50, dim = 19;
  const auto table = random_floats(rows * dim, 1);
  const Context ctx = context(best_isa());
  const WeightRows part{reinterpret_cast<const std::byte*>(table.data()), DType::f32, rows};
  const Matrix matrix = Matrix::pack(ctx, {&part, 1}, dim, WeightFormat::f32);
  const std::vector<std::int32_t> ids = {49, 0, 7, 7};
  std::vector<float> y(4 * 19);
  embed(ctx, matrix, ids, view(y, {4, dim}));
  for (std::size_t i = 0; i < ids.size(); i++) {
    EXPECT_TRUE(bit_equal({y.data() + i * 19, 19}, {table.data() + ids[i] * dim, 19}));
  }
  embed(ctx, matrix, {}, TensorView<float>(y.data(), {0, dim}, "y"));
  const std::vector<std::int32_t> bad = {3, 50};
  EXPECT_TRUE(throws<RequestError>(
      [&] {
        embed(ctx, matrix, bad, TensorView<float>(y.data(), {2, dim}, "y"));
      },
      {"embed", "id 50", "index 1", "50 rows"}));
}

TEST(AddRows, AddsTableRows) {
  const auto table = random_floats(6 * 5, 2);
  std::vector<float> y = random_floats(3 * 5, 3);
  const std::vector<float> before = y;
  const std::vector<std::int32_t> ids = {5, 0, 5}, bad = {0, -1, 0};
  const Context ctx = context(best_isa());
  add_rows(ctx, view(table, {6, 5}), ids, view(y, {3, 5}));
  for (std::size_t i = 0; i < y.size(); i++) {
    EXPECT_EQ(y[i], before[i] + table[std::size_t(ids[i / 5]) * 5 + i % 5]);
  }
  EXPECT_TRUE(throws<RequestError>(
      [&] {
        add_rows(ctx, view(table, {6, 5}), bad, view(y, {3, 5}));
      },
      {"id -1", "index 1"}));
}

TEST(ExtractPatches, FollowsTheConvolutionWeight) {
  const std::int64_t channels = 3, height = 12, width = 20, patch = 4;
  const auto pixels = random_floats(channels * height * width, 4);
  std::vector<float> y(std::size_t(channels * height * width));
  const Context ctx = context(best_isa());
  const std::int64_t patches = (height / patch) * (width / patch);
  extract_patches(ctx, view(pixels, {channels, height, width}), patch,
                  view(y, {patches, channels * patch * patch}));
  for (std::int64_t c = 0; c < channels; c++) {
    for (std::int64_t h = 0; h < height; h++) {
      for (std::int64_t w = 0; w < width; w++) {
        const std::int64_t row = h / patch * (width / patch) + w / patch;
        const std::int64_t col = (c * patch + h % patch) * patch + w % patch;
        EXPECT_EQ(y[std::size_t(row * channels * patch * patch + col)],
                  pixels[std::size_t((c * height + h) * width + w)]);
      }
    }
  }
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        extract_patches(ctx, view(pixels, {channels, 20, 12}), 5, view(y, {1, 1}));
      },
      {"extract_patches", "patches of 5"}));
}

TEST(ExtractStretches, MatchesTheDefinition) {
  const Context ctx = context(best_isa());
  const std::int64_t channels = 5;
  for (const std::int64_t frames : {1, 2, 7, 40}) {
    const auto x = random_floats(frames * channels, 6);
    for (const auto& [kernel, stride, padding] :
         {std::array<std::int64_t, 3>{3, 1, 1}, {3, 2, 1}, {1, 1, 0}, {4, 3, 2}}) {
      const std::int64_t rows = (frames + 2 * padding - kernel) / stride + 1;
      if (frames + 2 * padding < kernel) continue;
      std::vector<float> y(std::size_t(rows * channels * kernel), 7);
      extract_stretches(ctx, view(x, {frames, channels}), kernel, stride, padding,
                        view(y, {rows, channels * kernel}));
      for (std::int64_t i = 0; i < rows * channels * kernel; i++) {
        const std::int64_t t = i / (channels * kernel) * stride + i % kernel - padding;
        const std::int64_t c = i / kernel % channels;
        const float want = t < 0 || t >= frames ? 0 : x[std::size_t(t * channels + c)];
        EXPECT_EQ(y[std::size_t(i)], want);
      }
    }
  }
  std::vector<float> x(10), y(10);
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        extract_stretches(ctx, view(x, {2, 5}), 3, 1, 0, view(y, {2, 5}));
      },
      {"extract_stretches", "kernel of 3"}));
}

// The chain of views and permutes of Idefics3Connector.pixel_shuffle, written out.
std::vector<float> shuffled_as_transformers(const std::vector<float>& x, std::int64_t height,
                                            std::int64_t width, std::int64_t factor,
                                            std::int64_t dim) {
  const std::int64_t down = height / factor, across = width / factor;
  // view(height, width / f, dim * f), permute(1, 0, 2), reshape(w / f, h / f, dim * f^2),
  // permute(1, 0, 2)
  const auto first = [&](std::int64_t w, std::int64_t h, std::int64_t e) {
    return x[std::size_t((h * across + w) * dim * factor + e)];
  };
  std::vector<float> out;
  for (std::int64_t i = 0; i < down; i++) {
    for (std::int64_t j = 0; j < across; j++) {
      for (std::int64_t e = 0; e < dim * factor * factor; e++) {
        out.push_back(first(j, i * factor + e / (dim * factor), e % (dim * factor)));
      }
    }
  }
  return out;
}

TEST(PixelShuffle, MatchesTransformers) {
  const Context ctx = context(best_isa());
  for (const std::int64_t factor : {1, 2, 3, 4}) {
    for (const std::int64_t height : {12, 24}) {
      const std::int64_t width = 12, dim = 5, tokens = height * width / (factor * factor);
      const auto x = random_floats(height * width * dim, 5);
      std::vector<float> y(x.size());
      pixel_shuffle(ctx, view(x, {height * width, dim}), height, width, factor,
                    view(y, {tokens, dim * factor * factor}));
      EXPECT_TRUE(bit_equal(y, shuffled_as_transformers(x, height, width, factor, dim)))
          << factor << ", height " << height;
    }
  }
  std::vector<float> y(1);
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        pixel_shuffle(ctx, view(y, {1, 1}), 4, 5, 2, view(y, {1, 1}));
      },
      {"4 x 5", "blocks of 2"}));
}

TEST(Unfold, InterleavesTheRowsOfABlock) {
  const std::int64_t height = 4, width = 6, factor = 2, dim = 3, square = factor * factor;
  const auto x = random_floats(height * width * dim, 6);
  std::vector<float> y(x.size());
  unfold(context(best_isa()), view(x, {height * width, dim}), height, width, factor,
         view(y, {6, dim * square}));
  for (std::int64_t i = 0; i < std::int64_t(y.size()); i++) {
    const std::int64_t p = i / (dim * square), d = i % (dim * square) / square, s = i % square;
    const std::int64_t row = p / 3 * factor + s / factor, col = p % 3 * factor + s % factor;
    EXPECT_EQ(y[std::size_t(i)], x[std::size_t((row * width + col) * dim + d)]) << i;
  }
}

TEST(MeanRows, AddsInOrderAndRefusesWhatIsNotThere) {
  const Context ctx = context(best_isa());
  const std::vector<float> x{1, 2, 3, 4, 5, 7};
  const std::vector<std::int32_t> from{2, 0, 1, 1}, bad{2, 3}, odd{0, 1, 2};
  std::vector<float> y(4);
  mean_rows(ctx, view(x, {3, 2}), from, view(y, {2, 2}));
  EXPECT_EQ(y, (std::vector<float>{3, 4.5f, 3, 4}));
  EXPECT_TRUE(throws<RequestError>(
      [&] {
        mean_rows(ctx, view(x, {3, 2}), bad, view(y, {2, 2}));
      },
      {"3"}));
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        mean_rows(ctx, view(x, {3, 2}), odd, view(y, {2, 2}));
      },
      {"3"}));
  copy_rows(ctx, view(x, {3, 2}), std::vector<std::int32_t>{1, 0}, view(y, {2, 2}));
  EXPECT_EQ(y, (std::vector<float>{3, 4, 1, 2}));
}

}  // namespace
}  // namespace chiasm::kernels
