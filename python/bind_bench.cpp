/// What `chiasm bench` needs: the machine's limits, a model's work, times of operators.
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <algorithm>

#include "bench/limits.h"
#include "python/bind.h"

namespace chiasm::python {

namespace {

using Limits = py::typing::Dict<py::str, py::float_>;

/// Operations (multiply and add: two) and bytes read per second over all threads at once. The
/// bandwidth is the best of several access patterns.
std::map<std::string, double> machine_limits(int threads) {
  constexpr std::size_t kBytes = std::size_t(96) << 20;  // a thread's: far over any cache's share
  ThreadPool pool(threads);
  const Isa isa = best_isa();
  std::map<std::string, double> limits;
  constexpr std::pair<const char*, bench::Arithmetic> kArithmetic[] = {
      {"float32", bench::Arithmetic::fp32},
      {"bfloat16", bench::Arithmetic::bf16},
      {"int8", bench::Arithmetic::int8},
  };
  for (const auto& [name, arithmetic] : kArithmetic) {
    if (const auto rate = bench::peak_rate(pool, isa, arithmetic)) limits[name] = *rate;
  }
  for (const bool huge_pages : {true, false}) {
    const bench::ReadBandwidth memory(kBytes, pool.threads(), huge_pages);
    limits["read"] = std::max(limits["read"], memory.measure(pool, isa));
  }
  return limits;
}

Limits machine_limits_dict(int threads) {
  std::map<std::string, double> limits;
  {
    Unlocked unlock;
    limits = machine_limits(threads);
  }
  Limits out;
  for (const auto& [name, value] : limits) out[text(name)] = value;
  return out;
}

}  // namespace

void bind_bench(py::module_& m) {
  py::class_<Work>(m, "Work", "What a pass costs: multiply-adds and bytes.")
      .def_readonly("token_macs", &Work::token_macs)
      .def_readonly("head_macs", &Work::head_macs)
      .def_readonly("key_macs", &Work::key_macs)
      .def_readonly("step_bytes", &Work::step_bytes)
      .def_readonly("key_bytes", &Work::key_bytes);
  py::class_<OperatorTime>(m, "OperatorTime", "An operator's share of a stage.")
      .def_property_readonly("stage", [](const OperatorTime& t) { return text(t.stage); })
      .def_property_readonly("name", [](const OperatorTime& t) { return text(t.name); })
      .def_readonly("out", &OperatorTime::out)
      .def_readonly("in_", &OperatorTime::in)
      .def_readonly("calls", &OperatorTime::calls)
      .def_readonly("rows", &OperatorTime::rows)
      .def_readonly("seconds", &OperatorTime::seconds);
  m.def("machine_limits", &machine_limits_dict, py::arg("threads"),
        "Operations per second by number format, and bytes read per second, of so many threads.");
}

}  // namespace chiasm::python
