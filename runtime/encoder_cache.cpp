#include "runtime/encoder_cache.h"

#include <algorithm>
#include <utility>

namespace chiasm {

std::list<EncoderCache::Entry>::iterator EncoderCache::place(const Key& key) {
  return std::ranges::find(entries_, key, &Entry::key);
}

std::shared_ptr<const Tensor> EncoderCache::find(const Key& key) {
  const auto at = place(key);
  if (at == entries_.end()) {
    misses_++;
    return nullptr;
  }
  hits_++;
  entries_.splice(entries_.begin(), entries_, at);
  return at->features;
}

void EncoderCache::put(const Key& key, std::shared_ptr<const Tensor> features) {
  if (features->bytes() > limit_ || place(key) != entries_.end()) return;
  bytes_ += features->bytes();
  entries_.push_front({key, std::move(features)});
  while (bytes_ > limit_) {
    bytes_ -= entries_.back().features->bytes();
    entries_.pop_back();
  }
}

}  // namespace chiasm
