#include "core/tensor.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <utility>

#include "core/error.h"
#include "core/shape.h"
#include "tests/support/expect_error.h"

namespace chiasm {
namespace {

using testing::throws;

TEST(Shape, CountsAndPrints) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape.count(), 30);
  EXPECT_EQ(shape[-1], 5);
  EXPECT_EQ(shape.str(), "[2, 3, 5]");
  EXPECT_EQ(Shape().count(), 1);
  EXPECT_EQ(Shape().str(), "[]");
  EXPECT_EQ((Shape{7, 0}).count(), 0);
  EXPECT_FALSE((Shape{1, 2}) == (Shape{1, 2, 1}));
}

TEST(Shape, RefusesWhatCannotBe) {
  EXPECT_TRUE(throws<ShapeError>([] { Shape{2, -1}; }, {"negative dimension -1"}));
  EXPECT_TRUE(throws<ShapeError>([] { Shape{1, 1, 1, 1, 1, 1, 1}; }, {"rank 7", "limit of 6"}));
  EXPECT_TRUE(throws<ShapeError>(
      [] {
        (void)Shape({std::int64_t(1) << 32, std::int64_t(1) << 32}).count();
      },
      {"too many elements"}));
}

TEST(Tensor, OwnsAlignedMemory) {
  Tensor tensor(DType::bf16, {3, 5});
  EXPECT_EQ(tensor.bytes(), 30u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64, 0u);
  const Tensor moved = std::move(tensor);
  EXPECT_EQ(moved.view<bf16>().shape(), (Shape{3, 5}));
  EXPECT_NE(Tensor(DType::f32, {0}).data(), nullptr);
}

TEST(Tensor, RefusesAViewOfAnotherType) {
  Tensor tensor(DType::f32, {4});
  EXPECT_TRUE(throws<ShapeError>([&] { tensor.view<bf16>("w"); }, {"w", "float32", "bfloat16"}));
}

TEST(Tensor, TooLargeIsAnError) {
  EXPECT_TRUE(
      throws<ShapeError>([] { Tensor(DType::f64, {std::int64_t(1) << 62}); }, {"too large"}));
}

TEST(TensorView, SlicesRowsAndColumns) {
  std::array<float, 12> values{};
  for (std::size_t i = 0; i < values.size(); i++) values[i] = float(i);
  const TensorView<float> all(values.data(), {3, 4}, "x");
  EXPECT_TRUE(all.contiguous());
  const TensorView<const float> rows = all.slice_rows(1, 2);
  EXPECT_EQ(rows.shape(), (Shape{2, 4}));
  EXPECT_EQ(rows.row(1)[3], 11.0f);
  const TensorView<float> columns = all.slice_cols(1, 2);
  EXPECT_FALSE(columns.contiguous());
  EXPECT_EQ(columns.row_stride(), 4);
  EXPECT_EQ(columns.row(2)[1], 10.0f);
  EXPECT_EQ(columns.slice_rows(2, 1).slice_cols(1, 1).row(0)[0], 10.0f);
}

TEST(TensorView, CountsRows) {
  float value = 0;
  EXPECT_EQ(TensorView<float>(&value, {2, 3, 4}).rows(), 6);
  EXPECT_EQ(TensorView<float>(&value, {4}).rows(), 1);
  EXPECT_EQ(TensorView<float>(&value, {4}).cols(), 4);
  EXPECT_EQ(TensorView<float>(&value, {0, 4}).rows(), 0);
}

TEST(TensorView, ChecksShapesAndStrides) {
  float value = 0;
  const TensorView<float> view(&value, {2, 3}, "weight");
  EXPECT_NO_THROW(view.expect({2, 3}));
  EXPECT_TRUE(throws<ShapeError>([&] { view.expect({3, 2}); }, {"weight", "[2, 3]", "[3, 2]"}));
  EXPECT_TRUE(throws<ShapeError>(
      [&] {
        TensorView<float>(&value, {2, 3}, 2, "x");
      },
      {"x", "row stride 2"}));
}

TEST(Error, GainsContextAndKeepsItsType) {
  const auto work = [] {
    in_context("model", [] { in_context("layer", [] { fail<MediaError>("width ", 5); }); });
  };
  EXPECT_TRUE(throws<MediaError>(work, {"model: layer: width 5"}));
  EXPECT_EQ(in_context("x", [] { return 7; }), 7);
}

}  // namespace
}  // namespace chiasm
