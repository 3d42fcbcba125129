#pragma once
/// What the files of the extension share.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/tensor.h"
#include "python/gil.h"
#include "runtime/model.h"

namespace chiasm::python {

namespace py = pybind11;

/// Set from any thread; the call that watches it stops soon after.
struct CancelFlag {
  std::atomic<bool> set{false};
};

/// Watches for Ctrl-C and for a CancelFlag while C++ works without the GIL.
class __attribute__((visibility("hidden"))) Watch {
 public:
  /// Needs the GIL. `flag` may be null and must outlive the call.
  explicit Watch(const CancelFlag* flag = nullptr);
  /// True when the call should end. Takes the GIL at most every 50 ms, on the main thread only.
  bool operator()();
  /// A Poll that refers to this object.
  Poll poll() {
    return [this] { return (*this)(); };
  }
  /// Throws what a signal handler raised (KeyboardInterrupt), if it did. Needs the GIL.
  void rethrow();

 private:
  const CancelFlag* flag_;
  bool main_thread_;
  std::chrono::steady_clock::time_point next_;
  std::optional<py::error_already_set> raised_;
};

/// Runs `work(poll)` without the GIL; a signal's exception takes the place of Interrupted.
template <class Work>
auto unlocked(const Work& work, const CancelFlag* flag = nullptr) {
  Watch watch(flag);
  try {
    Unlocked unlock;
    return work(watch.poll());
  } catch (const Interrupted&) {
    watch.rethrow();
    throw;
  }
}

/// A str; bytes that are no UTF-8 become U+FFFD.
py::str text(std::string_view bytes);
/// A NumPy array that takes over the tensor's memory. float32, int64, int32 or uint8.
py::array array(Tensor tensor);

/// A loader's progress callback that takes the GIL, hears Ctrl-C and calls `progress` if there is
/// one. `progress` must outlive it.
std::function<void(double)> heard(const std::optional<std::function<void(double)>>& progress);

/// What Python hears of intermediates: their name and float32 values [rows, columns].
using PythonTap = std::optional<std::function<void(py::str, py::array_t<float>)>>;
/// The same for C++: takes the GIL, which whoever computes does not hold. Empty for None.
Tap tap_of(const PythonTap& hear);

void bind_errors(py::module_& m);
void bind_bench(py::module_& m);
void bind_data(py::module_& m);
void bind_audio_input(py::module_& m);
void bind_picture_input(py::module_& m);
void bind_video_input(py::module_& m);
void bind_request(py::module_& m);
void bind_tiles(py::module_& m);
void bind_model(py::module_& m);
/// Adds what models show of their inside.
void bind_shown(py::class_<Model>& model);
/// Adds what models of sound can do.
void bind_speech(py::class_<Model>& model);
/// Adds what models that see videos can do.
void bind_video(py::class_<Model>& model);
void bind_embedder(py::module_& m);
void bind_retriever(py::module_& m);
void bind_quantize(py::module_& m);
void bind_system(py::module_& m);

}  // namespace chiasm::python
