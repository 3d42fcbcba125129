#include "core/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

namespace chiasm {

namespace {
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kSmallestBlock = std::size_t(1) << 20;
constexpr std::size_t kHugePage = std::size_t(2) << 20;

}  // namespace

// A block that asks for huge pages where it fills them: operators step through activations in
// strides of more than a small page, and would look up an address for every row.
Tensor Arena::make_block(std::size_t size) const {
  if (device_ != nullptr) return Tensor(DType::u8, Shape{std::int64_t(size)}, *device_);
  Tensor block(DType::u8, Shape{std::int64_t(size)});
  const auto address = reinterpret_cast<std::uintptr_t>(block.data());
  const std::size_t skip = (kHugePage - address % kHugePage) % kHugePage;
  if (size >= skip + kHugePage) {  // a wish: refusal is no error
    madvise(block.data() + skip, (size - skip) / kHugePage * kHugePage, MADV_HUGEPAGE);
  }
  return block;
}

TensorView<float> Arena::floats(const Shape& shape, std::string_view name) {
  const std::size_t bytes =
      (std::size_t(shape.count()) * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].bytes()) {
    block_++;
    used_ = 0;
  }
  if (block_ == blocks_.size()) {
    const std::size_t size = std::max(bytes, kSmallestBlock);
    blocks_.push_back(make_block(size));
  }
  auto* data = reinterpret_cast<float*>(blocks_[block_].data() + used_);
  used_ += bytes;
  return TensorView<float>(data, shape, name);
}

void Arena::reserve(std::size_t bytes) {
  if (block_ > 0 || used_ > 0 || (!blocks_.empty() && blocks_[0].bytes() >= bytes)) return;
  blocks_.clear();
  blocks_.push_back(make_block(std::max(bytes, kSmallestBlock)));
}

std::size_t Arena::bytes() const {
  std::size_t total = 0;
  for (const Tensor& block : blocks_) total += block.bytes();
  return total;
}

void Arena::rewind(std::size_t block, std::size_t used) {
  block_ = block;
  used_ = used;
  // An empty arena of several blocks becomes one block of their sum, so that the next pass of the
  // same size bumps one pointer and a long-lived arena does not keep fragments.
  if (block_ == 0 && used_ == 0 && blocks_.size() > 1) {
    const std::size_t total = bytes();
    blocks_.clear();
    blocks_.push_back(make_block(total));
  }
}

}  // namespace chiasm
