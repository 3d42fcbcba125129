/// Retriever: every call releases the GIL while C++ works and hears Ctrl-C.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "python/bind.h"
#include "runtime/retriever.h"

namespace chiasm::python {

namespace {

using Progress = std::optional<std::function<void(double)>>;
using Floats = py::array_t<float>;

std::unique_ptr<Retriever> load(const std::string& folder, const std::string& device,
                                const std::string& dtype, const std::string& quantize, int threads,
                                const Progress& progress) {
  EmbedderOptions o;
  o.device = device;
  o.dtype = dtype;
  o.quantize = quantize;
  o.threads = threads;
  o.progress = heard(progress);
  Unlocked unlock;
  return std::make_unique<Retriever>(Retriever::load(folder, o));
}

std::vector<Floats> arrays(std::vector<Tensor> tensors) {
  std::vector<Floats> out;
  for (Tensor& tensor : tensors) out.emplace_back(array(std::move(tensor)));
  return out;
}

/// A read-only attribute whose bytes are shown as text.
auto text_of(std::string RetrieverInfo::*member) {
  return [member](const RetrieverInfo& self) { return text(self.*member); };
}

}  // namespace

void bind_retriever(py::module_& m) {
  py::class_<RetrieverInfo>(m, "RetrieverInfo", "What a loaded retriever is.")
      .def_property_readonly("family", text_of(&RetrieverInfo::family))
      .def_property_readonly("path", text_of(&RetrieverInfo::path))
      .def_property_readonly("dtype", text_of(&RetrieverInfo::dtype))
      .def_property_readonly("quantize", text_of(&RetrieverInfo::quantize))
      .def_property_readonly("isa", text_of(&RetrieverInfo::isa))
      .def_readonly("size", &RetrieverInfo::size)
      .def_readonly("max_tokens", &RetrieverInfo::max_tokens)
      .def_readonly("parameters", &RetrieverInfo::parameters)
      .def_readonly("weight_bytes", &RetrieverInfo::weight_bytes)
      .def_readonly("threads", &RetrieverInfo::threads);

  py::class_<Retriever>(m, "Retriever", "A loaded multi-vector retriever. Thread-safe.")
      .def_static("load", &load, py::arg("folder"), py::kw_only(), py::arg("device") = "auto",
                  py::arg("dtype") = "auto", py::arg("quantize") = "", py::arg("threads") = 0,
                  py::arg("progress") = py::none(),
                  "Loads a Hugging Face folder. `progress` hears the fraction read.")
      .def(
          "embed_texts",
          [](const Retriever& self, const std::vector<std::string>& texts) {
            return arrays(
                unlocked([&](const Poll& poll) { return self.embed_texts(texts, poll); }));
          },
          py::arg("texts"), "For each text float32 [tokens, size], rows of length 1.")
      .def(
          "embed_images",
          [](const Retriever& self, const std::vector<ImageInput>& images) {
            return arrays(
                unlocked([&](const Poll& poll) { return self.embed_images(images, poll); }));
          },
          py::arg("images"), "For each picture float32 [tokens, size], rows of length 1.")
      .def_property_readonly("info",
                             [](const Retriever& self) { return RetrieverInfo(self.info()); });
}

}  // namespace chiasm::python
