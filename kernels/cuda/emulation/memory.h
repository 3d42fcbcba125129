#pragma once
/// The emulated device's memory: one stretch of addresses that the host cannot touch, but while a
/// function of the table runs. Host code that takes a device's address for its own dies at once, as
/// it would beside a card.
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace chiasm::device::emulation {

class Memory {
 public:
  static constexpr std::uint64_t kBytes = std::uint64_t(1) << 30;  // pages come when touched
  static Memory& instance();

  /// Filled with 0xFF (NaN), between guards. Null when all is taken.
  void* allocate(std::uint64_t bytes);
  /// False for what was never allocated. Its contents become NaN: who still reads it is seen.
  bool release(void* memory);
  /// Counts those who may touch it.
  void enter();
  void leave();

  /// Failure with `what` unless all the bytes lie in one piece of memory that is in use.
  void expect_own(const void* address, std::uint64_t bytes, const char* what) const;
  /// Failure with `what` for null and for addresses of the device.
  void expect_foreign(const void* address, const char* what) const;

 private:
  struct Piece {
    std::uint64_t whole, bytes;  // with guards, without
  };
  Memory();
  void protect(int protection) const;
  bool contains(const void* address) const;

  mutable std::mutex mutex_;
  int inside_ = 0;
  std::byte* base_;
  std::map<std::uint64_t, Piece> taken_;  // by its beginning
};

}  // namespace chiasm::device::emulation
