/// Videos of a request.
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include "python/bind.h"

namespace chiasm::python {

void bind_video_input(py::module_& m) {
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
                  py::call_guard<py::gil_scoped_release>(),
                  "The pictures of a folder, ordered by name.")
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
