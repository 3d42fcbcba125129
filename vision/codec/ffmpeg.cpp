#include "vision/codec/ffmpeg.h"

#include <dlfcn.h>

#include "core/error.h"

namespace chiasm::vision {

namespace {

void* open(const char* name) {
  // Never closed: other libraries may come to hold functions of it.
  if (void* handle = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return handle;
  const char* why = dlerror();
  fail<DeviceError>("videos need FFmpeg's ", name, ", which cannot be opened (",
                    why == nullptr ? "no reason given" : why,
                    "); install it (Debian's package ffmpeg, or scripts/setup.sh), or give frames "
                    "as pictures");
}

template <class Function>
void find(void* library, const char* name, Function& to) {
  to = reinterpret_cast<Function>(dlsym(library, name));
  if (to == nullptr) fail<DeviceError>("FFmpeg's libraries have no ", name);
}

Ffmpeg load() {
  void* avutil = open("libavutil.so." AV_STRINGIFY(LIBAVUTIL_VERSION_MAJOR));
  void* avcodec = open("libavcodec.so." AV_STRINGIFY(LIBAVCODEC_VERSION_MAJOR));
  void* avformat = open("libavformat.so." AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR));
  void* swscale = open("libswscale.so." AV_STRINGIFY(LIBSWSCALE_VERSION_MAJOR));
  Ffmpeg f;
  find(avutil, "av_dict_set", f.av_dict_set);
  find(avutil, "av_dict_free", f.av_dict_free);
  find(avutil, "av_frame_alloc", f.av_frame_alloc);
  find(avutil, "av_frame_free", f.av_frame_free);
  find(avutil, "av_frame_unref", f.av_frame_unref);
  find(avutil, "av_free", f.av_free);
  find(avutil, "av_malloc", f.av_malloc);
  find(avutil, "av_log_set_level", f.av_log_set_level);
  find(avutil, "av_strerror", f.av_strerror);
  find(avutil, "av_display_rotation_get", f.av_display_rotation_get);
  find(avcodec, "av_packet_alloc", f.av_packet_alloc);
  find(avcodec, "av_packet_free", f.av_packet_free);
  find(avcodec, "av_packet_unref", f.av_packet_unref);
  find(avcodec, "avcodec_alloc_context3", f.avcodec_alloc_context3);
  find(avcodec, "avcodec_free_context", f.avcodec_free_context);
  find(avcodec, "avcodec_parameters_to_context", f.avcodec_parameters_to_context);
  find(avcodec, "avcodec_open2", f.avcodec_open2);
  find(avcodec, "avcodec_send_packet", f.avcodec_send_packet);
  find(avcodec, "avcodec_receive_frame", f.avcodec_receive_frame);
  find(avcodec, "avcodec_flush_buffers", f.avcodec_flush_buffers);
  find(avcodec, "avcodec_version", f.avcodec_version);
  find(avcodec, "avcodec_get_name", f.avcodec_get_name);
  find(avformat, "avformat_alloc_context", f.avformat_alloc_context);
  find(avformat, "avformat_open_input", f.avformat_open_input);
  find(avformat, "avformat_close_input", f.avformat_close_input);
  find(avformat, "avformat_find_stream_info", f.avformat_find_stream_info);
  find(avformat, "avformat_seek_file", f.avformat_seek_file);
  find(avformat, "avformat_version", f.avformat_version);
  find(avformat, "av_find_best_stream", f.av_find_best_stream);
  find(avformat, "av_read_frame", f.av_read_frame);
#if CHIASM_FFMPEG_CODED_SIDE_DATA
  find(avcodec, "av_packet_side_data_get", f.av_packet_side_data_get);
#else
  find(avformat, "av_stream_get_side_data", f.av_stream_get_side_data);
#endif
  find(avformat, "avio_alloc_context", f.avio_alloc_context);
  find(avformat, "avio_context_free", f.avio_context_free);
  find(swscale, "sws_getContext", f.sws_getContext);
  find(swscale, "sws_freeContext", f.sws_freeContext);
  find(swscale, "sws_scale", f.sws_scale);
  find(swscale, "sws_getCoefficients", f.sws_getCoefficients);
  find(swscale, "sws_getColorspaceDetails", f.sws_getColorspaceDetails);
  find(swscale, "sws_setColorspaceDetails", f.sws_setColorspaceDetails);
  find(swscale, "swscale_version", f.swscale_version);
  f.av_log_set_level(AV_LOG_QUIET);  // errors are told by exceptions
  return f;
}

}  // namespace

const Ffmpeg& ffmpeg() {
  static const Ffmpeg loaded = load();  // tried anew after a failure
  return loaded;
}

const std::int32_t* display_matrix(const AVStream& stream) {
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;
#if CHIASM_FFMPEG_CODED_SIDE_DATA
  const AVCodecParameters& codec = *stream.codecpar;
  if (const AVPacketSideData* found = ffmpeg().av_packet_side_data_get(
          codec.coded_side_data, codec.nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX)) {
    data = found->data;
    size = found->size;
  }
#else
  data = ffmpeg().av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
#endif
  return size < 9 * sizeof(std::int32_t) ? nullptr : reinterpret_cast<const std::int32_t*>(data);
}

std::string ffmpeg_error(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = "";
  if (ffmpeg().av_strerror(code, text, sizeof text) < 0) return "error " + std::to_string(code);
  return text;
}

}  // namespace chiasm::vision
