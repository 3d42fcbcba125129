#pragma once
/// Dimensions of a tensor, outermost first.
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>
#include <string>

namespace chiasm {

/// At most kMaxRank dimensions, each >= 0. A scalar has rank 0 and one element.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims);
  explicit Shape(std::span<const std::int64_t> dims);

  int rank() const { return rank_; }
  /// The size of dimension `i`; a negative `i` counts from the end.
  std::int64_t operator[](int i) const { return dims_[std::size_t(i < 0 ? i + rank_ : i)]; }
  /// Number of elements. Throws ShapeError when it overflows int64.
  std::int64_t count() const;
  std::span<const std::int64_t> dims() const { return {dims_.data(), std::size_t(rank_)}; }
  std::string str() const;

  friend bool operator==(const Shape& a, const Shape& b);
  friend std::ostream& operator<<(std::ostream& out, const Shape& s) { return out << s.str(); }

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace chiasm
