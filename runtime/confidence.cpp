#include "runtime/confidence.h"

#include <zlib.h>

#include <cmath>

#include "core/error.h"
#include "kernels/sample.h"

namespace chiasm {

double compression_ratio(std::span<const std::int32_t> tokens, std::int64_t vocab_size) {
  const int width = int(std::log2(double(vocab_size)) / 8) + 1;
  std::vector<unsigned char> bytes;
  for (const std::int32_t id : tokens) {
    for (int i = 0; i < width; i++) bytes.push_back(static_cast<unsigned char>(id >> (8 * i)));
  }
  uLongf packed = compressBound(uLong(bytes.size()));
  std::vector<unsigned char> out(packed);
  if (compress(out.data(), &packed, bytes.data(), uLong(bytes.size())) != Z_OK) {
    fail<RequestError>("zlib cannot pack ", bytes.size(), " bytes");
  }
  return double(bytes.size()) / double(packed);
}

double MeanLogprob::last(std::int32_t chosen) const {
  return double(logits_[std::size_t(chosen)]) - log_sum_;
}

void MeanLogprob::step(std::span<const std::int32_t> tokens, std::span<const float> logits) {
  if (steps_ > 0) sum_ += last(tokens.back());
  logits_.assign(logits.begin(), logits.end());
  log_sum_ = kernels::log_sum_exp(ctx_, logits);
  steps_++;
}

double MeanLogprob::mean(std::span<const std::int32_t> tokens, bool ended, std::int32_t end) const {
  if (steps_ == 0) return 0;
  return (sum_ + last(ended ? end : tokens.back())) / double(steps_);
}

}  // namespace chiasm
