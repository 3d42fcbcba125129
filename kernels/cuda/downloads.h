#pragma once
/// Copies to the host that are asked for now and taken later, so that the host can ask for more
/// work before it looks at the results of what it asked for.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/device_table.h"

namespace chiasm::device {

namespace backend {
struct Event;
}

/// One on its way: pinned memory, and the mark behind the copy to it.
struct Download {
  std::byte* memory = nullptr;
  std::uint64_t room = 0, bytes = 0;
  backend::Event* done = nullptr;
};

/// Of one session. What was taken leaves its memory to those that follow.
class Downloads {
 public:
  Downloads() = default;
  Downloads(const Downloads&) = delete;
  Downloads& operator=(const Downloads&) = delete;

  /// Takes its turn in the session: brings what `from` holds then.
  Download* begin(Session& session, const void* from, std::uint64_t bytes);
  /// Waits for it and copies its bytes to `to`; only gives it up where `to` is null.
  void end(Download& download, void* to);
  /// Once nothing is on its way any more.
  void release() noexcept;

 private:
  std::vector<std::unique_ptr<Download>> all_;
  std::vector<Download*> idle_;
};

}  // namespace chiasm::device
