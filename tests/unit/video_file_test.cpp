/// Video files: the frames and times that torchcodec reads, and what must be refused.
#include "vision/video_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/processor_golden.h"
#include "tests/support/temp_folder.h"

namespace chiasm::vision {
namespace {

using chiasm::testing::crc;
using chiasm::testing::throws;

const std::filesystem::path kFolder =
    std::filesystem::path(CHIASM_SOURCE_DIR) / "tests/golden/video";

class VideoFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    if (video_decoder().starts_with("none")) GTEST_SKIP() << video_decoder();
  }
};

/// CRC-32 of each of these frames.
std::vector<std::int64_t> sums(VideoFile& video, const std::vector<std::int64_t>& frames) {
  std::vector<std::int64_t> out;
  video.read(
      frames, [] {},
      [&](const Image& frame) {
        EXPECT_EQ(frame.width, video.width());
        EXPECT_EQ(frame.height, video.height());
        out.push_back(std::int64_t(crc(frame.rgb.data(), frame.rgb.size())));
      });
  return out;
}

TEST_F(VideoFiles, EqualTheReferences) {
  const Json clips = Json::load(kFolder / "clips.json");
  ASSERT_EQ(clips.size(), 3u);
  for (std::size_t i = 0; i < clips.size(); i++) {
    const Json want = clips[i];
    SCOPED_TRACE(want["name"].str());
    VideoFile video(kFolder / want["name"].str(), {});
    EXPECT_EQ(video.info().frames, want["frames"].integer());
    EXPECT_DOUBLE_EQ(video.info().fps, want["fps"].number());
    EXPECT_DOUBLE_EQ(video.info().seconds, want["seconds"].number());
    EXPECT_EQ(video.width(), want["width"].integer());
    EXPECT_EQ(video.height(), want["height"].integer());
    std::vector<std::int64_t> every(std::size_t(video.info().frames));
    std::iota(every.begin(), every.end(), 0);
    const auto all = sums(video, every);
    ASSERT_EQ(all.size(), every.size());
    for (const std::int64_t frame : every) {
      EXPECT_EQ(all[std::size_t(frame)], want["crc"][std::size_t(frame)].integer())
          << "frame " << frame;
    }
    // Jumps, steps and going back give the same frames.
    for (const auto& some : {std::vector<std::int64_t>{1, 2, 9, 17, 22}, {0}, {11}, {3, 21}}) {
      const auto got = sums(video, some);
      for (std::size_t k = 0; k < some.size(); k++) {
        EXPECT_EQ(got[k], all[std::size_t(some[k])]) << "frame " << some[k];
      }
    }
  }
}

TEST_F(VideoFiles, HaveAHashOfTheirContent) {
  const std::string bytes = read_file(kFolder / "clip.mp4", 1 << 20);
  VideoFile file(kFolder / "clip.mp4", {});
  VideoFile same(std::make_shared<const std::string>(bytes), {});
  VideoFile other(kFolder / "turned.mp4", {});
  EXPECT_EQ(file.content(), same.content());
  EXPECT_NE(file.content(), other.content());
  EXPECT_EQ(sums(file, {7}), sums(same, {7}));
}

TEST_F(VideoFiles, KeepToTheirLimits) {
  const auto opening = [](const VideoLimits& limits) {
    return [limits] { VideoFile video(kFolder / "clip.mp4", limits); };
  };
  EXPECT_TRUE(throws<MediaError>(opening({.max_bytes = 1000}), {"bytes", "1000"}));
  EXPECT_TRUE(throws<MediaError>(opening({.max_seconds = 2}), {"lasts 3 s", "limit of 2"}));
  EXPECT_TRUE(throws<MediaError>(opening({.max_frames = 20}), {"20 frames"}));
  EXPECT_TRUE(throws<MediaError>(opening({.max_pixels = 50 * 33}), {"50 x 34", "1650"}));
}

void expect_refused(const std::string& bytes, std::string_view why) {
  EXPECT_TRUE(throws<MediaError>(
      [&] { VideoFile video(std::make_shared<const std::string>(bytes), {}); }, {why}));
}

TEST_F(VideoFiles, RefuseWhatIsNoVideo) {
  expect_refused("", "empty");
  expect_refused("These are words, whatever the name says.\n", "no video");
  expect_refused(std::string(5000, '\0'), "no video");
  const chiasm::testing::TempFolder folder;
  EXPECT_TRUE(throws<MediaError>([&] { VideoFile video(folder.path() / "none.mp4", {}); },
                                 {"cannot be opened"}));
  EXPECT_TRUE(throws<MediaError>([&] { VideoFile video(folder.path(), {}); }, {"regular"}));
  const auto pipe = folder.path() / "pipe.mp4";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(throws<MediaError>([&] { VideoFile video(pipe, {}); }, {"regular"}));
}

TEST_F(VideoFiles, NeverLeadToOtherFiles) {
  const std::string clip = (kFolder / "clip.mp4").string();
  expect_refused("#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://" + clip + "\n", "no video");
  expect_refused("ffconcat version 1.0\nfile '" + clip + "'\n", "no video");
  expect_refused("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n", "no video");
}

TEST_F(VideoFiles, ThatAreCutGiveTheirFramesOrAnError) {
  for (const char* name : {"clip.mp4", "turned.mp4", "stream.ts"}) {
    const std::string whole = read_file(kFolder / name, 1 << 20);
    for (std::size_t part = 1; part < 12; part++) {
      const auto cut =
          std::make_shared<const std::string>(whole.substr(0, whole.size() * part / 12));
      try {
        VideoFile video(cut, {});
        std::vector<std::int64_t> every(std::size_t(video.info().frames));
        std::iota(every.begin(), every.end(), 0);
        EXPECT_EQ(sums(video, every).size(), every.size());
      } catch (const MediaError& e) {
        EXPECT_STRNE(e.what(), "");
      }
    }
  }
}

TEST_F(VideoFiles, StopWhenTheCallerDoes) {
  VideoFile video(kFolder / "clip.mp4", {});
  const std::vector<std::int64_t> last{22};
  const auto stop = [] { throw Interrupted("stop"); };
  EXPECT_THROW(video.read(last, stop, [](const Image&) {}), Interrupted);
  EXPECT_EQ(sums(video, last).size(), 1u);  // it goes on afterwards
  EXPECT_TRUE(throws<MediaError>(
      [&] {
        video.read(
            std::vector<std::int64_t>{23}, [] {}, [](const Image&) {});
      },
      {"23 frames"}));
}

}  // namespace
}  // namespace chiasm::vision
