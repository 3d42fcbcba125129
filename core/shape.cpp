#include "core/shape.h"

#include <algorithm>

#include "core/error.h"

namespace chiasm {

Shape::Shape(std::initializer_list<std::int64_t> dims)
    : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const std::int64_t> dims) {
  if (dims.size() > kMaxRank) {
    fail<ShapeError>("rank ", dims.size(), " is over the limit of ", kMaxRank);
  }
  for (const std::int64_t d : dims) {
    if (d < 0) fail<ShapeError>("negative dimension ", d);
    dims_[std::size_t(rank_++)] = d;
  }
}

std::int64_t Shape::count() const {
  std::int64_t n = 1;
  for (const std::int64_t d : dims()) {
    if (__builtin_mul_overflow(n, d, &n))
      fail<ShapeError>("shape ", str(), " has too many elements");
  }
  return n;
}

std::string Shape::str() const {
  std::string s = "[";
  for (int i = 0; i < rank_; i++) {
    if (i > 0) s += ", ";
    s += std::to_string((*this)[i]);
  }
  return s + "]";
}

bool operator==(const Shape& a, const Shape& b) { return std::ranges::equal(a.dims(), b.dims()); }

}  // namespace chiasm
