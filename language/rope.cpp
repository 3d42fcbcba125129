#include "language/rope.h"

#include <cmath>
#include <numbers>

#include "core/error.h"

namespace chiasm::language {

namespace {

constexpr std::string_view kSliding = "sliding_attention";

/// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between blended.
void stretch_llama3(const Json& rope, std::int64_t max_positions, std::vector<float>& inv_freq) {
  const auto factor = float(rope["factor"].number());
  const double low = rope["low_freq_factor"].number(), high = rope["high_freq_factor"].number();
  const auto context = double(rope.integer("original_max_position_embeddings", max_positions));
  const auto low_wavelength = float(context / low), high_wavelength = float(context / high);
  for (float& f : inv_freq) {
    const float wavelength = float(2 * std::numbers::pi) / f;
    if (wavelength > low_wavelength) {
      f = f / factor;
    } else if (!(wavelength < high_wavelength)) {
      const float smooth = (float(context) / wavelength - float(low)) / float(high - low);
      f = (1.0f - smooth) * f / factor + smooth * f;
    }
  }
}

/// Which axis turns each of `half` pairs.
std::vector<std::uint8_t> read_axes(const Json& rope, std::size_t half,
                                    const RopeOptions& options) {
  std::vector<std::int64_t> sections(options.sections->begin(), options.sections->end());
  if (rope.has("mrope_section")) sections = rope["mrope_section"].integers();
  std::int64_t sum = 0;
  for (const std::int64_t s : sections) sum += s >= 0 && s <= std::int64_t(half) ? s : -1 << 20;
  if (sections.size() != 3 || sum != std::int64_t(half)) {
    fail<ModelError>(rope.where(), ": mrope_section does not divide ", half,
                     " pairs of dimensions into 3 axes");
  }
  std::vector<std::uint8_t> axis;
  if (!options.interleaved) {
    for (std::uint8_t a = 0; a < 3; a++) axis.insert(axis.end(), std::size_t(sections[a]), a);
    return axis;
  }
  for (std::size_t i = 0; i < half; i++) {
    const std::uint8_t turn = i % 3;
    axis.push_back(std::int64_t(i) < 3 * sections[turn] ? turn : 0);
  }
  return axis;
}

/// The object that holds the type and its numbers; none where the config has but a theta.
std::optional<Json> rope_object(const Json& config, std::string_view layer_type) {
  if (config.has("rope_parameters")) {
    const Json rope = config["rope_parameters"];
    return rope.has(layer_type) ? rope[layer_type] : rope;
  }
  if (layer_type == kSliding || !config.has("rope_scaling")) return std::nullopt;
  return config["rope_scaling"];
}

}  // namespace

RopeFrequencies rope_frequencies(const Json& config, std::int64_t head_dim,
                                 const RopeOptions& options) {
  const std::optional<Json> object = rope_object(config, options.layer_type);
  const Json rope = object.value_or(config);
  const bool sliding = options.layer_type == kSliding;
  const double outer = sliding ? options.theta : config.number("rope_theta", options.theta);
  const double theta = object ? rope.number("rope_theta", outer) : outer;
  std::string type = object ? rope.str("rope_type", rope.str("type", "default")) : "default";
  if (options.sections && type == "mrope") type = "default";
  const auto dimensions =
      std::int64_t(double(head_dim) * rope.number("partial_rotary_factor",
                                                  config.number("partial_rotary_factor", 1.0)));
  if (!(theta > 0) || dimensions < 2 || dimensions % 2 != 0 || dimensions > head_dim) {
    fail<ModelError>(rope.where(), ": theta ", theta, " and ", dimensions,
                     " rotary dimensions are out of range");
  }

  RopeFrequencies out;
  for (std::int64_t i = 0; i < dimensions; i += 2) {
    const float exponent = float(i) / float(dimensions);
    out.inv_freq.push_back(1.0f / float(std::pow(theta, double(exponent))));
  }
  if (type == "linear") {
    const auto factor = float(rope["factor"].number());
    for (float& f : out.inv_freq) f /= factor;
  } else if (type == "llama3") {
    stretch_llama3(rope, config.integer("max_position_embeddings", 2048), out.inv_freq);
  } else if (type != "default") {
    fail<ModelError>(rope.where(), ": rotary type \"", type,
                     "\" is not supported; known are default, linear, llama3");
  }
  if (options.sections) out.axis = read_axes(rope, out.inv_freq.size(), options);
  return out;
}

}  // namespace chiasm::language
