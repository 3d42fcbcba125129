#pragma once
/// What AddressSanitizer and ThreadSanitizer must be told about fibers and device memory; nothing
/// in builds without them.
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
void __tsan_read_range(void* address, unsigned long size);
void __tsan_write_range(void* address, unsigned long size);
}
#endif

namespace chiasm::device::emulation::sanitizers {

#if defined(__SANITIZE_ADDRESS__)
inline void poison(const void* memory, std::size_t bytes) {
  __asan_poison_memory_region(memory, bytes);
}
inline void unpoison(const void* memory, std::size_t bytes) {
  __asan_unpoison_memory_region(memory, bytes);
}
/// `keep` remembers the fiber that is left; null where it ends.
inline void leave_fiber(void** keep, const void* stack, std::size_t bytes) {
  __sanitizer_start_switch_fiber(keep, stack, bytes);
}
inline void arrive_in_fiber(void* kept, const void** stack, std::size_t* bytes) {
  __sanitizer_finish_switch_fiber(kept, stack, bytes);
}
#else
inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
inline void leave_fiber(void**, const void*, std::size_t) {}
inline void arrive_in_fiber(void*, const void**, std::size_t*) {}
#endif

#if defined(__SANITIZE_THREAD__)
/// The emulator's own state is no part of what is judged.
struct Quiet {
  Quiet() {
    AnnotateIgnoreReadsBegin("", 0);
    AnnotateIgnoreWritesBegin("", 0);
  }
  ~Quiet() {
    AnnotateIgnoreWritesEnd("", 0);
    AnnotateIgnoreReadsEnd("", 0);
  }
};
inline void* make_fiber() { return __tsan_create_fiber(0); }
inline void* this_fiber() { return __tsan_get_current_fiber(); }
inline void end_fiber(void* fiber) { __tsan_destroy_fiber(fiber); }
/// `follows`: what the fiber does comes after all that was done here. Else without an edge between
/// the two: only barriers order threads.
inline void switch_fiber(void* fiber, bool follows) {
  __tsan_switch_to_fiber(fiber, follows ? 0 : __tsan_switch_to_fiber_no_sync);
}
inline void release(void* point) { __tsan_release(point); }
inline void acquire(void* point) { __tsan_acquire(point); }
/// GCC expands small copies inline, where ThreadSanitizer does not see them.
inline void read(const void* memory, std::size_t bytes) {
  __tsan_read_range(const_cast<void*>(memory), bytes);
}
inline void wrote(void* memory, std::size_t bytes) { __tsan_write_range(memory, bytes); }
#else
struct Quiet {
  Quiet() {}
};
inline void* make_fiber() { return nullptr; }
inline void* this_fiber() { return nullptr; }
inline void end_fiber(void*) {}
inline void switch_fiber(void*, bool) {}
inline void release(void*) {}
inline void acquire(void*) {}
inline void read(const void*, std::size_t) {}
inline void wrote(void*, std::size_t) {}
#endif

}  // namespace chiasm::device::emulation::sanitizers
