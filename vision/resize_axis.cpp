#include "vision/resize_axis.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>

namespace chiasm::vision {

namespace {

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

/// The filter at distance x from its middle, in input pixels when enlarging.
/// Source: Keys, 1981, doi:10.1109/TASSP.1981.1163711, with a = -1/2, for bicubic.
double response(Filter filter, double x) {
  const double d = std::fabs(x);
  switch (filter) {
    case Filter::bilinear:
      return d < 1 ? 1 - d : 0;
    case Filter::bicubic:
      if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
      if (d < 2) return (((d - 5) * d + 8) * d - 4) * -0.5;
      return 0;
    case Filter::lanczos:
      return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    case Filter::nearest:
      break;
  }
  return 0;
}

double radius(Filter filter) {
  return filter == Filter::bilinear ? 1 : filter == Filter::bicubic ? 2 : 3;
}

/// Both references round half away from zero when they make integers of the weights.
double rounding(double weight) { return weight < 0 ? weight - 0.5 : weight + 0.5; }

/// The most fraction bits with which the largest weight still fits 16 bits; at most 22, Pillow's
/// fixed choice (8 bits of result and 2 of overshoot then fill 32).
constexpr int kMostBits = 22;

template <class W>
int fraction_bits(double largest) {
  if (std::is_same_v<W, std::int32_t>) return kMostBits;
  int bits = 0;
  while (bits < kMostBits && int(0.5 + largest * (1 << (bits + 1))) < (1 << 15)) bits++;
  return bits;
}

}  // namespace

template <class W>
Axis<W> make_axis(std::int64_t in, const AxisPart& out, Filter filter) {
  const double scale = double(in) / double(out.whole);
  const double stretch = std::max(scale, 1.0);
  const double support = radius(filter) * stretch;
  const double inverse = 1 / stretch;
  const auto most = std::int64_t(std::ceil(support)) * 2 + 1;

  Axis<W> axis;
  axis.stride = (most + 7) / 8 * 8;
  axis.first.resize(std::size_t(out.count));
  axis.count.resize(std::size_t(out.count));
  std::vector<double> exact(std::size_t(out.count * axis.stride));
  std::vector<double> unwanted(static_cast<std::size_t>(most));
  double largest = 0;
  for (std::int64_t i = 0; i < out.whole; i++) {
    const double center = (double(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(std::int64_t(center - support + 0.5), 0);
    const auto last = std::min<std::int64_t>(std::int64_t(center + support + 0.5), in);
    const std::int64_t count = std::clamp<std::int64_t>(last - first, 0, most);
    const std::int64_t at = i - out.begin;
    const bool wanted = at >= 0 && at < out.count;
    double* weights = wanted ? exact.data() + at * axis.stride : unwanted.data();
    double total = 0;
    for (std::int64_t k = 0; k < count; k++) {
      weights[k] = response(filter, (double(k + first) - center + 0.5) * inverse);
      total += weights[k];
    }
    for (std::int64_t k = 0; k < count && total != 0; k++) {
      weights[k] /= total;
      largest = std::max(largest, weights[k]);
    }
    if (!wanted) continue;
    axis.first[std::size_t(at)] = std::int32_t(first);
    axis.count[std::size_t(at)] = std::int32_t(count);
  }

  axis.bits = fraction_bits<W>(largest);
  axis.weights.resize(exact.size());
  for (std::size_t i = 0; i < exact.size(); i++) {
    axis.weights[i] = W(rounding(exact[i] * (1 << axis.bits)));
  }
  return axis;
}

template Axis<std::int16_t> make_axis(std::int64_t, const AxisPart&, Filter);
template Axis<std::int32_t> make_axis(std::int64_t, const AxisPart&, Filter);

std::vector<std::int32_t> nearest_pixels(std::int64_t in, const AxisPart& out, ResizeOrder order) {
  std::vector<std::int32_t> pixels(static_cast<std::size_t>(out.count));
  const std::int64_t end = out.begin + out.count;
  const auto copy = [&](std::int64_t i, std::int64_t at) {
    if (i >= out.begin) pixels[std::size_t(i - out.begin)] = std::int32_t(std::min(at, in - 1));
  };
  if (order == ResizeOrder::torchvision) {  // the input pixel under the middle, in float32
    const float scale = float(in) / float(out.whole);
    for (std::int64_t i = out.begin; i < end; i++) {
      copy(i, std::int64_t(std::floor(float((double(i) + 0.5) * double(scale)))));
    }
  } else {  // Pillow steps through the input from the middle of the first output pixel
    const double scale = double(in) / double(out.whole);
    double at = scale * 0.5;
    for (std::int64_t i = 0; i < end; i++, at += scale) copy(i, std::int64_t(at));
  }
  return pixels;
}

}  // namespace chiasm::vision
