#pragma once
/// The memory of an emulated device: one stretch of addresses that nobody can touch, but while a
/// function of the table runs for that device. Host code that takes a device's address for its
/// own dies at once, as it would beside a card, and so does a kernel that is given another
/// device's.
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace chiasm::device::emulation {

class Memory {
 public:
  static constexpr std::uint64_t kBytes = std::uint64_t(1) << 30;  // pages come when touched
  static constexpr int kDevices = 2;
  static Memory& of(int index);
  /// Of the device that this thread has entered, as CUDA's current device.
  static Memory& current();

  /// Filled with 0xFF (NaN), between guards. Null when all is taken.
  void* allocate(std::uint64_t bytes);
  /// False for what was never allocated. Its contents become NaN: who still reads it is seen.
  bool release(void* memory);
  /// Counts those who may touch it. Failure where the device is to fail.
  void enter();
  /// What this thread has entered, if anything.
  static void leave();
  /// Every later `enter` fails with this text; none where it is empty.
  void fail(std::string why);

  /// Failure with `what` unless all the bytes lie in one piece of memory that is in use.
  void expect_own(const void* address, std::uint64_t bytes, const char* what) const;
  /// Failure with `what` for null and for addresses of any device.
  void expect_foreign(const void* address, const char* what) const;

 private:
  struct Piece {
    std::uint64_t whole, bytes;  // with guards, without
  };
  explicit Memory(int index);
  static const Memory* owner(const void* address);
  void protect(int protection) const;
  bool contains(const void* address) const;

  mutable std::mutex mutex_;
  int index_, inside_ = 0;
  std::string failure_;
  std::byte* base_;
  std::map<std::uint64_t, Piece> taken_;  // by its beginning
};

}  // namespace chiasm::device::emulation
