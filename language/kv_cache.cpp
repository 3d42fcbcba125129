#include "language/kv_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/device.h"
#include "core/error.h"
#include "kernels/pages.h"

namespace chiasm::language {

using kernels::kPageTokens;
using kernels::pages_for;

KvPages::KvPages(const KvShape& shape, std::int64_t capacity, Device& device)
    : shape_(shape),
      capacity_(capacity),
      layer_bytes_(std::size_t(capacity) * shape.page_bytes()),
      device_(&device),
      references_(std::size_t(capacity), 0) {
  memory_ = device.allocate(2 * std::size_t(shape.layers) * layer_bytes_);
  for (std::int64_t i = capacity - 1; i >= 0; i--) free_.push_back(std::int32_t(i));
}

KvPages::KvPages(const KvShape& shape, std::int64_t capacity)
    : shape_(shape),
      capacity_(capacity),
      layer_bytes_(std::size_t(capacity) * shape.page_bytes()),
      references_(std::size_t(capacity), 0) {
  const std::size_t bytes = 2 * std::size_t(shape.layers) * layer_bytes_;
  for (std::int64_t i = capacity - 1; i >= 0; i--) free_.push_back(std::int32_t(i));
  if (bytes == 0) return;  // of a decoder that attends to nothing
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    fail<RequestError>("out of memory: ", bytes, " bytes of address space for a KV cache of ",
                       capacity * kPageTokens, " tokens; lower max_context");
  }
  memory_ = static_cast<std::byte*>(memory);
}

KvPages::~KvPages() {
  if (device_ != nullptr) {
    device_->release(memory_);
  } else if (memory_ != nullptr) {
    munmap(memory_, 2 * std::size_t(shape_.layers) * layer_bytes_);
  }
}

std::int32_t KvPages::acquire() {
  if (free_.empty()) {
    fail<RequestError>("the KV cache is full: all ", capacity_ * kPageTokens, " tokens are in use");
  }
  const std::int32_t page = free_.back();
  free_.pop_back();
  references_[std::size_t(page)] = 1;
  used_++;
  return page;
}

void KvPages::release(std::int32_t page) {
  if (--references_[std::size_t(page)] > 0) return;
  free_.push_back(page);
  used_--;
}

std::byte* KvPages::keys(std::int64_t layer) const {
  return memory_ + std::size_t(2 * layer) * layer_bytes_;
}

std::byte* KvPages::values(std::int64_t layer) const {
  return memory_ + std::size_t(2 * layer + 1) * layer_bytes_;
}

void KvPages::copy(std::int32_t from, std::int32_t to) const {
  const std::size_t bytes = shape_.page_bytes();
  for (std::int64_t layer = 0; layer < shape_.layers; layer++) {
    for (std::byte* base : {keys(layer), values(layer)}) {
      std::byte* const target = base + std::size_t(to) * bytes;
      const std::byte* const source = base + std::size_t(from) * bytes;
      if (device_ != nullptr) {
        device_->copy(target, source, bytes);
      } else {
        std::memcpy(target, source, bytes);
      }
    }
  }
}

SequenceState::SequenceState(SequenceState&& other) noexcept
    : pool_(other.pool_),
      pages_(std::exchange(other.pages_, {})),
      length_(std::exchange(other.length_, 0)),
      fixed_(std::exchange(other.fixed_, {})) {}

SequenceState& SequenceState::operator=(SequenceState&& other) noexcept {
  if (this != &other) {
    clear();
    pool_ = other.pool_;
    pages_ = std::exchange(other.pages_, {});
    length_ = std::exchange(other.length_, 0);
    fixed_ = std::exchange(other.fixed_, {});
  }
  return *this;
}

void SequenceState::reserve(std::int64_t length) {
  const auto wanted = std::size_t(pages_for(length));
  const auto first_written = std::size_t(length_ / kPageTokens);
  for (std::size_t i = first_written; i < pages_.size() && i < wanted; i++) {
    if (pool_->references(pages_[i]) == 1) continue;
    const std::int32_t own = pool_->acquire();
    pool_->copy(pages_[i], own);
    pool_->release(pages_[i]);
    pages_[i] = own;
  }
  while (pages_.size() < wanted) pages_.push_back(pool_->acquire());
}

std::int64_t SequenceState::shareable(std::int64_t length) const {
  const std::int64_t kept = std::min(length, length_);
  return pool_->shape().fixed == 0 || kept == length_ ? kept : 0;
}

void SequenceState::check_shareable(std::int64_t length) const {
  if (shareable(length) == std::min(length, length_)) return;
  fail<ShapeError>("a sequence of ", length_,
                   " tokens with a state of fixed size cannot go back to ", length);
}

void SequenceState::truncate(std::int64_t length) {
  if (length >= length_) return;
  check_shareable(length);
  while (std::int64_t(pages_.size()) > pages_for(length)) {
    pool_->release(pages_.back());
    pages_.pop_back();
  }
  length_ = length;
  fixed_.clear();
}

SequenceState SequenceState::fork(std::int64_t length) const {
  check_shareable(length);
  SequenceState copy(*pool_);
  copy.length_ = std::min(length, length_);
  copy.pages_.assign(pages_.begin(), pages_.begin() + std::ptrdiff_t(pages_for(copy.length_)));
  if (copy.length_ == length_) copy.fixed_ = fixed_;
  for (const std::int32_t page : copy.pages_) pool_->retain(page);
  return copy;
}

void SequenceState::clear() {
  for (const std::int32_t page : pages_) pool_->release(page);
  pages_.clear();
  length_ = 0;
  fixed_.clear();
}

std::span<float> SequenceState::fixed() {
  fixed_.resize(std::size_t(pool_->shape().fixed), 0.0f);
  return fixed_;
}

}  // namespace chiasm::language
