/// What a model sees of a picture, and what an answer attended to.
#include <pybind11/stl.h>

#include <tuple>

#include "python/bind.h"

namespace chiasm::python {

namespace {

using Box = std::tuple<double, double, double, double>;

Box box_of(const Region& r) { return {r.left, r.top, r.right, r.bottom}; }

py::array_t<std::int32_t> token_tiles(const PictureTiles& tiles) {
  py::array_t<std::int32_t> out{py::ssize_t(tiles.tokens.size())};
  for (std::size_t i = 0; i < tiles.tokens.size(); i++) {
    out.mutable_at(i) = std::int32_t(tiles.tokens[i].tile);
  }
  return out;
}

py::array_t<float> token_boxes(const PictureTiles& tiles) {
  py::array_t<float> out({py::ssize_t(tiles.tokens.size()), py::ssize_t(4)});
  for (std::size_t i = 0; i < tiles.tokens.size(); i++) {
    const Region& r = tiles.tokens[i].shows;
    out.mutable_at(i, 0) = float(r.left);
    out.mutable_at(i, 1) = float(r.top);
    out.mutable_at(i, 2) = float(r.right);
    out.mutable_at(i, 3) = float(r.bottom);
  }
  return out;
}

}  // namespace

void bind_tiles(py::module_& m) {
  py::class_<PictureTile>(m, "PictureTile", "A part of a picture that the encoder takes whole.")
      .def_property_readonly(
          "box", [](const PictureTile& self) { return box_of(self.shows); },
          "Left, top, right and bottom of what it shows, in pixels of the upright picture.")
      .def_readonly("width", &PictureTile::width)
      .def_readonly("height", &PictureTile::height)
      .def_readonly("tokens", &PictureTile::tokens)
      .def_readonly("overview", &PictureTile::overview);

  py::class_<PictureTiles>(m, "PictureTiles", "The tiles and tokens of a picture.")
      .def_readonly("width", &PictureTiles::width)
      .def_readonly("height", &PictureTiles::height)
      .def_readonly("rows", &PictureTiles::rows)
      .def_readonly("cols", &PictureTiles::cols)
      .def_readonly("tiles", &PictureTiles::tiles)
      .def_property_readonly("token_tiles", &token_tiles,
                             "int32 [tokens]: the tile of each; -1 where it is of none.")
      .def_property_readonly("token_boxes", &token_boxes,
                             "float32 [tokens, 4]: what each shows, as a tile's box; of no area "
                             "where it shows no place.");
}

void bind_shown(py::class_<Model>& model) {
  model
      .def(
          "tiles",
          [](const Model& self, const ImageInput& image, std::size_t pictures) {
            return unlocked([&](const Poll&) { return self.tiles(image, pictures); });
          },
          py::arg("image"), py::arg("pictures") = 1,
          "The tiles of one of so many pictures in a prompt. Reads the header only.")
      .def(
          "attention",
          [](Model& self, const Request& request, const std::vector<std::int32_t>& answer,
             const std::vector<std::int64_t>& layers) {
            Attention seen = unlocked(
                [&](const Poll& poll) { return self.attention(request, answer, layers, poll); });
            return std::tuple{py::array_t<float>(array(std::move(seen.weights))),
                              std::move(seen.pictures)};
          },
          py::arg("request"), py::arg("answer"), py::arg("layers"),
          "float32 [answer tokens, rows], averaged over heads and layers (none named: all), and "
          "the rows of each picture.");
}

}  // namespace chiasm::python
