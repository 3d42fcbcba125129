#pragma once
/// An emulated device that is lost for a while (kernels/cuda/emulation/failure.h).
#include <dlfcn.h>

#include <stdexcept>

#include "kernels/cuda/emulation/failure.h"

namespace chiasm::testing {

/// The device fails from `begin` on, for `why`, until this ends.
class EmulatedFailure {
 public:
  EmulatedFailure(const char* plugin, int device) : device_(device) {
    library_ = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) throw std::runtime_error(dlerror());
    namespace emulation = chiasm::device::emulation;
    fail_ = reinterpret_cast<emulation::FailFunction>(dlsym(library_, emulation::kFailSymbol));
    if (fail_ == nullptr) throw std::runtime_error("the plug-in is no emulation");
  }
  ~EmulatedFailure() {
    fail_(device_, nullptr);
    dlclose(library_);
  }
  EmulatedFailure(const EmulatedFailure&) = delete;
  EmulatedFailure& operator=(const EmulatedFailure&) = delete;

  void begin(const char* why) const { fail_(device_, why); }

 private:
  int device_;
  void* library_;
  device::emulation::FailFunction fail_;
};

}  // namespace chiasm::testing
