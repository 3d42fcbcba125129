#include "vision/codec/video_container.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <new>
#include <utility>

#include "core/error.h"

namespace chiasm::vision {

const char* const kVideoCodecs =
    "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,libaom-av1,mpeg1video,mpeg2video,mpeg4,"
    "msmpeg4,msmpeg4v2,h263,flv,theora,wmv1,wmv2,wmv3,vc1,mjpeg,gif,prores,ffv1,rawvideo";

namespace {

constexpr const char* kContainers =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,gif";
constexpr int kBufferBytes = 1 << 16;

// Called by C code: nothing may be thrown through it.
int read_bytes(void* source, std::uint8_t* to, int count) {
  try {
    const auto got = static_cast<MediaSource*>(source)->read(
        std::as_writable_bytes(std::span(to, std::size_t(std::max(count, 0)))));
    return got > 0 ? int(got) : AVERROR_EOF;
  } catch (const std::exception&) {
    return AVERROR(EIO);
  }
}

std::int64_t seek_bytes(void* opaque, std::int64_t offset, int whence) {
  auto* const source = static_cast<MediaSource*>(opaque);
  if ((whence & AVSEEK_SIZE) != 0) return source->size();
  if ((whence & ~AVSEEK_FORCE) != SEEK_SET) return AVERROR(EINVAL);  // all that avio asks for
  return source->seek(offset) ? offset : AVERROR(EINVAL);
}

/// Playlists and references to other files are refused, whatever they name.
int refuse(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
  return AVERROR(EPERM);
}

std::int64_t time_of(const AVPacket& packet) {
  return packet.pts == AV_NOPTS_VALUE ? packet.dts : packet.pts;
}

double seconds(std::int64_t time, AVRational unit) { return double(time) * unit.num / unit.den; }

}  // namespace

VideoContainer::VideoContainer(MediaSource source, const VideoLimits& limits)
    : source_(std::make_unique<MediaSource>(std::move(source))) {
  open();
  choose_stream(limits);
  index(limits);
}

void VideoContainer::open() {
  const Ffmpeg& f = ffmpeg();
  auto* const buffer = static_cast<unsigned char*>(f.av_malloc(kBufferBytes));
  if (buffer == nullptr) throw std::bad_alloc();
  io_.reset(f.avio_alloc_context(buffer, kBufferBytes, 0, source_.get(), read_bytes, nullptr,
                                 seek_bytes));
  AVFormatContext* context = f.avformat_alloc_context();
  if (io_ == nullptr || context == nullptr) throw std::bad_alloc();
  context->pb = io_.get();
  context->flags |= AVFMT_FLAG_CUSTOM_IO;
  context->io_open = refuse;
  AVDictionary* options = nullptr;
  f.av_dict_set(&options, "format_whitelist", kContainers, 0);
  f.av_dict_set(&options, "codec_whitelist", kVideoCodecs, 0);
  f.av_dict_set(&options, "protocol_whitelist", "none", 0);
  const int opened = f.avformat_open_input(&context, "", nullptr, &options);  // frees it on failure
  f.av_dict_free(&options);
  if (opened < 0) {
    fail<MediaError>("is no video that can be read (", ffmpeg_error(opened),
                     "); supported are MP4, MOV, MKV, WebM, AVI, MPEG, FLV, ASF, Ogg and GIF");
  }
  format_.reset(context);
  const int found = f.avformat_find_stream_info(context, nullptr);
  if (found < 0) fail<MediaError>("its streams cannot be read: ", ffmpeg_error(found));
}

void VideoContainer::choose_stream(const VideoLimits& limits) {
  const Ffmpeg& f = ffmpeg();
  const int best = f.av_find_best_stream(format_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, &codec_, 0);
  if (best < 0 || codec_ == nullptr) fail<MediaError>("holds no video that can be decoded");
  stream_ = format_->streams[best];
  if ((stream_->disposition & AV_DISPOSITION_ATTACHED_PIC) != 0) {
    fail<MediaError>("holds no video but a cover picture");
  }
  for (unsigned i = 0; i < format_->nb_streams; i++) {
    format_->streams[i]->discard = int(i) == best ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  }
  const AVCodecParameters& p = *stream_->codecpar;
  if (p.width < 1 || p.height < 1) fail<MediaError>("does not say how large its frames are");
  if (p.width > limits.max_pixels / p.height) {
    fail<MediaError>("frames of ", p.width, " x ", p.height, " pixels, over the limit of ",
                     limits.max_pixels, " pixels a frame");
  }
  if (stream_->time_base.num < 1 || stream_->time_base.den < 1) {
    fail<MediaError>("says no unit of time");
  }
}

/// One pass over all packets. What cannot be read any more is not there.
void VideoContainer::index(const VideoLimits& limits) {
  const FfmpegPtr<AVPacket> packet(ffmpeg().av_packet_alloc());
  if (packet == nullptr) throw std::bad_alloc();
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  std::int64_t begin = kNone, end = -kNone;
  while (next(*packet)) {
    const std::int64_t time = time_of(*packet);
    if ((packet->flags & AV_PKT_FLAG_DISCARD) == 0 && time != AV_NOPTS_VALUE) {
      const std::int64_t length = std::clamp<std::int64_t>(packet->duration, 0, kNone / 4);
      if (time > kNone / 4 || time < -(kNone / 4)) fail<MediaError>("frames at impossible times");
      begin = std::min(begin, time);
      end = std::max(end, time + length);
      frames_.push_back({time, (packet->flags & AV_PKT_FLAG_KEY) != 0});
    }
    ffmpeg().av_packet_unref(packet.get());
    if (std::int64_t(frames_.size()) > limits.max_frames) {
      fail<MediaError>("has more than ", limits.max_frames, " frames, over the limit");
    }
  }
  if (frames_.empty()) fail<MediaError>("a video without frames");
  std::ranges::stable_sort(frames_, {}, &IndexedFrame::time);
  info_.frames = std::int64_t(frames_.size());
  info_.seconds = seconds(end, stream_->time_base) - seconds(begin, stream_->time_base);
  if (info_.seconds > limits.max_seconds) {
    fail<MediaError>("lasts ", std::llround(info_.seconds), " s, over the limit of ",
                     limits.max_seconds, " s");
  }
  if (info_.seconds > 0) info_.fps = double(info_.frames) / info_.seconds;
}

int VideoContainer::rotation() const {
  const std::int32_t* matrix = display_matrix(*stream_);
  if (matrix == nullptr) return 0;
  const double degrees = -ffmpeg().av_display_rotation_get(matrix);
  if (!std::isfinite(degrees)) return 0;
  return (int(std::lround(degrees / 90)) % 4 + 4) % 4 * 90;
}

bool VideoContainer::next(AVPacket& packet) {
  while (ffmpeg().av_read_frame(format_.get(), &packet) >= 0) {
    if (packet.stream_index == stream_->index) return true;
    ffmpeg().av_packet_unref(&packet);
  }
  return false;
}

void VideoContainer::go_to_start() {
  // Where times of decoding are looked for, the first is before the time at which it is shown.
  const AVRational unit = stream_->time_base;
  const std::int64_t early = frames_[0].time - 10 * std::int64_t(unit.den) / unit.num;
  const int went = ffmpeg().avformat_seek_file(
      format_.get(), stream_->index, std::numeric_limits<std::int64_t>::min(), early, early, 0);
  if (went < 0) go_to(frames_[0].time);
}

void VideoContainer::go_to(std::int64_t time) {
  const int went = ffmpeg().avformat_seek_file(
      format_.get(), stream_->index, std::numeric_limits<std::int64_t>::min(), time, time, 0);
  if (went < 0) fail<MediaError>("frames cannot be found: ", ffmpeg_error(went));
}

}  // namespace chiasm::vision
