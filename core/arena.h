#pragma once
/// Scratch memory of one forward pass: pointers move, nothing is freed one by one.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace chiasm {

/// A bump allocator that keeps its memory between passes: after the first pass of the largest size
/// nothing is allocated any more. Not thread-safe: one pass at a time.
class Arena {
 public:
  Arena() = default;
  /// In the memory of a device, which must outlive it.
  explicit Arena(Device& device) : device_(&device) {}
  /// An uninitialised array, valid until the enclosing Frame ends. Throws RequestError when memory
  /// is refused.
  TensorView<float> floats(const Shape& shape, std::string_view name = "scratch");
  /// Makes an unused arena one block of at least `bytes`. Without it the arrays of a first pass
  /// each get a block of their own, and those that follow one another cannot share memory.
  void reserve(std::size_t bytes);
  /// Bytes held, used or not.
  std::size_t bytes() const;

  /// Everything taken after its construction is given back when it ends.
  class Frame {
   public:
    explicit Frame(Arena& arena) : arena_(arena), block_(arena.block_), used_(arena.used_) {}
    ~Frame() { arena_.rewind(block_, used_); }
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;

   private:
    Arena& arena_;
    std::size_t block_, used_;
  };

 private:
  void rewind(std::size_t block, std::size_t used);
  Tensor make_block(std::size_t size) const;

  Device* device_ = nullptr;
  std::vector<Tensor> blocks_;
  std::size_t block_ = 0;  // the one in use
  std::size_t used_ = 0;   // bytes of it
};

}  // namespace chiasm
