/// JPEG through libjpeg-turbo: slow-integer transform and smooth chroma upsampling, as Pillow.
// jpeglib.h needs FILE and size_t before it.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
// clang-format on

#include <csetjmp>
#include <string>
#include <vector>

#include "core/error.h"
#include "vision/codec/codec.h"

namespace chiasm::vision {

namespace {

/// A progressive picture needs about ten scans; thousands of them over a large picture would keep
/// the decoder busy for hours.
constexpr int kMostScans = 100;

/// libjpeg's state. Its errors leave by longjmp, so the functions that call it, `start` and
/// `read_rows`, keep nothing that needs destroying.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) {
    cinfo_.err = jpeg_std_error(&errors_);
    cinfo_.client_data = this;
    errors_.error_exit = [](j_common_ptr c) {
      (*c->err->format_message)(c, self(c).message_);
      std::longjmp(self(c).escape_, 1);
    };
    errors_.emit_message = [](j_common_ptr, int) {};  // warnings: Pillow ignores them as well
    errors_.output_message = [](j_common_ptr) {};
    source_.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    source_.bytes_in_buffer = bytes.size();
    source_.init_source = [](j_decompress_ptr) {};
    source_.term_source = [](j_decompress_ptr) {};
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.fill_input_buffer = [](j_decompress_ptr c) -> boolean {
      self(c).quit("is truncated: the data ends inside the picture");
    };
    source_.skip_input_data = [](j_decompress_ptr c, long count) {
      if (count < 0) return;
      if (std::size_t(count) > c->src->bytes_in_buffer) self(c).quit("is truncated");
      c->src->next_input_byte += count;
      c->src->bytes_in_buffer -= std::size_t(count);
    };
    progress_.progress_monitor = [](j_common_ptr c) {
      if (reinterpret_cast<j_decompress_ptr>(c)->input_scan_number > kMostScans) {
        self(c).quit("has more scans than any honest picture");
      }
    };
  }
  ~Reader() {
    if (created_) jpeg_destroy_decompress(&cinfo_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// Reads the header and chooses RGB or CMYK output.
  bool start() {
    if (setjmp(escape_) != 0) return false;
    jpeg_create_decompress(&cinfo_);
    created_ = true;
    cinfo_.client_data = this;
    cinfo_.src = &source_;
    cinfo_.progress = &progress_;
    jpeg_read_header(&cinfo_, TRUE);
    cinfo_.out_color_space = cinfo_.num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&cinfo_);
    return true;
  }

  /// Reads every row into `rows`, `stride` bytes apart.
  bool read_rows(std::uint8_t* rows, std::size_t stride) {
    if (setjmp(escape_) != 0) return false;
    while (cinfo_.output_scanline < cinfo_.output_height) {
      JSAMPROW row = rows + cinfo_.output_scanline * stride;
      jpeg_read_scanlines(&cinfo_, &row, 1);
    }
    return true;  // whatever follows the last row is of no interest
  }

  const jpeg_decompress_struct& state() const { return cinfo_; }
  [[noreturn]] void give_up() const { fail<MediaError>(std::string(message_)); }

 private:
  template <class State>
  static Reader& self(State* c) {
    return *static_cast<Reader*>(c->client_data);
  }
  [[noreturn]] void quit(const char* message) {
    std::snprintf(message_, sizeof(message_), "%s", message);
    std::longjmp(escape_, 1);
  }

  jpeg_decompress_struct cinfo_{};
  jpeg_error_mgr errors_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf escape_{};
  char message_[JMSG_LENGTH_MAX] = "";
  bool created_ = false;
};

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, const PictureInfo& info) {
  Reader reader(bytes);
  if (!reader.start()) reader.give_up();
  const auto& state = reader.state();
  if (state.output_width != info.width || state.output_height != info.height) {
    fail<MediaError>("decodes to another size than its header says");
  }
  Image image = blank(info);
  const auto pixels = std::size_t(info.width * info.height);
  if (state.output_components == 3) {
    if (!reader.read_rows(image.rgb.data(), std::size_t(info.width) * 3)) reader.give_up();
    return image;
  }
  if (state.output_components != 4) fail<MediaError>("has an unknown colour space");
  std::vector<std::uint8_t> inks(pixels * 4);
  if (!reader.read_rows(inks.data(), std::size_t(info.width) * 4)) reader.give_up();
  for (std::size_t i = 0; i < pixels; i++) {
    // Adobe's convention, which Pillow takes for granted: 255 means no ink.
    const std::uint8_t cmyk[4] = {
        std::uint8_t(255 - inks[4 * i]), std::uint8_t(255 - inks[4 * i + 1]),
        std::uint8_t(255 - inks[4 * i + 2]), std::uint8_t(255 - inks[4 * i + 3])};
    cmyk_to_rgb(cmyk, image.rgb.data() + 3 * i);
  }
  return image;
}

}  // namespace chiasm::vision
