#pragma once
/// The adapters of a loaded model, by name.
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/lora.h"
#include "runtime/model.h"

namespace chiasm {

/// Thread-safe. Whoever was given an adapter keeps it, whatever becomes of its name.
class Adapters {
 public:
  void put(Lora lora);
  /// RequestError, with the names that there are.
  std::shared_ptr<const Lora> find(const std::string& name) const;
  void remove(const std::string& name);
  std::vector<AdapterInfo> list() const;
  std::int64_t bytes() const;

 private:
  [[noreturn]] void fail_unknown(const std::string& name) const;

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Lora>> all_;
};

}  // namespace chiasm
