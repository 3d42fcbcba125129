#pragma once
/// The plug-in that devices are looked for in, named for a while.
#include <cstdlib>
#include <optional>
#include <string>

namespace chiasm::testing {

/// Names the plug-in while it lives, also when something throws: later tests find what was there.
class PluginVariable {
 public:
  explicit PluginVariable(const char* path) {
    if (const char* old = std::getenv(kName); old != nullptr) old_ = old;
    setenv(kName, path, 1);
  }
  ~PluginVariable() {
    if (old_) {
      setenv(kName, old_->c_str(), 1);
    } else {
      unsetenv(kName);
    }
  }
  PluginVariable(const PluginVariable&) = delete;
  PluginVariable& operator=(const PluginVariable&) = delete;

 private:
  static constexpr const char* kName = "CHIASM_CUDA_PLUGIN";
  std::optional<std::string> old_;
};

}  // namespace chiasm::testing
