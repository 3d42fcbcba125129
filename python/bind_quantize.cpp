/// Writing a model in packed form.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "python/bind.h"
#include "runtime/quantize.h"

namespace chiasm::python {

namespace {

using Progress = std::optional<std::function<void(double)>>;

void write(const std::string& model, const std::string& out, const std::string& to,
           const std::string& dtype, int threads, bool force, const Progress& progress) {
  QuantizeOptions o;
  o.to = to;
  o.dtype = dtype;
  o.threads = threads;
  o.force = force;
  o.progress = heard(progress);
  Unlocked unlock;
  quantize(model, out, o);
}

}  // namespace

void bind_quantize(py::module_& m) {
  m.def(
      "quantize", &write, py::arg("model"), py::arg("out"), py::kw_only(), py::arg("to") = "int8",
      py::arg("dtype") = "auto", py::arg("threads") = 0, py::arg("force") = false,
      py::arg("progress") = py::none(),
      "Writes the folder `out`: `model` quantized and packed. `progress` hears the fraction done.");
}

}  // namespace chiasm::python
