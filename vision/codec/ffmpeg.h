#pragma once
/// FFmpeg's libraries, opened when the first video is, not linked: they bring some hundred others
/// with them, which programs without videos need not load or have.
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
}

#include <cstdint>
#include <memory>
#include <string>

/// FFmpeg 6.1 moved what a stream says about all its packets to its codec parameters; 8 has no
/// other way.
#define CHIASM_FFMPEG_CODED_SIDE_DATA (LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 30, 100))

namespace chiasm::vision {

/// The functions in use, under their own names.
struct Ffmpeg {
  // libavutil
  decltype(&::av_dict_set) av_dict_set = nullptr;
  decltype(&::av_dict_free) av_dict_free = nullptr;
  decltype(&::av_frame_alloc) av_frame_alloc = nullptr;
  decltype(&::av_frame_free) av_frame_free = nullptr;
  decltype(&::av_frame_unref) av_frame_unref = nullptr;
  decltype(&::av_free) av_free = nullptr;
  decltype(&::av_malloc) av_malloc = nullptr;
  decltype(&::av_log_set_level) av_log_set_level = nullptr;
  decltype(&::av_strerror) av_strerror = nullptr;
  decltype(&::av_display_rotation_get) av_display_rotation_get = nullptr;
  // libavcodec
  decltype(&::av_packet_alloc) av_packet_alloc = nullptr;
  decltype(&::av_packet_free) av_packet_free = nullptr;
  decltype(&::av_packet_unref) av_packet_unref = nullptr;
  decltype(&::avcodec_alloc_context3) avcodec_alloc_context3 = nullptr;
  decltype(&::avcodec_free_context) avcodec_free_context = nullptr;
  decltype(&::avcodec_parameters_to_context) avcodec_parameters_to_context = nullptr;
  decltype(&::avcodec_open2) avcodec_open2 = nullptr;
  decltype(&::avcodec_send_packet) avcodec_send_packet = nullptr;
  decltype(&::avcodec_receive_frame) avcodec_receive_frame = nullptr;
  decltype(&::avcodec_flush_buffers) avcodec_flush_buffers = nullptr;
  decltype(&::avcodec_version) avcodec_version = nullptr;
  decltype(&::avcodec_get_name) avcodec_get_name = nullptr;
#if CHIASM_FFMPEG_CODED_SIDE_DATA
  decltype(&::av_packet_side_data_get) av_packet_side_data_get = nullptr;
#endif
  // libavformat
  decltype(&::avformat_alloc_context) avformat_alloc_context = nullptr;
  decltype(&::avformat_open_input) avformat_open_input = nullptr;
  decltype(&::avformat_close_input) avformat_close_input = nullptr;
  decltype(&::avformat_find_stream_info) avformat_find_stream_info = nullptr;
  decltype(&::avformat_seek_file) avformat_seek_file = nullptr;
  decltype(&::avformat_version) avformat_version = nullptr;
  decltype(&::av_find_best_stream) av_find_best_stream = nullptr;
  decltype(&::av_read_frame) av_read_frame = nullptr;
#if !CHIASM_FFMPEG_CODED_SIDE_DATA
  decltype(&::av_stream_get_side_data) av_stream_get_side_data = nullptr;
#endif
  decltype(&::avio_alloc_context) avio_alloc_context = nullptr;
  decltype(&::avio_context_free) avio_context_free = nullptr;
  // libswscale
  decltype(&::sws_getContext) sws_getContext = nullptr;
  decltype(&::sws_freeContext) sws_freeContext = nullptr;
  decltype(&::sws_scale) sws_scale = nullptr;
  decltype(&::sws_getCoefficients) sws_getCoefficients = nullptr;
  decltype(&::sws_getColorspaceDetails) sws_getColorspaceDetails = nullptr;
  decltype(&::sws_setColorspaceDetails) sws_setColorspaceDetails = nullptr;
  decltype(&::swscale_version) swscale_version = nullptr;
};

/// Opens the libraries whose headers this build has seen, once, and makes them silent. DeviceError
/// naming the one that is missing and what to install.
const Ffmpeg& ffmpeg();

/// How a stream is to be turned and mirrored for display, 9 numbers; null where it does not say.
const std::int32_t* display_matrix(const AVStream& stream);

/// FFmpeg's words for an error code.
std::string ffmpeg_error(int code);

struct FfmpegDelete {
  void operator()(AVFormatContext* context) const { ffmpeg().avformat_close_input(&context); }
  void operator()(AVCodecContext* context) const { ffmpeg().avcodec_free_context(&context); }
  void operator()(AVPacket* packet) const { ffmpeg().av_packet_free(&packet); }
  void operator()(AVFrame* frame) const { ffmpeg().av_frame_free(&frame); }
  void operator()(SwsContext* context) const { ffmpeg().sws_freeContext(context); }
  void operator()(AVIOContext* io) const {  // the buffer may have been replaced by another
    ffmpeg().av_free(io->buffer);
    ffmpeg().avio_context_free(&io);
  }
};
template <class T>
using FfmpegPtr = std::unique_ptr<T, FfmpegDelete>;

}  // namespace chiasm::vision
