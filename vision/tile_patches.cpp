#include "vision/tile_patches.h"

#include "core/sent.h"
#include "kernels/embed.h"

namespace chiasm::vision {

namespace {

void patches_on_device(Device& device, const PreparedPicture& picture, const Tile& tile,
                       std::int64_t patch, Arena& arena, TensorView<float> y) {
  const std::byte* const levels =
      device.resident(std::as_bytes(std::span(picture.levels)), "levels");
  const device::PictureCall call{sent(device, arena, std::span<const std::uint8_t>(tile.rgb)),
                                 reinterpret_cast<const float*>(levels),
                                 tile.height,
                                 tile.width,
                                 tile.valid.height,
                                 tile.valid.width,
                                 patch,
                                 y.data(),
                                 y.row_stride()};
  device.run(call, "picture");
}

}  // namespace

void tile_patches(const Context& ctx, const PreparedPicture& picture, std::int64_t index,
                  std::int64_t patch, Arena& arena, TensorView<float> y) {
  const Tile& tile = picture.tile(index);
  const Arena::Frame frame(arena);
  if (ctx.device != nullptr) {
    y.expect({tile.height / patch * (tile.width / patch), 3 * patch * patch});
    return patches_on_device(*ctx.device, picture, tile, patch, arena, y);
  }
  const auto pixels = arena.floats({3, tile.height, tile.width}, "pixels");
  picture.pixel_values(index, pixels.data());
  kernels::extract_patches(ctx, pixels, patch, y);
}

}  // namespace chiasm::vision
