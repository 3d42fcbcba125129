#pragma once
/// Features of media that were encoded before: a picture that comes again is not encoded again.
#include <cstdint>
#include <list>
#include <memory>

#include "core/hash.h"
#include "core/tensor.h"

namespace chiasm {

/// Keeps features [tokens, width] by the content of their medium and how it was cut, as many as
/// bytes allow; gives up the least recently used first. Owned by the engine's loop.
class EncoderCache {
 public:
  explicit EncoderCache(std::size_t bytes) : limit_(bytes) {}

  /// A medium's content, and how many tokens it became: beside others it may be cut otherwise.
  struct Key {
    ContentHash hash;
    std::int64_t tokens = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };

  struct Entry {
    Key key;
    std::shared_ptr<const Tensor> features;
  };

  /// The features, or null. Counts a hit or a miss.
  std::shared_ptr<const Tensor> find(const Key& key);
  void put(const Key& key, std::shared_ptr<const Tensor> features);
  std::int64_t hits() const { return hits_; }
  std::int64_t misses() const { return misses_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::list<Entry>::iterator place(const Key& key);

  std::size_t limit_;
  std::list<Entry> entries_;  // most recently used first; some hundreds, searched one by one
  std::int64_t hits_ = 0, misses_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace chiasm
