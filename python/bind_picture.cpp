/// Pictures as they go into the runtime.
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>

#include "python/bind.h"
#include "vision/resize.h"

namespace chiasm::python {

namespace {

/// Copies pixels. The caller's array may change while the request runs.
ImageInput from_pixels(const py::array& pixels, std::string name) {
  if (!pixels.dtype().equal(py::dtype::of<std::uint8_t>())) {
    fail<MediaError>(name, ": the array holds ", py::str(pixels.dtype()).cast<std::string>(),
                     ", expected uint8 of shape [height, width, 3]");
  }
  if (pixels.ndim() != 3 || pixels.shape(2) != 3 || pixels.size() == 0) {
    const py::object shape = pixels.attr("shape");
    fail<MediaError>(name, ": the array has the shape ", py::str(shape).cast<std::string>(),
                     ", expected [height, width, 3] with at least one pixel");
  }
  const auto rows = py::array_t<std::uint8_t, py::array::c_style>::ensure(pixels);
  if (!rows) throw py::error_already_set();
  vision::Image image;
  image.height = rows.shape(0);
  image.width = rows.shape(1);
  image.rgb.assign(rows.data(), rows.data() + rows.size());
  return ImageInput::from_pixels(std::move(image), std::move(name));
}

ImageInput decoded(const py::bytes& encoded, std::string name, std::int64_t max_pixels) {
  const std::string_view bytes = encoded;
  const Unlocked unlock;
  vision::MediaLimits limits;
  limits.max_pixels = max_pixels;
  vision::Image image = vision::decode(std::as_bytes(std::span(bytes)), limits);
  return ImageInput::from_pixels(std::move(image), std::move(name));
}

const vision::Image& of(const ImageInput& input) {
  if (!input.pixels) fail<RequestError>(input.name, ": the picture is not decoded yet");
  return *input.pixels;
}

py::array_t<std::uint8_t> thumbnail(const ImageInput& input, std::int64_t side) {
  const vision::Image& image = of(input);
  if (side < 1) fail<RequestError>("a thumbnail of ", side, " pixels, expected at least 1");
  const double scale = std::min(1.0, double(side) / double(std::max(image.width, image.height)));
  const auto scaled = [&](std::int64_t from) {
    return std::max<std::int64_t>(1, std::llround(double(from) * scale));
  };
  vision::Image small;
  {
    const Unlocked unlock;
    ThreadPool alone(1);  // callers have threads of their own, one for each picture
    Context ctx;
    ctx.pool = &alone;
    ctx.isa = best_isa();
    small = vision::resize(ctx, image, scaled(image.width), scaled(image.height),
                           vision::Filter::bilinear);
  }
  py::array_t<std::uint8_t> out({small.height, small.width, std::int64_t(3)});
  std::copy(small.rgb.begin(), small.rgb.end(), out.mutable_data());
  return out;
}

}  // namespace

void bind_picture_input(py::module_& m) {
  py::class_<ImageInput>(m, "ImageInput", "A picture, as encoded bytes or as pixels.")
      .def_static(
          "from_file",
          [](const std::string& path) {
            Unlocked unlock;
            return ImageInput::from_file(path);
          },
          py::arg("path"), "Reads a file's bytes; MediaError when it cannot be read.")
      .def_static(
          "from_bytes",
          [](const py::bytes& encoded, std::string name) {
            return ImageInput::from_bytes(encoded, std::move(name));
          },
          py::arg("encoded"), py::arg("name"), "The content of a JPEG, PNG, WebP, ... file.")
      .def_static("from_pixels", &from_pixels, py::arg("pixels"), py::arg("name"),
                  "uint8 [height, width, 3], RGB, upright. MediaError for any other array.")
      .def_static(
          "decoded", &decoded, py::arg("encoded"), py::arg("name"), py::arg("max_pixels"),
          "The pixels of a file's content, upright, decoded here and now. MediaError when it "
          "is no picture, is damaged, or has more pixels than `max_pixels`.")
      .def("thumbnail", &thumbnail, py::arg("side"),
           "uint8 [height, width, 3] of at most `side` pixels a side, resized with antialiased "
           "triangles and never enlarged. RequestError when it is not decoded.")
      .def_property_readonly(
          "size",
          [](const ImageInput& input) { return std::pair(of(input).width, of(input).height); },
          "Width and height in pixels. RequestError when it is not decoded.")
      .def_readonly("name", &ImageInput::name);
}

}  // namespace chiasm::python
