/// Decoded pixels are Pillow's, to the last bit; hostile bytes give a picture or a MediaError.
#include <gtest/gtest.h>

#include "core/hash.h"
#include "tests/support/expect_error.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_folder.h"
#include "vision/image.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::crc;
using chiasm::testing::decoded;
using chiasm::testing::picture_bytes;
using chiasm::testing::throws;

void expect_samples(const Image& image, const Json& samples) {
  for (std::size_t i = 0; i < samples.size(); i++) {
    const auto s = samples[i].integers();  // y, x, channel, value
    const auto at = std::size_t((s[0] * image.width + s[1]) * 3 + s[2]);
    ASSERT_LT(at, image.rgb.size());
    EXPECT_EQ(image.rgb[at], s[3]) << "row " << s[0] << " column " << s[1] << " channel " << s[2];
  }
}

TEST(Decode, EqualsPillowInEveryFormatAndMode) {
  if (!chiasm::testing::exact_pictures()) GTEST_SKIP() << "stb_image is exempt from exactness";
  const Json pictures = chiasm::testing::vision_golden()["pictures"];
  for (std::size_t i = 0; i < pictures.size(); i++) {
    const Json want = pictures[i];
    const std::string file = want["file"].str();
    SCOPED_TRACE(file);
    const Image image = decoded(picture_bytes(file));
    ASSERT_EQ(image.width, want["width"].integer());
    ASSERT_EQ(image.height, want["height"].integer());
    ASSERT_EQ(std::int64_t(image.rgb.size()), image.width * image.height * 3);
    expect_samples(image, want["samples"]);
    // No tolerance: not one level of one channel may differ.
    EXPECT_EQ(crc(image), want["crc"].integer());
  }
}

TEST(Decode, RefusesWhatPillowRefuses) {
  if (!chiasm::testing::exact_pictures()) GTEST_SKIP() << "stb_image is exempt from exactness";
  const Json refused = chiasm::testing::vision_golden()["refused"];
  for (std::size_t i = 0; i < refused.size(); i++) {
    const std::string bytes = picture_bytes(refused[i].str());
    EXPECT_TRUE(throws<MediaError>([&] { (void)decoded(bytes); }, {"truncated"}))
        << refused[i].str();
  }
}

/// True when `bytes` decode or are refused with a MediaError; anything else fails the test. Hostile
/// sizes are kept small: this is about memory safety, not about waiting.
bool decodes(const std::string& bytes) {
  MediaLimits limits;
  limits.max_pixels = 1 << 20;
  try {
    const Image image = decode(std::as_bytes(std::span(bytes)), limits);
    EXPECT_EQ(std::int64_t(image.rgb.size()), image.width * image.height * 3);
    return true;
  } catch (const MediaError& e) {
    EXPECT_NE(std::string_view(e.what()), "");
    return false;
  }
}

std::vector<std::string> small_pictures() {
  std::vector<std::string> files;
  const Json pictures = chiasm::testing::vision_golden()["pictures"];
  for (std::size_t i = 0; i < pictures.size(); i++) {
    if (pictures[i]["width"].integer() < 1000) files.push_back(pictures[i]["file"].str());
  }
  return files;
}

TEST(Decode, TruncationsGiveAPictureOrAnError) {
  int refused = 0, total = 0;
  for (const std::string& file : small_pictures()) {
    SCOPED_TRACE(file);
    const std::string bytes = picture_bytes(file);
    for (std::size_t part = 0; part < 20; part++) {
      total++;
      refused += decodes(bytes.substr(0, bytes.size() * part / 20)) ? 0 : 1;
    }
  }
  EXPECT_GT(refused, total * 9 / 10);  // some end in metadata, which nobody misses
}

TEST(Decode, FlippedBitsGiveAPictureOrAnError) {
  std::uint64_t seed = 1;
  for (const std::string& file : small_pictures()) {
    SCOPED_TRACE(file);
    const std::string bytes = picture_bytes(file);
    for (int round = 0; round < 12; round++) {
      std::string damaged = bytes;
      // Half of the rounds aim at the header, where a bit does the most harm.
      const std::size_t reach =
          round % 2 == 0 ? std::min<std::size_t>(bytes.size(), 100) : bytes.size();
      for (int flip = 0; flip <= round / 4; flip++) {
        seed = mix64(seed);
        damaged[seed % reach] = char(damaged[seed % reach] ^ (1 << (seed >> 40) % 8));
      }
      (void)decodes(damaged);
    }
  }
}

TEST(Decode, NamesTheFormatAndTheFault) {
  const std::string jpeg = picture_bytes("rgb_420.jpg");
  EXPECT_TRUE(
      throws<MediaError>([&] { (void)decoded(jpeg.substr(0, jpeg.size() / 2)); }, {"JPEG"}));
  const std::string png = picture_bytes("rgb_8.png");
  EXPECT_TRUE(throws<MediaError>([&] { (void)decoded(png.substr(0, png.size() / 2)); }, {"PNG"}));
}

TEST(DecodeFile, NamesThePath) {
  const chiasm::testing::TempFolder folder;
  const auto path = folder.write("note.jpg", "just some words\n");
  EXPECT_TRUE(throws<MediaError>([&] { (void)decode_file(path); }, {"note.jpg", "text file"}));
  EXPECT_TRUE(
      throws<MediaError>([&] { (void)decode_file(folder.path() / "none.jpg"); }, {"none.jpg"}));
  EXPECT_TRUE(throws<MediaError>([&] { (void)decode_file(folder.path()); }, {"is a folder"}));
  const auto good = folder.write("good.png", picture_bytes("rgb_8.png"));
  EXPECT_EQ(decode_file(good).width, 23);
  MediaLimits limits;
  limits.max_bytes = 10;
  EXPECT_TRUE(
      throws<MediaError>([&] { (void)decode_file(good, limits); }, {"good.png", "limit of 10"}));
}

}  // namespace
}  // namespace chiasm::vision
