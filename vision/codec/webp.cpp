/// WebP through libwebp; of an animation the first frame on a transparent black screen.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "core/error.h"
#include "vision/codec/codec.h"

namespace chiasm::vision {

Image decode_webp(std::span<const std::byte> bytes, const PictureInfo& info) {
  const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> demuxer(WebPDemux(&data),
                                                                     WebPDemuxDelete);
  if (demuxer == nullptr) fail<MediaError>("is damaged or truncated");
  if (WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH) != info.width ||
      WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT) != info.height) {
    fail<MediaError>("decodes to another size than its header says");
  }
  WebPIterator frame{};
  if (WebPDemuxGetFrame(demuxer.get(), 1, &frame) == 0) fail<MediaError>("holds no picture");
  const std::unique_ptr<WebPIterator, void (*)(WebPIterator*)> release(&frame,
                                                                       WebPDemuxReleaseIterator);
  if (frame.x_offset < 0 || frame.y_offset < 0 || frame.x_offset + frame.width > info.width ||
      frame.y_offset + frame.height > info.height) {
    fail<MediaError>("its first picture leaves the screen");
  }
  Image image = blank(info);
  const std::int64_t stride = info.width * 3;
  const std::int64_t first = frame.y_offset * stride + frame.x_offset * std::int64_t(3);
  if (WebPDecodeRGBInto(frame.fragment.bytes, frame.fragment.size, image.rgb.data() + first,
                        image.rgb.size() - std::size_t(first), int(stride)) == nullptr) {
    fail<MediaError>("is damaged or truncated");
  }
  return image;
}

}  // namespace chiasm::vision
