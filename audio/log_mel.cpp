#include "audio/log_mel.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/staged.h"

namespace chiasm::audio {

namespace {

constexpr double kTopFrequency = 8000;  // of the highest mel triangle, Hz, whatever the rate
constexpr float kSilence = -10;         // log10 of the least power, 1e-10

// Slaney's scale: linear to 1000 Hz, then logarithmic. Slaney, Auditory Toolbox, 1998.
constexpr double kLinearHz = 200.0 / 3, kBreakHz = 1000, kBreakMel = 15;
const double kLogStep = std::log(6.4) / 27;

double mel_of(double hz) {
  return hz < kBreakHz ? hz / kLinearHz : kBreakMel + std::log(hz / kBreakHz) / kLogStep;
}

double hz_of(double mel) {
  return mel < kBreakMel ? mel * kLinearHz : kBreakHz * std::exp(kLogStep * (mel - kBreakMel));
}

/// The sample at `i` of a sound of `length` samples, reflected at its ends and silent after
/// `samples`.
float reflected(std::span<const float> samples, std::int64_t length, std::int64_t i) {
  if (i < 0) i = -i;
  if (i >= length) i = 2 * (length - 1) - i;
  return i < std::int64_t(samples.size()) ? samples[std::size_t(i)] : 0;
}

}  // namespace

LogMelConfig LogMelConfig::from_json(const Json& config) {
  LogMelConfig c;
  c.bins = config.integer("feature_size", c.bins);
  c.rate = config.integer("sampling_rate", c.rate);
  c.window = config.integer("n_fft", c.window);
  c.hop = config.integer("hop_length", c.hop);
  c.chunk_seconds = config.integer("chunk_length", c.chunk_seconds);
  const auto within = [](std::int64_t v, std::int64_t most) { return v > 0 && v <= most; };
  if (!within(c.bins, 1024) || !within(c.rate, 1 << 20) || !within(c.hop, c.window) ||
      !within(c.chunk_seconds, 3600) || !RealFft::supports(c.window) ||
      c.window >= c.chunk_samples()) {
    fail<ModelError>(config.where(), ": these do not describe log-mel features: feature_size ",
                     c.bins, ", sampling_rate ", c.rate, ", n_fft ", c.window, ", hop_length ",
                     c.hop, ", chunk_length ", c.chunk_seconds);
  }
  if (config.number("dither", 0) != 0) {
    fail<ModelError>(config.where(), ": dither adds random noise, which is not supported");
  }
  return c;
}

LogMel::LogMel(const LogMelConfig& config) : config_(config), fft_(config.window) {
  for (std::int64_t i = 0; i < config.window; i++) {
    hann_.push_back(0.5 - 0.5 * std::cos(2 * std::numbers::pi * double(i) / double(config.window)));
  }
  std::vector<double> corners;  // of the triangles, Hz
  for (std::int64_t i = 0; i < config.bins + 2; i++) {
    corners.push_back(hz_of(mel_of(kTopFrequency) * double(i) / double(config.bins + 1)));
  }
  const double step = double(config.rate / 2) / double(fft_.bins() - 1);
  for (std::size_t f = 0; f + 2 < corners.size(); f++) {
    const double left = corners[f], top = corners[f + 1], right = corners[f + 2];
    Filter filter;
    filter.begin = std::int32_t(filter_weights_.size());
    for (std::int64_t k = 0; k < fft_.bins(); k++) {
      const double hz = double(k) * step;
      const double height = std::min((hz - left) / (top - left), (right - hz) / (right - top));
      if (height <= 0) continue;
      if (filter.count++ == 0) filter.first = std::int32_t(k);
      filter_weights_.push_back(float(height * 2 / (right - left)));
    }
    filters_.push_back(filter);
  }
  for (const double quarter : {0.0, 0.25}) {  // sin(x) = cos(x - a quarter)
    for (std::int64_t i = 0; i < config.window; i++) {
      const double turn = double(i) / double(config.window) - quarter;
      roots_.push_back(std::cos(2 * std::numbers::pi * turn));
    }
  }
}

/// log10 of the mel powers of RealFft::kLanes frames from `first_frame` on, or of those left.
void LogMel::group(std::span<const float> samples, std::int64_t length, std::int64_t first_frame,
                   std::span<double> scratch, TensorView<float> out) const {
  constexpr std::int64_t kLanes = RealFft::kLanes;
  const std::int64_t window = config_.window;
  const std::int64_t lanes = std::min(kLanes, out.rows() - first_frame);
  double* const x = scratch.data();              // [window][lanes]
  double* const spectrum = x + window * kLanes;  // [bins of the spectrum][lanes]
  double* const rest = spectrum + fft_.bins() * kLanes;
  std::fill_n(x, window * kLanes, 0.0);
  bool silent = true;
  for (std::int64_t lane = 0; lane < lanes; lane++) {
    const std::int64_t begin = (first_frame + lane) * config_.hop - window / 2;
    for (std::int64_t i = 0; i < window; i++) {
      const float sample = reflected(samples, length, begin + i);
      silent = silent && sample == 0;
      x[i * kLanes + lane] = double(sample) * hann_[std::size_t(i)];
    }
  }
  if (silent) {  // most of a short sound's window
    for (std::int64_t lane = 0; lane < lanes; lane++) {
      std::fill_n(out.row(first_frame + lane), config_.bins, kSilence);
    }
    return;
  }
  fft_.power(x, rest, spectrum);
  for (std::size_t f = 0; f < filters_.size(); f++) {
    double sums[kLanes] = {};
    const Filter& filter = filters_[f];
    const double* power = spectrum + filter.first * kLanes;
    for (const float weight :
         std::span(filter_weights_).subspan(std::size_t(filter.begin), std::size_t(filter.count))) {
      for (std::int64_t lane = 0; lane < kLanes; lane++) sums[lane] += double(weight) * power[lane];
      power += kLanes;
    }
    for (std::int64_t lane = 0; lane < lanes; lane++) {
      out.row(first_frame + lane)[f] = float(std::log10(std::max(sums[lane], 1e-10)));
    }
  }
}

void LogMel::powers_on_device(const Context& ctx, std::span<const float> samples,
                              std::int64_t length, TensorView<float> out) const {
  Device& device = *ctx.device;
  Arena unused;
  const Pass pass(ctx, unused);
  const auto constant = [&](const auto& numbers) {
    return device.constant(numbers.data(), std::as_bytes(std::span(numbers)));
  };
  const auto count = std::int64_t(samples.size());
  const auto sound = pass.arena().floats({1, std::max<std::int64_t>(count, 1)}, "sound");
  upload(device, {samples.data(), Shape{1, count}}, {sound.data(), Shape{1, count}});
  const auto rows = pass.arena().floats(out.shape(), "log-mel features");
  device::LogMelCall call{};
  call.sound = sound.data();
  call.samples = count;
  call.length = length;
  call.hop = config_.hop;
  call.window = config_.window;
  call.hann = reinterpret_cast<const double*>(constant(hann_));
  call.cosine = reinterpret_cast<const double*>(constant(roots_));
  call.sine = call.cosine + config_.window;
  call.filters = reinterpret_cast<const std::int32_t*>(constant(filters_));
  call.weights = reinterpret_cast<const float*>(constant(filter_weights_));
  call.out = rows.data();
  call.frames = out.rows();
  call.bins = config_.bins;
  device.run(call, "log_mel");
  download(device, rows, out);
}

void LogMel::operator()(const Context& ctx, std::span<const float> samples, std::int64_t length,
                        TensorView<float> out) const {
  const std::int64_t window = config_.window;
  if (length <= window / 2) {
    fail<RequestError>("a sound of ", length, " samples, at least ", window / 2 + 1,
                       " are needed for its features");
  }
  out.expect({frames(length), config_.bins});
  samples = samples.first(std::size_t(std::min(length, std::int64_t(samples.size()))));
  if (ctx.device != nullptr && window <= device::kMostWindow) {
    powers_on_device(ctx, samples, length, out);
  } else {
    const std::int64_t lanes = RealFft::kLanes;
    const std::int64_t groups = (out.rows() + lanes - 1) / lanes;
    ctx.pool->parallel_for(groups, 8, [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> scratch(std::size_t((window + fft_.bins()) * lanes + fft_.scratch()));
      for (std::int64_t i = begin; i < end; i++) group(samples, length, i * lanes, scratch, out);
    });
  }
  float loudest = kSilence;
  for (std::int64_t i = 0; i < out.rows(); i++) {
    loudest = std::max(loudest, *std::max_element(out.row(i), out.row(i) + config_.bins));
  }
  for (std::int64_t i = 0; i < out.rows(); i++) {
    for (float* v = out.row(i); v != out.row(i) + config_.bins; v++) {
      *v = (std::max(*v, loudest - 8) + 4) / 4;
    }
  }
}

}  // namespace chiasm::audio
