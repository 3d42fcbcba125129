#include "vision/picture_header.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/pictures.h"
#include "vision/orientation.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::picture_bytes;
using chiasm::testing::throws;

PictureInfo header(const std::string& bytes) {
  return read_header(std::as_bytes(std::span(bytes)));
}

TEST(PictureHeader, TellsSizeAndOrientationOfEveryGoldenPicture) {
  const Json pictures = chiasm::testing::vision_golden()["pictures"];
  ASSERT_GE(pictures.size(), 100u);
  for (std::size_t i = 0; i < pictures.size(); i++) {
    const std::string file = pictures[i]["file"].str();
    SCOPED_TRACE(file);
    const PictureInfo info = header(picture_bytes(file));
    EXPECT_EQ(info.upright_width(), pictures[i]["width"].integer());
    EXPECT_EQ(info.upright_height(), pictures[i]["height"].integer());
    const std::string suffix = file.substr(file.rfind('.'));
    const Format expected = suffix == ".jpg"    ? Format::jpeg
                            : suffix == ".png"  ? Format::png
                            : suffix == ".gif"  ? Format::gif
                            : suffix == ".webp" ? Format::webp
                            : suffix == ".bmp"  ? Format::bmp
                            : suffix == ".tif"  ? Format::tiff
                                                : Format::pnm;
    EXPECT_EQ(info.format, expected);
  }
}

TEST(PictureHeader, ReadsOrientationWhereverItStands) {
  for (int orientation = 1; orientation <= 8; orientation++) {
    EXPECT_EQ(header(picture_bytes("exif_" + std::to_string(orientation) + ".jpg")).orientation,
              orientation);
  }
  const std::pair<const char*, int> cases[] = {
      {"exif_9.jpg", 1},        {"exif_broken.jpg", 1},   {"xmp_8.jpg", 8},
      {"exif_1_xmp_8.jpg", 1},  {"exif_6.png", 6},        {"exif_after_3.png", 3},
      {"raw_profile_5.png", 5}, {"raw_text_7.png", 7},    {"xmp_2.png", 2},
      {"xmp_packed_4.png", 4},  {"exif_6.webp", 6},       {"exif_8_bare.webp", 8},
      {"xmp_3.webp", 3},        {"orientation_6.tif", 6}, {"rgb_444.jpg", 1},
  };
  for (const auto& [file, orientation] : cases) {
    EXPECT_EQ(header(picture_bytes(file)).orientation, orientation) << file;
  }
}

TEST(PictureHeader, SaysWhatAFileIsInstead) {
  EXPECT_TRUE(throws<MediaError>([] { header(""); }, {"empty"}));
  EXPECT_TRUE(throws<MediaError>([] { header("Dear diary,\ntoday"); }, {"text file", "supported"}));
  EXPECT_TRUE(throws<MediaError>([] { header("%PDF-1.7"); }, {"PDF"}));
  EXPECT_TRUE(
      throws<MediaError>([] { header(std::string("\0\0\0\x1c", 4) + "ftypavif"); }, {"AVIF"}));
  EXPECT_TRUE(throws<MediaError>([] { header("<!DOCTYPE html>"); }, {"HTML"}));
  EXPECT_TRUE(throws<MediaError>([] { header(std::string(50, '\1')); }, {"unknown format"}));
}

TEST(PictureHeader, ReportsTruncationWithItsOffset) {
  EXPECT_TRUE(
      throws<MediaError>([] { header("\xff\xd8\xff\xe0"); }, {"JPEG", "truncated", "offset"}));
  EXPECT_TRUE(throws<MediaError>([] { header("\x89PNG\r\n\x1a\n"); }, {"PNG"}));
  EXPECT_TRUE(throws<MediaError>([] { header("GIF89a"); }, {"GIF", "truncated"}));
  EXPECT_TRUE(throws<MediaError>([] { header("P6 12"); }, {"PNM", "truncated"}));
}

/// A PNG's first bytes that claim a size.
std::string png_claiming(std::uint32_t width, std::uint32_t height) {
  std::string bytes("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16);
  for (const std::uint32_t side : {width, height}) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += char(side >> shift);
  }
  return bytes + std::string("\x08\x02\0\0\0\0\0\0\0", 9);
}

TEST(PictureHeader, RefusesBombsBeforeAnyPixelIsAllocated) {
  // 60000 x 60000 RGB would take 10.8 GB: this test would not survive allocating them.
  const std::string bomb = png_claiming(60000, 60000);
  const auto decode_bomb = [&] { (void)chiasm::testing::decoded(bomb); };
  EXPECT_TRUE(throws<MediaError>(decode_bomb, {"60000 x 60000", "max_pixels", "178956970"}));
  const std::string wide = png_claiming(70000, 1);
  EXPECT_TRUE(
      throws<MediaError>([&] { (void)chiasm::testing::decoded(wide); }, {"max_side", "65535"}));
  const std::string none = png_claiming(0, 5);
  EXPECT_TRUE(throws<MediaError>([&] { header(none); }, {"0 x 5"}));
}

TEST(PictureHeader, LimitsAreOptions) {
  const PictureInfo info{Format::png, 100, 50, 1};
  EXPECT_NO_THROW(check_limits(info, 10, {}));
  MediaLimits limits;
  limits.max_pixels = 4999;
  EXPECT_TRUE(throws<MediaError>([&] { check_limits(info, 10, limits); }, {"max_pixels", "4999"}));
  limits.max_pixels = 5000;
  EXPECT_NO_THROW(check_limits(info, 10, limits));
  limits.max_bytes = 9;
  EXPECT_TRUE(throws<MediaError>([&] { check_limits(info, 10, limits); }, {"max_bytes", "9"}));
  limits = {};
  limits.max_side = 99;
  EXPECT_TRUE(throws<MediaError>([&] { check_limits(info, 10, limits); }, {"max_side", "99"}));
}

TEST(Orientation, TurnsEachWayAsItsDefinitionSays) {
  // Stored:  1 2 3    Where row 0 and column 0 of the stored picture belong, by EXIF's table.
  //          4 5 6
  const Image stored{3, 2, {1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6}};
  const std::vector<std::vector<int>> expected{{},
                                               {1, 2, 3, 4, 5, 6},
                                               {3, 2, 1, 6, 5, 4},
                                               {6, 5, 4, 3, 2, 1},
                                               {4, 5, 6, 1, 2, 3},
                                               {1, 4, 2, 5, 3, 6},
                                               {4, 1, 5, 2, 6, 3},
                                               {6, 3, 5, 2, 4, 1},
                                               {3, 6, 2, 5, 1, 4}};
  for (int orientation = 1; orientation <= 8; orientation++) {
    const Image turned = upright(stored, orientation);
    EXPECT_EQ(turned.width, orientation < 5 ? 3 : 2);
    std::vector<int> seen;
    for (std::size_t i = 0; i < turned.rgb.size(); i += 3) seen.push_back(turned.rgb[i]);
    EXPECT_EQ(seen, expected[std::size_t(orientation)]) << orientation;
  }
}

}  // namespace
}  // namespace chiasm::vision
