#pragma once
/// Pinned memory of the host that bytes pass through on their way to and from a device. A copy from
/// any other memory is staged by the driver, one piece after the other, while the host waits; here
/// the host fills one buffer (and with it reads a mapped file) while those before are on their way.
#include <array>
#include <cstddef>
#include <cstdint>

namespace chiasm::device {

struct Session;
namespace backend {
struct Event;
}

/// Of one session. Takes its memory at the first copy.
class Staging {
 public:
  static constexpr std::uint64_t kBufferBytes = std::uint64_t(2) << 20;

  Staging() = default;
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Has read its source when it returns; the copy takes its turn in the session.
  void upload(Session& session, void* to, const void* from, std::uint64_t bytes);
  /// Returns once the bytes are there, and so after all earlier work of the session.
  void download(Session& session, void* to, const void* from, std::uint64_t bytes);
  /// Once nothing is on its way any more.
  void release() noexcept;

 private:
  static constexpr std::size_t kUp = 4, kDown = 2;

  struct Buffer {
    std::byte* memory = nullptr;
    backend::Event* done = nullptr;  // behind the last copy from or to it
    void open();
    void close() noexcept;
  };
  void next_buffer(Session& session);

  std::array<Buffer, kUp> up_;
  std::array<Buffer, kDown> down_;
  std::size_t at_ = 0;      // of up_, in use
  std::uint64_t used_ = 0;  // bytes of it
};

}  // namespace chiasm::device
