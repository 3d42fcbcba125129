/// Errors of the library become the classes of chiasm.errors; Ctrl-C is heard.
#include "core/error.h"
#include "python/bind.h"

namespace chiasm::python {

namespace {

void raise(const char* type, const Error& e) {
  const py::object cls = py::module_::import("chiasm.errors").attr(type);
  py::set_error(cls, text(e.what()));
}

void translate(std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const FormatError& e) {
    raise("ModelError", e);
  } catch (const ModelError& e) {
    raise("ModelError", e);
  } catch (const MediaError& e) {
    raise("MediaError", e);
  } catch (const DeviceError& e) {
    raise("DeviceError", e);
  } catch (const RequestError& e) {
    raise("RequestError", e);
  } catch (const ShapeError& e) {
    raise("RequestError", e);
  } catch (const Interrupted& e) {
    raise("Interrupted", e);
  } catch (const Error& e) {
    raise("Error", e);
  } catch (const std::bad_alloc&) {
    raise("RequestError", Error("out of memory; see Model.plan for what a request needs"));
  }
}

}  // namespace

Watch::Watch(const CancelFlag* flag) : flag_(flag) {
  const py::object main = py::module_::import("threading").attr("main_thread")();
  main_thread_ = main.attr("ident").cast<unsigned long>() == PyThread_get_thread_ident();
}

bool Watch::operator()() {
  if (raised_ || (flag_ != nullptr && flag_->set)) return true;
  if (!main_thread_) return false;  // Python runs signal handlers on the main thread alone
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return false;
  next_ = now + std::chrono::milliseconds(50);
  Locked lock;
  if (PyErr_CheckSignals() == 0) return false;
  raised_.emplace();  // takes the exception that the handler left
  return true;
}

void Watch::rethrow() {
  if (raised_) throw py::error_already_set(std::move(*raised_));
}

py::str text(std::string_view bytes) {
  PyObject* decoded = PyUnicode_DecodeUTF8(bytes.data(), py::ssize_t(bytes.size()), "replace");
  if (decoded == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(decoded);
}

void bind_errors(py::module_& m) {
  py::register_exception_translator(&translate);
  py::class_<CancelFlag>(m, "CancelFlag", "Ends a running call from another thread.")
      .def(py::init<>())
      .def(
          "set", [](CancelFlag& flag) { flag.set = true; },
          "Asks the call that was given this flag to stop.");
}

}  // namespace chiasm::python
