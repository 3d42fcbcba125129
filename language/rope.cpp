#include "language/rope.h"

#include <cmath>
#include <numbers>

#include "core/error.h"

namespace chiasm::language {

namespace {

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

}  // namespace

RopeFrequencies rope_frequencies(const Json& config, std::int64_t head_dim) {
  const bool nested = config.has("rope_parameters");
  const bool scaled = !nested && config.has("rope_scaling");
  const Json rope = nested ? config["rope_parameters"] : scaled ? config["rope_scaling"] : config;
  const double theta = rope.number("rope_theta", config.number("rope_theta", 10000.0));
  const std::string type =
      nested || scaled ? rope.str("rope_type", rope.str("type", "default")) : "default";
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
  return out;
}

}  // namespace chiasm::language
