#pragma once
/// What transformers' image processors make of pictures; see
/// tests/reference/make_processor_golden.py.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/pictures.h"
#include "vision/prepared.h"
#include "vision/processor_settings.h"

namespace chiasm::testing {

inline const Json& processor_golden() {
  static const Json golden = Json::load(vision_folder() / "processors.json");
  return golden;
}

/// A test's short settings.
inline Json settings(const std::string& text) { return Json::parse(text, "config.json"); }

/// Compares a processor with one golden case. `layout(width, height)` gives the integers that the
/// case records; where the reference refuses a picture, it must throw MediaError. `values(image)`
/// gives every float32 of pixel_values. No tolerance.
template <class Layout, class Values>
void expect_as_reference(const Json& golden, Layout&& layout, Values&& values) {
  const Json layouts = golden["layouts"];
  ASSERT_GE(layouts.size(), 2u);
  for (std::size_t i = 0; i < layouts.size(); i++) {
    const auto size = layouts[i][0].integers();
    SCOPED_TRACE(layouts[i].raw().dump());
    if (layouts[i][1].is_null()) {
      EXPECT_TRUE(throws<MediaError>([&] { (void)layout(size[0], size[1]); }, {}));
    } else {
      EXPECT_EQ(layout(size[0], size[1]), layouts[i][1].integers());
    }
  }
  const Json pictures = golden["pictures"];
  for (std::size_t i = 0; i < pictures.size(); i++) {
    SCOPED_TRACE(pictures[i].raw().dump());
    const auto size = pictures[i]["size"].integers();
    const auto shape = pictures[i]["shape"].integers();
    const std::vector<float> got = values(formula(size[0], size[1]));
    std::size_t count = 1;
    for (const std::int64_t d : shape) count *= std::size_t(d);
    ASSERT_EQ(got.size(), count);
    const Json samples = pictures[i]["samples"];
    for (std::size_t s = 0; s < samples.size(); s++) {
      std::size_t at = 0;
      for (std::size_t d = 0; d < shape.size(); d++) {
        at = at * std::size_t(shape[d]) + std::size_t(samples[s][d].integer());
      }
      EXPECT_EQ(got[at], float(samples[s][shape.size()].number())) << "at " << at;
    }
    EXPECT_EQ(crc(got.data(), got.size() * sizeof(float)), pictures[i]["crc"].integer());
  }
}

/// The pixel_values of all tiles, one after another.
inline std::vector<float> all_values(const vision::PreparedPicture& picture) {
  std::vector<float> out;
  for (std::size_t i = 0; i < picture.tiles.size(); i++) {
    const vision::Tile& tile = picture.tiles[i];
    const std::size_t at = out.size();
    out.resize(at + std::size_t(tile.width * tile.height * 3));
    picture.pixel_values(std::int64_t(i), out.data() + at);
  }
  return out;
}

/// A prepared picture is what its layout promised.
inline void expect_promised(const vision::PreparedPicture& picture,
                            const vision::TileLayout& layout) {
  EXPECT_EQ(picture.rows, layout.rows);
  EXPECT_EQ(picture.cols, layout.cols);
  ASSERT_EQ(picture.tiles.size(), layout.tiles.size());
  for (std::size_t i = 0; i < layout.tiles.size(); i++) {
    EXPECT_EQ(picture.tiles[i].height, layout.tiles[i].height);
    EXPECT_EQ(picture.tiles[i].width, layout.tiles[i].width);
    EXPECT_EQ(picture.tiles[i].valid.height, layout.tiles[i].height);
    EXPECT_EQ(picture.tiles[i].valid.width, layout.tiles[i].width);
  }
}

}  // namespace chiasm::testing
