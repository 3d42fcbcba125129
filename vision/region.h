#pragma once
/// Parts of a picture, told in its own pixels whatever was resized, padded or cut on the way.
#include <algorithm>

#include "vision/crop.h"
#include "vision/processor_settings.h"

namespace chiasm::vision {

/// A rectangle in pixels from a picture's top left corner; a whole picture is {0, 0, width,
/// height}. It may reach over the edges, where padding was added.
struct Region {
  double left = 0, top = 0, right = 0, bottom = 0;

  static Region whole(PictureSize size) { return {0, 0, double(size.width), double(size.height)}; }
  double width() const { return right - left; }
  double height() const { return bottom - top; }
  Region moved(double x, double y) const { return {left + x, top + y, right + x, bottom + y}; }
  Region scaled(double x, double y) const { return {left * x, top * y, right * x, bottom * y}; }
  /// Its cell (row, col) of rows x cols equal ones; fractions of cells are places within.
  Region cell(double row, double col, double rows, double cols) const {
    const double w = width() / cols, h = height() / rows;
    return {left + col * w, top + row * h, left + (col + 1) * w, top + (row + 1) * h};
  }
  /// What of it lies within a picture of `size`; of no width or height where nothing does.
  Region within(PictureSize size) const {
    const auto x = [&](double at) { return std::clamp(at, 0.0, double(size.width)); };
    const auto y = [&](double at) { return std::clamp(at, 0.0, double(size.height)); };
    return {x(left), y(top), x(right), y(bottom)};
  }

  bool operator==(const Region&) const = default;
};

/// What a picture of `from` shows of itself once it is resized to `size` and cut around its middle
/// to `to`.
inline Region cut_region(PictureSize from, PictureSize size, PictureSize to) {
  const CentreCut cut = centre_cut(size, to);
  const Region kept{0, 0, double(to.width), double(to.height)};
  return kept.moved(double(cut.box.left - cut.border.left), double(cut.box.top - cut.border.top))
      .scaled(double(from.width) / double(size.width), double(from.height) / double(size.height));
}

}  // namespace chiasm::vision
