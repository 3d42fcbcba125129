#include "kernels/cuda/downloads.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/session.h"

namespace chiasm::device {

namespace {

constexpr std::uint64_t kLeast = 4096;  // bytes: tokens of a step, however many answers there are

}  // namespace

Download* Downloads::begin(Session& session, const void* from, std::uint64_t bytes) {
  auto at = std::ranges::find_if(idle_, [&](const Download* d) { return d->room >= bytes; });
  if (at == idle_.end()) {
    auto made = std::make_unique<Download>();
    made->done = backend::make_event();
    all_.push_back(std::move(made));
    Download& download = *all_.back();
    at = idle_.insert(idle_.end(), &download);
    download.memory = static_cast<std::byte*>(backend::allocate_pinned(std::max(bytes, kLeast)));
    download.room = std::max(bytes, kLeast);
  }
  Download* const download = *at;
  download->bytes = bytes;
  // One that was given up may be on its way to the same memory: it takes its turn before this one.
  backend::download_pinned(session, download->memory, from, bytes);
  backend::record(session, *download->done);
  idle_.erase(at);
  return download;
}

void Downloads::end(Download& download, void* to) {
  idle_.push_back(&download);
  if (to == nullptr) return;
  backend::wait(*download.done);
  std::memcpy(to, download.memory, download.bytes);
}

void Downloads::release() noexcept {
  idle_.clear();
  for (const auto& download : all_) {
    if (download->memory != nullptr) backend::release_pinned(download->memory);
    backend::forget(download->done);
  }
  all_.clear();
}

}  // namespace chiasm::device
