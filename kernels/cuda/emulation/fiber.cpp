#include "kernels/cuda/emulation/fiber.h"

#include <sys/mman.h>

#include <utility>

#include "kernels/cuda/emulation/sanitizers.h"
#include "kernels/cuda/session.h"

// Saves the registers that a call keeps (System V ABI, x86-64) on the stack that is left, and takes
// them from the one that is entered.
extern "C" void chiasm_switch_stack(void** save, void* load);
asm(R"(.text
.local chiasm_switch_stack
chiasm_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

namespace chiasm::device::emulation {

namespace {
constexpr std::size_t kSavedRegisters = 6;
}

Fiber::Fiber() {
  void* const memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw Failure(Status::out_of_memory, "no stacks for emulated threads");
  stack_ = static_cast<std::byte*>(memory);
}

Fiber::Fiber(Fiber&& other) noexcept
    : stack_(std::exchange(other.stack_, nullptr)),
      sanitizer_(std::exchange(other.sanitizer_, nullptr)) {}

Fiber::~Fiber() {
  if (sanitizer_ != nullptr) sanitizers::end_fiber(sanitizer_);
  if (stack_ == nullptr) return;
  sanitizers::unpoison(stack_, kStackBytes);  // for whatever is mapped there next
  munmap(stack_, kStackBytes);
}

void Fiber::prepare(void (*function)()) {
  sanitizers::unpoison(stack_, kStackBytes);
  if (sanitizer_ == nullptr) sanitizer_ = sanitizers::make_fiber();  // costs more than a block
  begins_ = true;
  void** const end = reinterpret_cast<void**>(stack_ + kStackBytes) - 2;
  end[0] = reinterpret_cast<void*>(function);  // where the switch returns to
  end[1] = nullptr;
  top_ = end - kSavedRegisters;
}

__attribute__((no_sanitize("thread"))) void Fiber::enter() {
  sanitizer_caller_ = sanitizers::this_fiber();
  sanitizers::switch_fiber(sanitizer_, /*follows=*/std::exchange(begins_, false));
  sanitizers::leave_fiber(&caller_kept_, stack_, kStackBytes);
  chiasm_switch_stack(&caller_, top_);
  sanitizers::arrive_in_fiber(caller_kept_, nullptr, nullptr);
}

__attribute__((no_sanitize("thread"))) void Fiber::arrived() {
  sanitizers::arrive_in_fiber(nullptr, &caller_stack_, &caller_stack_bytes_);
}

__attribute__((no_sanitize("thread"))) void Fiber::leave(bool ends) {
  sanitizers::switch_fiber(sanitizer_caller_, /*follows=*/false);
  sanitizers::leave_fiber(ends ? nullptr : &kept_, caller_stack_, caller_stack_bytes_);
  chiasm_switch_stack(&top_, caller_);
  sanitizers::arrive_in_fiber(kept_, &caller_stack_, &caller_stack_bytes_);
}

}  // namespace chiasm::device::emulation
