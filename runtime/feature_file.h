#pragma once
/// The bytes of encoded media outside the process: one medium's features and what they are of.
///
/// A file is a safetensors file, so that any reader of these opens it: one tensor "features",
/// float32 [tokens, width], behind a header of fixed size, padded with spaces. Its notes
/// ("__metadata__"):
///   format    "chiasm.features"
///   version   "1": of this description
///   model     hash of all that features depend on besides the medium (encoder_identity.h)
///   medium    hash of the medium, as the encoder cache knows it
///   checksum  content_hash of the tensor's bytes
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/hash.h"
#include "core/tensor.h"
#include "runtime/encoder_cache.h"

namespace chiasm {

/// Whose features: the model that makes them, and the medium.
struct FeatureKey {
  ContentHash model;
  EncoderCache::Key medium;

  /// 32 hexadecimal digits, for a file's name.
  std::string name() const;
};

/// Of the length before the JSON, the JSON and its padding: the tensor is aligned to 64 bytes.
inline constexpr std::size_t kFeatureHeaderBytes = 384;

/// What a file has before the tensor's bytes. `features`: float32 [key.medium.tokens, width].
std::string feature_header(const FeatureKey& key, const Tensor& features);

/// Bytes of the file of [key.medium.tokens, width] features.
std::size_t feature_file_bytes(const FeatureKey& key, std::int64_t width);

/// The features [key.medium.tokens, width] of a whole file's bytes; nothing where these are not, to
/// the last bit, those of a file that was written for `key`. Any bytes may come here.
std::optional<Tensor> parse_features(std::span<const std::byte> bytes, const FeatureKey& key,
                                     std::int64_t width);

}  // namespace chiasm
