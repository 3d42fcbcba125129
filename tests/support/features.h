#pragma once
/// Features of media that nothing encoded.
#include <cstring>
#include <random>
#include <string>

#include "core/tensor.h"
#include "runtime/feature_file.h"

namespace chiasm::testing {

/// Normal numbers [tokens, width] that say whose they are.
inline Tensor random_features(std::uint64_t medium, std::int64_t tokens, std::int64_t width) {
  Tensor out = float_tensor({tokens, width});
  std::mt19937 random{std::uint32_t(medium)};
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < tokens * width; i++) out.view<float>().data()[i] = normal(random);
  return out;
}

/// The same shape and bits.
inline bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

/// A whole file.
inline std::string feature_bytes(const FeatureKey& key, const Tensor& features) {
  return feature_header(key, features) +
         std::string(reinterpret_cast<const char*>(features.data()), features.bytes());
}

}  // namespace chiasm::testing
