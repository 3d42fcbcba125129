/// Videos of a request.
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <algorithm>
#include <filesystem>

#include "python/bind.h"
#include "vision/video_file.h"

namespace chiasm::python {

namespace {

/// uint8 [height, width, 3].
Tensor pixels_of(const vision::Image& frame) {
  Tensor out(DType::u8, {frame.height, frame.width, 3});
  std::ranges::copy(frame.rgb, out.view<std::uint8_t>().data());
  return out;
}

void bind_video_file(py::module_& m) {
  py::class_<vision::VideoFile>(m, "VideoFile", "An open video file. For one thread at a time.")
      .def(py::init([](const std::string& path) {
             return vision::VideoFile(std::filesystem::path(path), vision::VideoLimits());
           }),
           py::arg("path"), py::call_guard<Unlocked>(),
           "Counts the frames. MediaError for what is no video, DeviceError without FFmpeg.")
      .def_property_readonly("frames", [](const vision::VideoFile& v) { return v.info().frames; })
      .def_property_readonly("fps", [](const vision::VideoFile& v) { return v.info().fps; })
      .def_property_readonly("seconds", [](const vision::VideoFile& v) { return v.info().seconds; })
      .def_property_readonly("width", &vision::VideoFile::width)
      .def_property_readonly("height", &vision::VideoFile::height)
      .def(
          "read",
          [](vision::VideoFile& self, const std::vector<std::int64_t>& frames) {
            std::vector<Tensor> read;
            unlocked([&](const Poll& poll) {
              const auto heard = [&] {
                if (poll && poll()) throw Interrupted("interrupted by the caller");
              };
              self.read(frames, heard,
                        [&](const vision::Image& frame) { read.push_back(pixels_of(frame)); });
            });
            py::typing::List<py::array_t<std::uint8_t>> out;
            for (Tensor& frame : read) out.append(array(std::move(frame)));
            return out;
          },
          py::arg("frames"),
          "uint8 [height, width, 3] of each of `frames`, ascending numbers from 0.");
}

}  // namespace

void bind_video_input(py::module_& m) {
  bind_video_file(m);
  py::class_<VideoInput>(m, "VideoInput", "A video: a file, its content, or frames as pictures.")
      .def_static("from_file", &VideoInput::from_file, py::arg("path"),
                  "A file, which is read when its turn comes.")
      .def_static(
          "from_bytes",
          [](const py::bytes& encoded, std::string name) {
            return VideoInput::from_bytes(encoded, std::move(name));
          },
          py::arg("encoded"), py::arg("name"), "The content of an MP4, MKV, ... file.")
      .def_static("from_frames", &VideoInput::from_frames, py::arg("frames"), py::arg("fps"),
                  py::arg("name"), "Pictures of one size; `fps` of 0 where it is unknown.")
      .def_static("from_folder", &VideoInput::from_folder, py::arg("path"), py::arg("fps"),
                  py::call_guard<Unlocked>(), "The pictures of a folder, ordered by name.")
      .def(
          "choose",
          [](VideoInput& self, std::int64_t frames, double fps, bool all) {
            self.choice = {frames, fps, all};
          },
          py::kw_only(), py::arg("frames"), py::arg("fps"), py::arg("all"),
          "Which frames the model sees; 0 leaves it to its settings.")
      .def_readonly("name", &VideoInput::name);
}

void bind_video(py::class_<Model>& model) {
  model
      .def(
          "preprocess_video",
          [](const Model& self, const VideoInput& video) {
            std::vector<NamedTensor> tensors =
                unlocked([&](const Poll&) { return self.preprocess_video(video); });
            py::typing::Dict<py::str, py::array> out;
            for (NamedTensor& t : tensors) out[text(t.name)] = array(std::move(t.values));
            return out;
          },
          py::arg("video"), "The arrays of the model's own processor.")
      .def(
          "encode_video",
          [](Model& self, const VideoInput& video) {
            return py::array_t<float>(
                array(unlocked([&](const Poll& poll) { return self.encode_video(video, poll); })));
          },
          py::arg("video"), "float32 [tokens, d_model], after the projector.");
}

}  // namespace chiasm::python
