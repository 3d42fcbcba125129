/// What `chiasm doctor` and `chiasm inspect` show of the machine and of files.
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include "core/isa.h"
#include "core/safetensors.h"
#include "core/thread_pool.h"
#include "python/bind.h"
#include "runtime/embedder.h"

namespace chiasm::python {

namespace {

using Facts = py::typing::Dict<py::str, py::object>;
using Row = std::tuple<py::str, py::str, std::vector<std::int64_t>>;

Facts system_info() {
  py::list available;
  for (const Isa isa : supported_isas()) available.append(text(name(isa)));
  Facts info;
  info["isa"] = text(name(best_isa()));
  info["isa_available"] = available;
  info["avx512_bf16"] = has_avx512_bf16();
  info["cpus"] = available_cpus();
  info["compiler"] = CHIASM_COMPILER;
  info["build_type"] = CHIASM_BUILD_TYPE;
  info["families"] = supported_families();
  info["embedders"] = supported_embedders();
  return info;
}

std::vector<Row> checkpoint_tensors(const std::string& folder) {
  const Checkpoint checkpoint = Checkpoint::open(folder);
  std::vector<Row> rows;
  for (const auto& [tensor, entry] : checkpoint.tensors()) {
    std::vector<std::int64_t> shape;
    for (int i = 0; i < entry.shape.rank(); i++) shape.push_back(entry.shape[i]);
    rows.emplace_back(text(tensor), text(name(entry.dtype)), std::move(shape));
  }
  return rows;
}

}  // namespace

void bind_system(py::module_& m) {
  m.attr("__version__") = CHIASM_VERSION;
  m.def("system_info", &system_info, "The CPU path, CPUs, compiler and known model families.");
  m.def("checkpoint_tensors", &checkpoint_tensors, py::arg("folder"),
        "(name, dtype, shape) of every tensor of a folder's safetensors; ModelError.");
}

}  // namespace chiasm::python
