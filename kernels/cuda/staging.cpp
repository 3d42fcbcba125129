#include "kernels/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/session.h"

namespace chiasm::device {

namespace {

constexpr std::uint64_t kAlignment = 256;

std::uint64_t rounded(std::uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

void Staging::Buffer::open() {
  if (memory == nullptr) memory = static_cast<std::byte*>(backend::allocate_pinned(kBufferBytes));
  if (done == nullptr) done = backend::make_event();
}

void Staging::Buffer::close() noexcept {
  if (done != nullptr) backend::forget(done);
  if (memory != nullptr) backend::release_pinned(memory);
  *this = {};
}

/// Leaves a full buffer for the one that was left first. Copies that are on their way read theirs.
void Staging::next_buffer(Session& session) {
  backend::record(session, *up_[at_].done);
  at_ = (at_ + 1) % kUp;
  used_ = 0;
  if (up_[at_].done != nullptr) backend::wait(*up_[at_].done);
}

void Staging::upload(Session& session, void* to, const void* from, std::uint64_t bytes) {
  for (std::uint64_t sent = 0; sent < bytes;) {
    if (used_ == kBufferBytes) next_buffer(session);
    Buffer& buffer = up_[at_];
    buffer.open();
    const std::uint64_t piece = std::min(bytes - sent, kBufferBytes - used_);
    std::byte* const staged = buffer.memory + used_;
    std::memcpy(staged, static_cast<const std::byte*>(from) + sent, piece);
    backend::upload_pinned(session, static_cast<std::byte*>(to) + sent, staged, piece);
    used_ += rounded(piece);
    sent += piece;
  }
}

void Staging::download(Session& session, void* to, const void* from, std::uint64_t bytes) {
  if (bytes == 0) return backend::synchronize(session);
  const auto buffer_at = [&](std::uint64_t byte) -> Buffer& {
    return down_[byte / kBufferBytes % kDown];
  };
  std::uint64_t asked = 0;
  for (std::uint64_t taken = 0; taken < bytes;) {
    while (asked < bytes && asked - taken < kDown * kBufferBytes) {
      Buffer& buffer = buffer_at(asked);
      buffer.open();
      const std::uint64_t piece = std::min(bytes - asked, kBufferBytes);
      backend::download_pinned(session, buffer.memory, static_cast<const std::byte*>(from) + asked,
                               piece);
      backend::record(session, *buffer.done);
      asked += piece;
    }
    const Buffer& buffer = buffer_at(taken);
    const std::uint64_t piece = std::min(bytes - taken, kBufferBytes);
    backend::wait(*buffer.done);
    std::memcpy(static_cast<std::byte*>(to) + taken, buffer.memory, piece);
    taken += piece;
  }
}

void Staging::release() noexcept {
  for (Buffer& buffer : up_) buffer.close();
  for (Buffer& buffer : down_) buffer.close();
  at_ = 0;
  used_ = 0;
}

}  // namespace chiasm::device
