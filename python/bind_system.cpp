/// What `chiasm doctor` and `chiasm inspect` show of the machine and of files.
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include "core/device.h"
#include "core/gguf.h"
#include "core/isa.h"
#include "core/packed_file.h"
#include "core/thread_pool.h"
#include "python/bind.h"
#include "runtime/embedder.h"
#include "vision/video_file.h"

namespace chiasm::python {

namespace {

using Facts = py::typing::Dict<py::str, py::object>;
using Row = std::tuple<py::str, py::str, std::vector<std::int64_t>>;

Facts device_info() {
  const DeviceReport report = device_report();
  Facts info;
  info["plugin"] = text(report.plugin);
  info["build"] = text(report.build);
  info["name"] = text(report.name);
  info["count"] = report.devices;
  info["memory_bytes"] = report.memory_bytes;
  info["missing"] = text(report.missing);
  return info;
}

Facts system_info() {
  py::list available;
  for (const Isa isa : supported_isas()) available.append(text(name(isa)));
  Facts info;
  info["isa"] = text(name(best_isa()));
  info["isa_available"] = available;
  info["avx512_bf16"] = has_avx512_bf16();
  info["cpus"] = available_cpus();
  info["device"] = device_info();
  info["video"] = text(vision::video_decoder());
  info["compiler"] = CHIASM_COMPILER;
  info["build_type"] = CHIASM_BUILD_TYPE;
  info["families"] = supported_families();
  info["embedders"] = supported_embedders();
  return info;
}

std::string format_of(const TensorEntry& entry) {
  if (entry.blocks) return std::string(name(*entry.blocks));
  if (!entry.packed.empty()) return "packed " + entry.packed;
  return std::string(name(entry.dtype));
}

std::vector<Row> checkpoint_tensors(const std::filesystem::path& path) {
  std::vector<Row> rows;
  const auto add = [&](const std::map<std::string, TensorEntry, std::less<>>& tensors) {
    for (const auto& [tensor, entry] : tensors) {
      const auto dims = entry.shape.dims();
      rows.emplace_back(text(tensor), text(format_of(entry)),
                        std::vector<std::int64_t>(dims.begin(), dims.end()));
    }
  };
  if (has_packed_file(path)) {
    add(open_packed(path).second.tensors());
  } else if (std::filesystem::is_directory(path)) {
    add(Checkpoint::open(path).tensors());
  } else {
    const MappedFile file(path);
    add(parse_gguf(file.bytes(), path.filename().string()).tensors);
  }
  return rows;
}

}  // namespace

void bind_system(py::module_& m) {
  m.attr("__version__") = CHIASM_VERSION;
  m.def("system_info", &system_info,
        "The CPU path, CPUs, device, compiler and known model families.");
  m.def(
      "checkpoint_tensors", [](const std::string& path) { return checkpoint_tensors(path); },
      py::arg("path"),
      "(name, format, shape) of every tensor of a folder or GGUF file; ModelError.");
}

}  // namespace chiasm::python
