#include "vision/codec/video_decoder.h"

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "core/error.h"

namespace chiasm::vision {

namespace {

constexpr int kTries = 3;  // key frames before the one that should do

std::int64_t time_of(const AVFrame& frame) {
  return frame.pts == AV_NOPTS_VALUE ? frame.pkt_dts : frame.pts;
}

/// The last frame up to `index` where decoding can begin; the first frame where none is marked.
std::int64_t key_before(std::span<const IndexedFrame> frames, std::int64_t index) {
  while (index > 0 && !frames[std::size_t(index)].key) index--;
  return index;
}

/// Turned clockwise by `degrees`: 90, 180 or 270.
Image turned(const Image& image, int degrees) {
  const bool sideways = degrees != 180;
  Image out{sideways ? image.height : image.width, sideways ? image.width : image.height, {}};
  out.rgb.resize(image.rgb.size());
  for (std::int64_t y = 0; y < out.height; y++) {
    for (std::int64_t x = 0; x < out.width; x++) {
      std::int64_t from_x = out.width - 1 - x, from_y = out.height - 1 - y;  // 180
      if (degrees == 90) {
        from_x = y;
        from_y = image.height - 1 - x;
      } else if (degrees == 270) {
        from_x = image.width - 1 - y;
        from_y = x;
      }
      const auto from = std::size_t((from_y * image.width + from_x) * 3);
      std::copy_n(image.rgb.begin() + std::int64_t(from), 3,
                  out.rgb.begin() + (y * out.width + x) * 3);
    }
  }
  return out;
}

}  // namespace

VideoDecoder::VideoDecoder(VideoContainer& container, const VideoLimits& limits)
    : container_(container),
      codec_(ffmpeg().avcodec_alloc_context3(&container.codec())),
      packet_(ffmpeg().av_packet_alloc()),
      frame_(ffmpeg().av_frame_alloc()),
      before_(ffmpeg().av_frame_alloc()),
      rotation_(container.rotation()) {
  if (codec_ == nullptr || packet_ == nullptr || frame_ == nullptr || before_ == nullptr) {
    throw std::bad_alloc();
  }
  const Ffmpeg& f = ffmpeg();
  int done = f.avcodec_parameters_to_context(codec_.get(), container.stream().codecpar);
  codec_->max_pixels = limits.max_pixels;
  codec_->thread_count = 1;  // the pool's threads are the only ones
  codec_->pkt_timebase = container.stream().time_base;
  AVDictionary* options = nullptr;
  f.av_dict_set(&options, "codec_whitelist", kVideoCodecs, 0);
  if (done >= 0) done = f.avcodec_open2(codec_.get(), &container.codec(), &options);
  f.av_dict_free(&options);
  if (done < 0) {
    fail<MediaError>("its codec (", f.avcodec_get_name(container.codec().id),
                     ") cannot be used: ", ffmpeg_error(done));
  }
}

Image VideoDecoder::frame(std::int64_t index, const std::function<void()>& poll) {
  const auto frames = container_.frames();
  std::int64_t key = key_before(frames, index);
  if (last_ < 0 || index <= last_ || key > last_) jump(key);
  last_ = -1;  // until it is there
  for (int tries = 0; !decode_until(index, key == 0, poll); tries++) {
    if (key == 0) {
      const AVRational unit = container_.stream().time_base;
      fail<MediaError>("ends before the frame at ",
                       double(frames[std::size_t(index)].time) * unit.num / unit.den,
                       " s: it is damaged or cut short");
    }
    // Containers without an index of their own may lead to a place that is too late.
    key = tries < kTries ? key_before(frames, key - 1) : 0;
    jump(key);
  }
  last_ = index;
  Image image = rgb();
  return rotation_ == 0 ? image : turned(image, rotation_);
}

/// Goes on from key frame `key`.
void VideoDecoder::jump(std::int64_t key) {
  if (key == 0) {
    container_.go_to_start();
  } else {
    container_.go_to(container_.frames()[std::size_t(key)].time);
  }
  ffmpeg().avcodec_flush_buffers(codec_.get());
  ffmpeg().av_frame_unref(frame_.get());
  ffmpeg().av_frame_unref(before_.get());
  drained_ = false;
}

/// Decodes up to a frame; false where the data end before it or, unless they are read `from_start`,
/// begin after it.
bool VideoDecoder::decode_until(std::int64_t index, bool from_start,
                                const std::function<void()>& poll) {
  const auto frames = container_.frames();
  const std::int64_t time = frames[std::size_t(index)].time;
  std::swap(frame_, before_);
  for (;;) {
    poll();
    while (receive()) {
      const bool begins = before_->width == 0;
      if (time_of(*frame_) >= time) return time_of(*frame_) == time || !begins || from_start;
      std::swap(frame_, before_);
    }
    if (drained_) {
      const std::int64_t near = frames[std::size_t(std::max<std::int64_t>(index - 2, 0))].time;
      if (before_->width == 0 || time_of(*before_) < near) return false;
      std::swap(frame_, before_);
      return true;
    }
    feed();
  }
}

/// The next decoded frame, if there is one.
bool VideoDecoder::receive() {
  ffmpeg().av_frame_unref(frame_.get());
  const int got = ffmpeg().avcodec_receive_frame(codec_.get(), frame_.get());
  if (got >= 0) return true;
  if (got != AVERROR(EAGAIN) && got != AVERROR_EOF) {
    fail<MediaError>("its frames cannot be decoded: ", ffmpeg_error(got));
  }
  return false;
}

/// One packet for the codec, or the news that there are no more.
void VideoDecoder::feed() {
  const bool more = container_.next(*packet_);
  const int took = ffmpeg().avcodec_send_packet(codec_.get(), more ? packet_.get() : nullptr);
  if (more) ffmpeg().av_packet_unref(packet_.get());
  drained_ = !more;
  if (took < 0 && took != AVERROR_EOF) {
    fail<MediaError>("its frames are damaged: ", ffmpeg_error(took));
  }
}

/// The frame's pixels, converted as torchcodec does: bilinear, by the stream's own coefficients.
Image VideoDecoder::rgb() {
  const Ffmpeg& f = ffmpeg();
  const AVFrame& frame = *frame_;
  if (frame.width < 1 || frame.height < 1 || frame.format < 0) {
    fail<MediaError>("a frame without pixels");
  }
  if (scaler_ == nullptr || frame.width != scaler_width_ || frame.height != scaler_height_ ||
      frame.format != scaler_format_ || int(frame.colorspace) != scaler_colours_) {
    const auto format = static_cast<AVPixelFormat>(frame.format);
    scaler_.reset(f.sws_getContext(frame.width, frame.height, format, frame.width, frame.height,
                                   AV_PIX_FMT_RGB24, SWS_BICUBIC, nullptr, nullptr, nullptr));
    if (scaler_ == nullptr) fail<MediaError>("frames of a pixel format that cannot be converted");
    int *from_table = nullptr, *to_table = nullptr;
    int from_range = 0, to_range = 0, brightness = 0, contrast = 0, saturation = 0;
    f.sws_getColorspaceDetails(scaler_.get(), &from_table, &from_range, &to_table, &to_range,
                               &brightness, &contrast, &saturation);
    if (frame.color_range == AVCOL_RANGE_JPEG) from_range = 1;
    const int* colours = f.sws_getCoefficients(frame.colorspace);
    f.sws_setColorspaceDetails(scaler_.get(), colours, from_range, colours, to_range, brightness,
                               contrast, saturation);
    scaler_width_ = frame.width;
    scaler_height_ = frame.height;
    scaler_format_ = frame.format;
    scaler_colours_ = int(frame.colorspace);
  }
  // Vector code may write some pixels beyond a row.
  const std::int64_t row = std::int64_t(frame.width) * 3, stride = (row + 63) / 64 * 64 + 64;
  std::vector<std::uint8_t> padded(std::size_t(stride * frame.height));
  std::uint8_t* const planes[4] = {padded.data(), nullptr, nullptr, nullptr};
  const int strides[4] = {int(stride), 0, 0, 0};
  const int rows =
      f.sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, planes, strides);
  if (rows != frame.height) fail<MediaError>("a frame's pixels cannot be converted");
  Image image{frame.width, frame.height, {}};
  image.rgb.resize(std::size_t(row * frame.height));
  for (std::int64_t y = 0; y < frame.height; y++) {
    std::copy_n(padded.begin() + y * stride, row, image.rgb.begin() + y * row);
  }
  return image;
}

}  // namespace chiasm::vision
