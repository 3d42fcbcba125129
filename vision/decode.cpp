#include "core/error.h"
#include "core/json.h"
#include "vision/codec/codec.h"
#include "vision/image.h"
#include "vision/orientation.h"

namespace chiasm::vision {

namespace {

Image decode_stored(std::span<const std::byte> bytes, const PictureInfo& info) {
  if (info.format == Format::bmp) return decode_bmp(bytes, info);
  if (info.format == Format::pnm) return decode_pnm(bytes, info);
#ifdef CHIASM_PICTURES_STB
  return decode_stb(bytes, info);
#else
  if (info.format == Format::jpeg) return decode_jpeg(bytes, info);
  if (info.format == Format::png) return decode_png(bytes, info);
  if (info.format == Format::gif) return decode_gif(bytes, info);
  if (info.format == Format::webp) return decode_webp(bytes, info);
  return decode_tiff(bytes, info);
#endif
}

}  // namespace

Image blank(const PictureInfo& info) {
  return {info.width, info.height,
          std::vector<std::uint8_t>(std::size_t(info.width * info.height * 3))};
}

Image decode(std::span<const std::byte> bytes, const MediaLimits& limits) {
  const PictureInfo info = read_header(bytes);
  check_limits(info, bytes.size(), limits);
  try {
    return in_context(name(info.format),
                      [&] { return upright(decode_stored(bytes, info), info.orientation); });
  } catch (const std::bad_alloc&) {
    fail<MediaError>("not enough memory for a picture of ", info.width, " x ", info.height,
                     " pixels");
  }
}

std::string_view picture_decoder() {
#ifdef CHIASM_PICTURES_STB
  return "stb";
#else
  return "native";
#endif
}

Image decode_file(const std::filesystem::path& path, const MediaLimits& limits) {
  std::string bytes;
  try {
    bytes = read_file(path, limits.max_bytes);
  } catch (const ModelError& e) {
    throw MediaError(e.what());
  }
  return in_context(path.string(), [&] { return decode(std::as_bytes(std::span(bytes)), limits); });
}

}  // namespace chiasm::vision
