/// The extension `chiasm._chiasm`: the C++ API as Python sees it. The package `chiasm` is its door.
#include "python/bind.h"

PYBIND11_MODULE(_chiasm, m) {
  m.doc() = "The C++ runtime. Use the package chiasm, which checks and documents its arguments.";
  chiasm::python::bind_errors(m);
  chiasm::python::bind_bench(m);
  chiasm::python::bind_data(m);
  chiasm::python::bind_audio_input(m);
  chiasm::python::bind_request(m);
  chiasm::python::bind_tiles(m);
  chiasm::python::bind_model(m);
  chiasm::python::bind_embedder(m);
  chiasm::python::bind_retriever(m);
  chiasm::python::bind_quantize(m);
  chiasm::python::bind_system(m);
}
