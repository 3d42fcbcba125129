// Videos of a request: their frames, which of them are taken, their places in a prompt.
#include <algorithm>
#include <bit>
#include <filesystem>
#include <string>
#include <system_error>
#include <tuple>

#include "core/error.h"
#include "runtime/prompt.h"

namespace chiasm {

namespace {

constexpr std::size_t kMostFolderBytes = std::size_t(4) << 30;  // of all encoded frames

bool is_picture_file(const std::filesystem::path& path) {
  static constexpr const char* kSuffixes[] = {".jpg", ".jpeg", ".png", ".webp",
                                              ".bmp", ".gif",  ".tif", ".tiff"};
  std::string suffix = path.extension().string();
  std::ranges::transform(suffix, suffix.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return std::ranges::find(kSuffixes, suffix) != std::end(kSuffixes);
}

/// Width and height of a frame, as upright pixels.
std::pair<std::int64_t, std::int64_t> size_of(const ImageInput& frame,
                                              const vision::MediaLimits& limits) {
  if (frame.pixels != nullptr) return {frame.pixels->width, frame.pixels->height};
  const auto bytes = std::as_bytes(std::span(*frame.encoded));
  const vision::PictureInfo info = vision::read_header(bytes);
  vision::check_limits(info, bytes.size(), limits);
  return {info.upright_width(), info.upright_height()};
}

void check_size(std::int64_t width, std::int64_t height, const vision::VideoLimits& limits) {
  if (width < 1 || height < 1) fail<MediaError>("frames of ", width, " x ", height, " pixels");
  if (width > limits.max_pixels / height) {
    fail<MediaError>("frames of ", width, " x ", height, " pixels, over the limit of ",
                     limits.max_pixels, " pixels a frame");
  }
}

/// What is known of frames that the user gives.
vision::TakenFrames describe(const std::vector<ImageInput>& frames, double fps,
                             const AllLimits& limits) {
  vision::TakenFrames out;
  if (frames.empty()) fail<MediaError>("a video without frames");
  if (!(fps >= 0 && fps < 1e6)) {
    fail<RequestError>("fps of the frames is ", fps, ", expected a number over 0");
  }
  out.video.frames = std::int64_t(frames.size());
  out.video.fps = fps;
  out.video.seconds = fps > 0 ? double(out.video.frames) / fps : 0;
  if (out.video.frames > limits.videos.max_frames) {
    fail<MediaError>("has ", out.video.frames, " frames, over the limit of ",
                     limits.videos.max_frames);
  }
  std::tie(out.width, out.height) = size_of(frames[0], limits.pictures);
  check_size(out.width, out.height, limits.videos);
  return out;
}

/// Opens a video and chooses its frames. MediaError when it is over a limit.
PlacedVideo open(const Family& family, const VideoInput& input, const AllLimits& limits) {
  PlacedVideo out{input, {}, nullptr};
  if (!input.path.empty()) {
    out.file =
        std::make_shared<vision::VideoFile>(std::filesystem::path(input.path), limits.videos);
  } else if (input.encoded != nullptr) {
    out.file = std::make_shared<vision::VideoFile>(input.encoded, limits.videos);
  }
  if (out.file != nullptr) {
    out.taken = {out.file->info(), out.file->width(), out.file->height(), {}};
  } else {
    out.taken = describe(input.frames, input.fps, limits);
  }
  out.taken.indices = family.sampler().take(out.taken.video, input.choice);
  if (out.taken.count() > limits.videos.max_taken) {
    fail<MediaError>("the model would see ", out.taken.count(),
                     " of its frames, over the limit of ", limits.videos.max_taken,
                     "; ask for fewer with num_frames or a lower fps");
  }
  return out;
}

/// Of the frames that are taken, and of all else that what the model sees depends on.
ContentHash hash_of(const PlacedVideo& video) {
  const vision::TakenFrames& taken = video.taken;
  std::vector<std::uint64_t> parts{std::uint64_t(taken.video.frames), std::uint64_t(taken.width),
                                   std::bit_cast<std::uint64_t>(taken.video.fps),
                                   std::bit_cast<std::uint64_t>(taken.video.seconds)};
  if (video.file != nullptr) {
    const std::string decoder = vision::video_decoder();
    for (const ContentHash hash :
         {video.file->content(), content_hash(std::as_bytes(std::span(decoder)))}) {
      parts.insert(parts.end(), {hash.high, hash.low});
    }
  }
  for (const std::int64_t index : taken.indices) {
    parts.push_back(std::uint64_t(index));
    if (video.file != nullptr) continue;
    const ImageInput& frame = video.input.frames[std::size_t(index)];
    const auto bytes = frame.pixels != nullptr ? std::as_bytes(std::span(frame.pixels->rgb))
                                               : std::as_bytes(std::span(*frame.encoded));
    const ContentHash hash = content_hash(bytes, frame.pixels != nullptr ? 3 : 4);
    parts.insert(parts.end(), {hash.high, hash.low});
  }
  return content_hash(std::as_bytes(std::span(parts)), 5);
}

/// Calls use(frame) for each taken frame, in order; one is in memory at a time.
template <class Use>
void each_frame(const PlacedVideo& video, const Context& ctx, const vision::MediaLimits& limits,
                const Use& use) {
  if (video.file != nullptr) {
    video.file->read(
        video.taken.indices, [&ctx] { ctx.poll(); }, use);
    return;
  }
  for (const std::int64_t index : video.taken.indices) {
    ctx.poll();
    const ImageInput& frame = video.input.frames[std::size_t(index)];
    in_context("frame " + std::to_string(index), [&] { with_pixels(frame, limits, use); });
  }
}

}  // namespace

VideoInput VideoInput::from_file(const std::string& path) {
  VideoInput input;
  input.name = path;
  input.path = path;
  return input;
}

VideoInput VideoInput::from_bytes(std::string bytes, std::string name) {
  VideoInput input;
  input.name = std::move(name);
  input.encoded = std::make_shared<const std::string>(std::move(bytes));
  return input;
}

VideoInput VideoInput::from_frames(std::vector<ImageInput> frames, double fps, std::string name) {
  VideoInput input;
  input.name = std::move(name);
  input.frames = std::move(frames);
  input.fps = fps;
  return input;
}

VideoInput VideoInput::from_folder(const std::string& path, double fps) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  std::filesystem::directory_iterator folder(path, error);
  if (error) fail<MediaError>(path, ": cannot be read: ", error.message());
  for (const auto& entry : folder) {
    if (entry.is_regular_file(error) && is_picture_file(entry.path()))
      files.push_back(entry.path());
  }
  if (files.empty()) fail<MediaError>(path, ": no pictures in this folder");
  std::ranges::sort(files);
  std::vector<ImageInput> frames;
  std::size_t left = kMostFolderBytes;
  for (const auto& file : files) {
    frames.push_back(ImageInput::from_file(file.string(), left));
    left -= frames.back().encoded->size();
  }
  return from_frames(std::move(frames), fps, path);
}

PlacedMedium place(const Family& family, const VideoInput& input, const AllLimits& limits) {
  PlacedMedium medium;
  in_context(input.name, [&] {
    const PlacedVideo& video = medium.video.emplace(open(family, input, limits));
    medium.width = video.taken.width;
    medium.height = video.taken.height;
    medium.hash = hash_of(video);
    medium.layout = family.video_layout(video.taken);
  });
  return medium;
}

Prepared prepare_video(const Family& family, const Context& ctx, const PlacedMedium& medium,
                       const vision::MediaLimits& limits) {
  Prepared out;
  const PlacedVideo& video = *medium.video;
  in_context(video.input.name, [&] {
    each_frame(video, ctx, limits, [&](const vision::Image& frame) {
      if (frame.width != medium.width || frame.height != medium.height) {
        fail<MediaError>("a frame has ", frame.width, " x ", frame.height,
                         " pixels, the video has ", medium.width, " x ", medium.height);
      }
      family.add_frame(ctx, frame, medium.layout, out);
    });
  });
  return out;
}

}  // namespace chiasm
