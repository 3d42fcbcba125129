#include "runtime/feature_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace chiasm {

namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie");

std::span<const std::byte> bytes_of(const Tensor& features) {
  return {features.data(), features.bytes()};
}

}  // namespace

std::string FeatureKey::name() const {
  const std::array<std::uint64_t, 5> all{model.high, model.low, medium.hash.high, medium.hash.low,
                                         std::uint64_t(medium.tokens)};
  return content_hash(std::as_bytes(std::span(all))).hex();
}

std::string feature_header(const FeatureKey& key, const Tensor& features) {
  const Shape& shape = features.shape();
  std::string json = R"({"__metadata__":{"format":"chiasm.features","version":"1","model":")";
  json += key.model.hex() + R"(","medium":")" + key.medium.hash.hex();
  json += R"(","checksum":")" + content_hash(bytes_of(features)).hex();
  json += R"("},"features":{"dtype":"F32","shape":[)";
  json += std::to_string(shape[0]) + "," + std::to_string(shape[1]);
  json += R"(],"data_offsets":[0,)" + std::to_string(features.bytes()) + "]}}";
  const std::uint64_t length = kFeatureHeaderBytes - sizeof(length);
  json.resize(length, ' ');  // all numbers at their longest leave some
  std::string out(sizeof(length), '\0');
  std::memcpy(out.data(), &length, sizeof(length));
  return out + json;
}

std::size_t feature_file_bytes(const FeatureKey& key, std::int64_t width) {
  return kFeatureHeaderBytes + std::size_t(key.medium.tokens * width) * sizeof(float);
}

/// The header follows from key and tensor, so that nothing in it needs to be understood: it is the
/// one that would be written, or the file is none of ours.
std::optional<Tensor> parse_features(std::span<const std::byte> bytes, const FeatureKey& key,
                                     std::int64_t width) {
  if (bytes.size() != feature_file_bytes(key, width)) return std::nullopt;
  Tensor features = float_tensor({key.medium.tokens, width});
  std::ranges::copy(bytes.subspan(kFeatureHeaderBytes), features.data());
  const std::string header = feature_header(key, features);
  if (!std::ranges::equal(bytes.first(kFeatureHeaderBytes), std::as_bytes(std::span(header)))) {
    return std::nullopt;
  }
  return features;
}

}  // namespace chiasm
