#pragma once
/// Features of media in a folder, so that they outlive the process: a picture that was encoded
/// before is not encoded again after a restart.
#include <cstdint>
#include <filesystem>
#include <memory>

#include "core/hash.h"
#include "core/tensor.h"
#include "runtime/encoder_cache.h"

namespace chiasm {

/// One file for each medium and model (feature_file.h); the least recently used go first. Files
/// come into being whole, by renaming, and what is damaged is a miss and removed; one process at a
/// time writes, under a lock that the kernel takes back from a process that ends, however it ends.
/// So processes that share a folder, and such as are killed, do one another no harm, and the bound
/// holds for all of them together. What cannot be written is not kept. Owned by the engine's loop.
class EncoderStore {
 public:
  /// The smallest bound: some pictures' features.
  static constexpr std::int64_t kLeastBytes = 1 << 20;

  /// `model`: of all that features depend on besides the medium. The folder is made where it is
  /// missing, for its owner alone. RequestError for a folder that cannot be made, written or
  /// locked, and for a bound below kLeastBytes.
  EncoderStore(std::filesystem::path folder, std::int64_t max_bytes, ContentHash model);

  /// Features [key.tokens, width], or null. Reading makes them the most recently used.
  std::shared_ptr<const Tensor> find(const EncoderCache::Key& key, std::int64_t width);
  /// Makes them the most recently used, where they are there.
  void touch(const EncoderCache::Key& key) const;
  /// Keeps float32 [key.tokens, width].
  void put(const EncoderCache::Key& key, const Tensor& features);

  /// Of find and put.
  struct Counts {
    std::int64_t hits = 0, writes = 0, failures = 0;
  };
  Counts counts() const { return counts_; }

 private:
  std::filesystem::path path_of(const EncoderCache::Key& key) const;
  bool write(const EncoderCache::Key& key, const Tensor& features) const;
  std::int64_t make_room(std::int64_t bytes) const;

  std::filesystem::path folder_;
  std::int64_t max_bytes_;
  ContentHash model_;
  Counts counts_;
};

}  // namespace chiasm
