/// Resized pixels are torchvision's and Pillow's, to the last bit, on every instruction set.
#include "vision/resize.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/expect_error.h"
#include "tests/support/pictures.h"
#include "vision/crop.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::crc;
using chiasm::testing::formula;
using chiasm::testing::throws;
using chiasm::testing::vision_context;

const std::map<std::string, Filter> kFilters{{"nearest", Filter::nearest},
                                             {"bilinear", Filter::bilinear},
                                             {"bicubic", Filter::bicubic},
                                             {"lanczos", Filter::lanczos}};

TEST(Resize, EqualsBothReferencesOnEveryInstructionSet) {
  const Json cases = chiasm::testing::vision_golden()["resizes"];
  ASSERT_GE(cases.size(), 100u);
  Image source;
  for (std::size_t i = 0; i < cases.size(); i++) {
    const Json c = cases[i];
    const auto from = c["from"].integers(), to = c["to"].integers();
    SCOPED_TRACE(c.raw().dump());
    if (source.width != from[0] || source.height != from[1]) source = formula(from[0], from[1]);
    const auto order =
        c["order"].str() == "pillow" ? ResizeOrder::pillow : ResizeOrder::torchvision;
    for (const Isa isa : {Isa::portable, Isa::avx2}) {
      if (!supported(isa)) continue;
      const Image out =
          resize(vision_context(isa), source, to[0], to[1], kFilters.at(c["filter"].str()), order);
      ASSERT_EQ(out.width, to[0]);
      ASSERT_EQ(out.height, to[1]);
      const Json samples = c["samples"];
      for (std::size_t k = 0; k < samples.size(); k++) {
        const auto s = samples[k].integers();  // y, x, channel, value
        EXPECT_EQ(out.rgb[std::size_t((s[0] * out.width + s[1]) * 3 + s[2])], s[3]);
      }
      // No tolerance: not one level of one channel may differ.
      ASSERT_EQ(crc(out), c["crc"].integer()) << name(isa);
    }
  }
}

TEST(Resize, DoesNotDependOnThreads) {
  const Image source = formula(333, 217);
  ThreadPool one(1), three(3);
  Context ctx = vision_context();
  for (const auto order : {ResizeOrder::torchvision, ResizeOrder::pillow}) {
    ctx.pool = &one;
    const Image a = resize(ctx, source, 150, 400, Filter::lanczos, order);
    ctx.pool = &three;
    const Image b = resize(ctx, source, 150, 400, Filter::lanczos, order);
    EXPECT_EQ(a.rgb, b.rgb);
  }
}

TEST(Resize, OfTheSameSizeIsACopy) {
  const Image source = formula(20, 10);
  EXPECT_EQ(resize(vision_context(), source, 20, 10, Filter::lanczos).rgb, source.rgb);
}

TEST(Resize, OfARegionIsThatPartOfTheWhole) {
  const Image source = formula(60, 45);
  const Box box{7, 11, 20, 13};
  for (const auto& [filter_name, filter] : kFilters) {
    for (const auto order : {ResizeOrder::torchvision, ResizeOrder::pillow}) {
      for (const auto& [width, height] : {std::pair(31, 77), {60, 30}, {90, 45}, {60, 45}}) {
        const Image whole = resize(vision_context(), source, width, height, filter, order);
        const Image part =
            resize_region(vision_context(), source, width, height, box, filter, order);
        EXPECT_EQ(part.rgb, crop(whole, box).rgb) << filter_name << " " << width << " " << height;
      }
    }
  }
  EXPECT_TRUE(throws<ShapeError>(
      [&] { (void)resize_region(vision_context(), source, 26, 30, box, Filter::bilinear); },
      {"20 x 13", "26 x 30"}));
}

TEST(Resize, KeepsAFlatColor) {
  Image flat{50, 40, std::vector<std::uint8_t>(50 * 40 * 3, 201)};
  for (const auto& [filter_name, filter] : kFilters) {
    for (const auto order : {ResizeOrder::torchvision, ResizeOrder::pillow}) {
      const Image out = resize(vision_context(), flat, 31, 77, filter, order);
      for (const std::uint8_t level : out.rgb) ASSERT_EQ(level, 201) << filter_name;
    }
  }
}

TEST(Resize, RefusesImpossibleSizes) {
  const Context ctx = vision_context();
  const Image source = formula(4, 4);
  EXPECT_TRUE(
      throws<MediaError>([&] { (void)resize(ctx, source, 0, 5, Filter::bilinear); }, {"0 x 5"}));
  EXPECT_TRUE(
      throws<MediaError>([&] { (void)resize(ctx, {}, 5, 5, Filter::bilinear); }, {"0 x 0"}));
  const Image torn{4, 4, std::vector<std::uint8_t>(47)};
  EXPECT_TRUE(throws<MediaError>([&] { (void)resize(ctx, torn, 5, 5, Filter::bilinear); }, {"47"}));
}

}  // namespace
}  // namespace chiasm::vision
