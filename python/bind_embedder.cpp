/// Embedder: every call releases the GIL while C++ works and hears Ctrl-C.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "python/bind.h"
#include "runtime/embedder.h"

namespace chiasm::python {

namespace {

using Progress = std::optional<std::function<void(double)>>;
using Floats = py::array_t<float>;

std::unique_ptr<Embedder> load(const std::string& folder, const std::string& device,
                               const std::string& dtype, const std::string& quantize, int threads,
                               std::int64_t max_image_pixels, const std::string& lora,
                               const Progress& progress) {
  EmbedderOptions o;
  o.device = device;
  o.dtype = dtype;
  o.quantize = quantize;
  o.threads = threads;
  o.max_image_pixels = max_image_pixels;
  o.lora = lora;
  o.progress = heard(progress);
  Unlocked unlock;
  return std::make_unique<Embedder>(Embedder::load(folder, o));
}

/// A read-only attribute whose bytes are shown as text.
auto text_of(std::string EmbedderInfo::*member) {
  return [member](const EmbedderInfo& self) { return text(self.*member); };
}

}  // namespace

void bind_embedder(py::module_& m) {
  py::class_<EmbedderInfo>(m, "EmbedderInfo", "What a loaded embedder is.")
      .def_property_readonly("family", text_of(&EmbedderInfo::family))
      .def_property_readonly("path", text_of(&EmbedderInfo::path))
      .def_property_readonly("dtype", text_of(&EmbedderInfo::dtype))
      .def_property_readonly("quantize", text_of(&EmbedderInfo::quantize))
      .def_property_readonly("isa", text_of(&EmbedderInfo::isa))
      .def_property_readonly("lora", text_of(&EmbedderInfo::lora))
      .def_readonly("size", &EmbedderInfo::size)
      .def_readonly("max_tokens", &EmbedderInfo::max_tokens)
      .def_readonly("patches_per_picture", &EmbedderInfo::patches_per_picture)
      .def_readonly("parameters", &EmbedderInfo::parameters)
      .def_readonly("weight_bytes", &EmbedderInfo::weight_bytes)
      .def_readonly("threads", &EmbedderInfo::threads)
      .def_property_readonly("prompts", [](const EmbedderInfo& self) { return self.prompts.texts; })
      .def_property_readonly("default_prompt",
                             [](const EmbedderInfo& self) { return self.prompts.otherwise; })
      .def_readonly("logit_scale", &EmbedderInfo::logit_scale)
      .def_readonly("logit_bias", &EmbedderInfo::logit_bias);

  py::class_<Embedder>(m, "Embedder", "A loaded embedder. Thread-safe.")
      .def_static(
          "load", &load, py::arg("folder"), py::kw_only(), py::arg("device") = "auto",
          py::arg("dtype") = "auto", py::arg("quantize") = "", py::arg("threads") = 0,
          py::arg("max_image_pixels") = EmbedderOptions().max_image_pixels, py::arg("lora") = "",
          py::arg("progress") = py::none(),
          "Loads a Hugging Face folder, and the PEFT adapter of the folder `lora`. `progress` "
          "hears the fraction read.")
      .def(
          "embed_texts",
          [](const Embedder& self, const std::vector<std::string>& texts,
             const std::optional<std::string>& prompt, bool truncate) {
            const TextOptions options{prompt, truncate};
            return Floats(array(unlocked(
                [&](const Poll& poll) { return self.embed_texts(texts, options, poll); })));
          },
          py::arg("texts"), py::kw_only(), py::arg("prompt") = py::none(),
          py::arg("truncate") = false,
          "float32 [texts, size], rows of length 1. `prompt`: the name of one of the model's.")
      .def(
          "embed_images",
          [](const Embedder& self, const std::vector<ImageInput>& images) {
            return Floats(
                array(unlocked([&](const Poll& poll) { return self.embed_images(images, poll); })));
          },
          py::arg("images"), "float32 [images, size], rows of length 1.")
      .def(
          "count_tokens",
          [](const Embedder& self, const std::vector<std::string>& texts,
             const std::optional<std::string>& prompt, bool truncate) {
            const TextOptions options{prompt, truncate};
            Unlocked unlock;
            return self.count_tokens(texts, options);
          },
          py::arg("texts"), py::kw_only(), py::arg("prompt") = py::none(),
          py::arg("truncate") = false, "Tokens of each text as embed_texts would read it.")
      .def(
          "set_tap", [](Embedder& self, const PythonTap& tap) { self.set_tap(tap_of(tap)); },
          py::arg("tap"),
          "Has `tap(stage, values)` hear intermediates of later calls, float32 [rows, columns]; "
          "None: no longer.")
      .def_property_readonly("info",
                             [](const Embedder& self) { return EmbedderInfo(self.info()); });
}

}  // namespace chiasm::python
