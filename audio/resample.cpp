#include "audio/resample.h"

#include <soxr.h>

#include <cmath>

#include "core/error.h"

namespace chiasm::audio {

namespace {

void check_rate(std::int64_t rate) {
  if (rate < kMinRate || rate > kMaxRate) {
    fail<MediaError>("a sample rate of ", rate, " Hz, expected ", kMinRate, " to ", kMaxRate);
  }
}

}  // namespace

void Resampler::Free::operator()(void* handle) const { soxr_delete(static_cast<soxr_t>(handle)); }

Resampler::Resampler(std::int64_t from, std::int64_t to) : ratio_(double(to) / double(from)) {
  check_rate(from);
  check_rate(to);
  if (from == to) return;
  const soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  const soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
  soxr_error_t error = nullptr;
  handle_.reset(soxr_create(double(from), double(to), 1, &error, &io, &quality, &runtime));
  if (error != nullptr || handle_ == nullptr) {
    fail<MediaError>("cannot be resampled from ", from, " to ", to,
                     " Hz: ", error != nullptr ? error : "not enough memory");
  }
}

void Resampler::run(const float* in, std::size_t count, std::vector<float>& out) {
  constexpr std::size_t kRoom = 1 << 14;
  for (bool more = true; more;) {
    const std::size_t before = out.size();
    const std::size_t room = kRoom + std::size_t(std::ceil(double(count) * ratio_));
    out.resize(before + room);
    std::size_t taken = 0, made = 0;
    const soxr_error_t error = soxr_process(static_cast<soxr_t>(handle_.get()), in, count, &taken,
                                            out.data() + before, room, &made);
    out.resize(before + made);
    if (error != nullptr) fail<MediaError>("cannot be resampled: ", error);
    if (in != nullptr) in += taken;
    count -= taken;
    more = in != nullptr ? count > 0 : made > 0;
  }
}

void Resampler::push(std::span<const float> samples, std::vector<float>& out) {
  if (samples.empty()) return;
  if (handle_ == nullptr) {
    out.insert(out.end(), samples.begin(), samples.end());
  } else {
    run(samples.data(), samples.size(), out);
  }
}

void Resampler::finish(std::vector<float>& out) {
  if (handle_ != nullptr) run(nullptr, 0, out);
}

Waveform resample(const Waveform& sound, std::int64_t rate) {
  Resampler resampler(sound.rate, rate);
  Waveform out;
  out.rate = rate;
  resampler.push(sound.samples, out.samples);
  resampler.finish(out.samples);
  return out;
}

}  // namespace chiasm::audio
