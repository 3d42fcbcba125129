/// PNG through libpng, without any colour management: the stored numbers are the pixels.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <string>
#include <vector>

#include "core/error.h"
#include "vision/codec/codec.h"

namespace chiasm::vision {

namespace {

/// libpng's state. Its errors leave by longjmp, so `start` and `read_rows`, which call it, keep
/// nothing that needs destroying.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error,
                                  [](png_structp, png_const_charp) {});
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      fail<MediaError>("out of memory");
    }
  }
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// Reads the header and sets up RGB rows, or 16-bit grey ones, which libpng would scale.
  bool start() {
    if (setjmp(escape_) != 0) return false;
    png_set_read_fn(png_, this, on_read);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);  // our own limits have been checked
    png_read_info(png_, info_);
    grey16_ = png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY &&
              png_get_bit_depth(png_, info_) == 16;
    if (!grey16_) {
      png_set_strip_16(png_);
      png_set_palette_to_rgb(png_);
      png_set_expand_gray_1_2_4_to_8(png_);
      png_set_gray_to_rgb(png_);
      png_set_strip_alpha(png_);
    }
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  bool read_rows(std::uint8_t* rows, std::size_t stride) {
    if (setjmp(escape_) != 0) return false;
    for (int pass = 0; pass < passes_; pass++) {
      for (png_uint_32 y = 0; y < height(); y++) png_read_row(png_, rows + y * stride, nullptr);
    }
    return true;  // a missing IEND is forgiven, as by Pillow
  }

  png_uint_32 width() const { return png_get_image_width(png_, info_); }
  png_uint_32 height() const { return png_get_image_height(png_, info_); }
  std::size_t row_bytes() const { return png_get_rowbytes(png_, info_); }
  bool grey16() const { return grey16_; }
  [[noreturn]] void give_up() const { fail<MediaError>(std::string(message_)); }

 private:
  static void on_error(png_structp png, png_const_charp message) {
    auto& self = *static_cast<Reader*>(png_get_error_ptr(png));
    std::strncpy(self.message_, message, sizeof(self.message_) - 1);
    std::longjmp(self.escape_, 1);
  }
  static void on_read(png_structp png, png_bytep out, std::size_t count) {
    auto& self = *static_cast<Reader*>(png_get_io_ptr(png));
    if (count > self.bytes_.size() - self.at_) {
      png_error(png, "is truncated: the data ends inside the picture");
    }
    std::memcpy(out, self.bytes_.data() + self.at_, count);
    self.at_ += count;
  }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf escape_{};
  char message_[128] = "";
  int passes_ = 1;
  bool grey16_ = false;
};

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const PictureInfo& info) {
  Reader reader(bytes);
  if (!reader.start()) reader.give_up();
  const std::size_t row = std::size_t(info.width) * (reader.grey16() ? 2 : 3);
  if (reader.width() != info.width || reader.height() != info.height || reader.row_bytes() != row) {
    fail<MediaError>("decodes to another size than its header says");
  }
  Image image = blank(info);
  if (!reader.grey16()) {
    if (!reader.read_rows(image.rgb.data(), row)) reader.give_up();
    return image;
  }
  std::vector<std::uint8_t> grey(row * std::size_t(info.height));
  if (!reader.read_rows(grey.data(), row)) reader.give_up();
  for (std::size_t i = 0; i < grey.size() / 2; i++) {  // most significant byte first
    const std::uint8_t level = grey[2 * i] != 0 ? 255 : grey[2 * i + 1];
    std::fill_n(image.rgb.data() + 3 * i, 3, level);
  }
  return image;
}

}  // namespace chiasm::vision
