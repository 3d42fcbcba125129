#pragma once
/// The GIL let go and taken back, by threads that may outlive the interpreter.
///
/// A daemon thread that asks for the GIL once the interpreter is going down is ended by
/// CPython before 3.14 with pthread_exit, which unwinds C++ frames: destructors that must not throw
/// then end the whole process ("terminate called without an active exception"). As from 3.14 on,
/// such a thread here stays where it is until the process has ended.
#include <cxxabi.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <optional>

namespace chiasm::python {

/// Calls `ask`, which waits for the GIL; does not return when the interpreter is going down.
template <class Ask>
void ask_for_gil(const Ask& ask) {
  try {
    ask();
  } catch (abi::__forced_unwind&) {
    while (true) pause();
  }
}

/// Without the GIL as long as it lives. Needs the GIL.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    ask_for_gil([&] { PyEval_RestoreThread(state_); });
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

/// With the GIL as long as it lives, on any thread.
class __attribute__((visibility("hidden"))) Locked {
 public:
  Locked() {
    ask_for_gil([&] { lock_.emplace(); });
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  std::optional<pybind11::gil_scoped_acquire> lock_;
};

}  // namespace chiasm::python
