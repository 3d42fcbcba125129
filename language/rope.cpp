#include "language/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace chiasm::language {

namespace {

constexpr std::string_view kSliding = "sliding_attention";

/// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between blended.
void stretch_llama3(const Json& rope, double context, std::vector<float>& inv_freq) {
  const auto factor = float(rope["factor"].number());
  const double low = rope["low_freq_factor"].number(), high = rope["high_freq_factor"].number();
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

constexpr double kLargest = 1e9;  // of any number here: far over what a model can mean

/// A number of at least `least`.
double at_least(double least, const Json& rope, std::string_view key, double otherwise) {
  const double value = rope.number(key, otherwise);
  if (value >= least && value <= kLargest) return value;
  fail<ModelError>(rope.where(), ".", key, " is ", value, ", expected ", least, " to ", kLargest);
}

/// YaRN: fast pairs are kept, slow ones divided by `factor`, those between blended along a ramp.
void stretch_yarn(const Json& rope, const std::vector<float>& powers, double theta, double context,
                  double max_positions, RopeFrequencies& out) {
  const double factor = at_least(1, rope, "factor", max_positions / context);
  const auto half = double(out.inv_freq.size());
  const auto pair_of = [&](double rotations) {  // of the pair that turns so often in the context
    return half * std::log(context / (rotations * 2 * std::numbers::pi)) / std::log(theta);
  };
  const auto rotations = [&](std::string_view key, double otherwise) {
    const double given = rope.number(key, otherwise);
    return given == 0 ? otherwise : given;
  };
  double low = pair_of(rotations("beta_fast", 32)), high = pair_of(rotations("beta_slow", 1));
  if (rope.boolean("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, 2 * half - 1);
  if (low == high) high += 0.001;
  if (!std::isfinite(low) || !std::isfinite(high)) {
    fail<ModelError>(rope.where(), ": these numbers give yarn no ramp");
  }
  for (std::size_t i = 0; i < out.inv_freq.size(); i++) {
    const float ramp = std::clamp((float(i) - float(low)) / float(high - low), 0.0f, 1.0f),
                kept = 1.0f - ramp;
    const float stretched = 1.0f / (float(factor) * powers[i]);
    out.inv_freq[i] = stretched * (1.0f - kept) + out.inv_freq[i] * kept;
  }
  const auto magnitude = [&](double by) {
    return factor <= 1 ? 1.0 : 0.1 * by * std::log(factor) + 1.0;
  };
  const double by = rope.number("mscale", 0), by_all = rope.number("mscale_all_dim", 0);
  const double inferred = by != 0 && by_all != 0 ? magnitude(by) / magnitude(by_all) : magnitude(1);
  out.attention_scaling = float(rope.number("attention_factor", inferred));
}

/// What longrope divides each pair's frequency by.
std::vector<float> stretched_by(const Json& factors, const std::vector<float>& powers) {
  if (factors.size() != powers.size()) {
    fail<ModelError>(factors.where(), ": has ", factors.size(), " factors for ", powers.size(),
                     " pairs of dimensions");
  }
  std::vector<float> out;
  for (std::size_t i = 0; i < powers.size(); i++) {
    const auto factor = float(factors[i].number());
    if (!(factor > 0)) fail<ModelError>(factors[i].where(), ": ", factor, " is no factor");
    out.push_back(1.0f / (factor * powers[i]));
  }
  return out;
}

void stretch_long(const Json& rope, const std::vector<float>& powers, double context,
                  double max_positions, RopeFrequencies& out) {
  out.inv_freq = stretched_by(rope["short_factor"], powers);
  out.long_inv_freq = stretched_by(rope["long_factor"], powers);
  out.short_length = std::int64_t(context);
  const double factor = rope.number("factor", max_positions / context);
  const double inferred = factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(context));
  out.attention_scaling = float(at_least(0, rope, "attention_factor", inferred));
}

/// A GGUF file's own divisors, one for each pair.
void divide(const Json& factors, std::vector<float>& inv_freq) {
  if (factors.size() != inv_freq.size()) {
    fail<ModelError>(factors.where(), ": ", factors.size(), " factors for ", inv_freq.size(),
                     " pairs of dimensions");
  }
  for (std::size_t i = 0; i < inv_freq.size(); i++) inv_freq[i] /= float(factors[i].number());
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

/// Tokens of the context that the model was first trained with. A number beside the object wins, as
/// in transformers.
double original_positions(const Json& config, const Json& rope, const RopeOptions& options,
                          double max_positions) {
  constexpr std::string_view key = "original_max_position_embeddings";
  if (config.has(key)) return at_least(1, config, key, 0);
  if (options.original_positions > 0) return double(options.original_positions);
  return at_least(1, rope, key, max_positions);
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
  std::vector<float> powers;
  for (std::int64_t i = 0; i < dimensions; i += 2) {
    const float exponent = float(i) / float(dimensions);
    powers.push_back(float(std::pow(theta, double(exponent))));
    out.inv_freq.push_back(1.0f / powers.back());
  }
  const double longest =
      at_least(1, config, "max_position_embeddings", double(options.max_positions));
  const double trained = original_positions(config, rope, options, longest);
  if (type == "linear") {
    const auto factor = float(rope["factor"].number());
    for (float& f : out.inv_freq) f /= factor;
  } else if (type == "llama3") {
    stretch_llama3(rope, trained, out.inv_freq);
  } else if (type == "longrope" || (options.yarn_is_long && (type == "su" || type == "yarn"))) {
    stretch_long(rope, powers, trained, longest, out);
  } else if (type == "yarn") {
    stretch_yarn(rope, powers, theta, trained, longest, out);
  } else if (type == "factors") {
    divide(rope["factors"], out.inv_freq);
  } else if (type != "default" && type != "dynamic") {
    // dynamic changes with the length, beyond `max_position_embeddings` alone: no sequence gets
    // there.
    fail<ModelError>(
        rope.where(), ": rotary type \"", type,
        "\" is not supported; known are default, dynamic, linear, llama3, longrope, yarn");
  }
  if (!out.long_inv_freq.empty() && (options.sections || !options.layer_type.empty())) {
    fail<ModelError>(rope.where(), ": longrope is not supported in this model type");
  }
  if (options.sections) out.axis = read_axes(rope, out.inv_freq.size(), options);
  return out;
}

}  // namespace chiasm::language
