#include "vision/processor_settings.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "core/error.h"

namespace chiasm::vision {

namespace {

struct SizeKey {
  std::string_view name;
  std::int64_t SizeRule::*member;
};
constexpr SizeKey kSizeKeys[] = {
    {"height", &SizeRule::height},
    {"width", &SizeRule::width},
    {"shortest_edge", &SizeRule::shortest_edge},
    {"longest_edge", &SizeRule::longest_edge},
    {"max_height", &SizeRule::max_height},
    {"max_width", &SizeRule::max_width},
};

std::int64_t checked(const Json& value, std::int64_t least, std::int64_t most) {
  const std::int64_t number = value.integer();
  if (number < least || number > most) {
    fail<ModelError>(value.where(), ": ", number, ", expected ", least, " to ", most);
  }
  return number;
}

/// PIL's numbers for resampling filters, as configuration files write them.
Filter read_filter(const Json& config, Filter otherwise) {
  if (!config.has("resample")) return otherwise;
  switch (config["resample"].integer()) {
    case 0:
      return Filter::nearest;
    case 1:
      return Filter::lanczos;
    case 2:
      return Filter::bilinear;
    case 3:
      return Filter::bicubic;
    default:
      fail<ModelError>(config["resample"].where(), ": ", config["resample"].brief(),
                       ", expected 0 (nearest), 1 (lanczos), 2 (bilinear) or 3 (bicubic)");
  }
}

/// Three numbers, or one for all channels.
std::array<double, 3> read_channels(const Json& config, std::string_view key,
                                    std::array<double, 3> otherwise) {
  if (!config.has(key)) return otherwise;
  const Json values = config[key];
  std::array<double, 3> out{};
  if (values.is_number()) {
    out.fill(values.number());
    return out;
  }
  if (values.size() != 3) fail<ModelError>(values.where(), ": expected 3 numbers");
  for (std::size_t i = 0; i < 3; i++) out[i] = values[i].number();
  return out;
}

/// Python's int(): what a side becomes after a multiplication in double.
std::int64_t cut(double value) { return std::int64_t(value); }

/// transformers' get_size_with_aspect_ratio.
PictureSize between_edges(std::int64_t shortest, std::int64_t longest, PictureSize source) {
  const double low = double(std::min(source.height, source.width));
  const double high = double(std::max(source.height, source.width));
  double exact = double(shortest);
  if (high / low * exact > double(longest)) {
    exact = double(longest) * low / high;
    shortest = std::int64_t(std::nearbyint(exact));  // Python's round: half to even
  }
  const auto [height, width] = source;
  if (std::min(height, width) == shortest) return source;
  if (width < height) return {cut(exact * double(height) / double(width)), shortest};
  return {shortest, cut(exact * double(width) / double(height))};
}

/// transformers 5 writes processor_config.json alone and, finding others, prefers it.
Json settings_of(const std::filesystem::path& folder, std::string_view part,
                 std::initializer_list<const char*> files) {
  const auto shared = folder / "processor_config.json";
  if (std::filesystem::exists(shared)) {
    const Json config = Json::load(shared);
    if (config.has(part)) return config[part];
  }
  for (const char* file : files) {
    if (std::filesystem::exists(folder / file)) return Json::load(folder / file);
  }
  fail<ModelError>(folder.string(), ": has neither ", *files.begin(),
                   " nor a processor_config.json with \"", part, "\"");
}

}  // namespace

Json image_processor_settings(const std::filesystem::path& folder) {
  return settings_of(folder, "image_processor", {"preprocessor_config.json"});
}

Json video_processor_settings(const std::filesystem::path& folder) {
  return settings_of(folder, "video_processor",
                     {"video_preprocessor_config.json", "preprocessor_config.json"});
}

Json processor_settings(const std::filesystem::path& folder) {
  const auto file = folder / "processor_config.json";
  if (std::filesystem::exists(file)) return Json::load(file);
  return Json::parse("{}", file.string());
}

void check_source(PictureSize source) {
  if (source.width < 1 || source.height < 1) {
    fail<MediaError>("an image of ", source.width, " x ", source.height, " pixels is empty");
  }
}

SizeRule read_size(const Json& config, std::string_view key, const SizeRule& otherwise,
                   LoneSize lone, std::int64_t most) {
  if (!config.has(key)) return otherwise;
  const Json size = config[key];
  SizeRule rule;
  if (size.is_number()) {
    const std::int64_t side = checked(size, 1, most);
    if (lone == LoneSize::square) {
      rule.height = rule.width = side;
    } else {
      rule.shortest_edge = side;
    }
    return rule;
  }
  if (size.is_array() && size.size() == 2) {
    rule.height = checked(size[0], 1, most);
    rule.width = checked(size[1], 1, most);
    return rule;
  }
  std::size_t known = 0;
  for (const auto& [name, member] : kSizeKeys) {
    if (!size.has(name)) continue;
    rule.*member = checked(size[name], 1, most);
    known++;
  }
  const bool pair = known == 2 && (rule.is_fixed() || (rule.max_height > 0 && rule.max_width > 0) ||
                                   (rule.shortest_edge > 0 && rule.longest_edge > 0));
  const bool alone = known == 1 && (rule.shortest_edge > 0 || rule.longest_edge > 0);
  if (!pair && !alone) {
    fail<ModelError>(size.where(), ": ", size.brief(),
                     ", expected \"height\" and \"width\", \"shortest_edge\", \"longest_edge\", ",
                     "both of these, or \"max_height\" and \"max_width\"");
  }
  return rule;
}

PictureSize resized(const SizeRule& rule, PictureSize source) {
  check_source(source);
  PictureSize out;
  if (rule.shortest_edge > 0 && rule.longest_edge > 0) {
    out = between_edges(rule.shortest_edge, rule.longest_edge, source);
  } else if (rule.shortest_edge > 0) {
    const auto [height, width] = source;
    const auto [low, high] = std::minmax(height, width);
    const std::int64_t longer = cut(double(rule.shortest_edge * high) / double(low));
    out = width <= height ? PictureSize{longer, rule.shortest_edge}
                          : PictureSize{rule.shortest_edge, longer};
  } else if (rule.max_height > 0 && rule.max_width > 0) {
    const double scale = std::min(double(rule.max_height) / double(source.height),
                                  double(rule.max_width) / double(source.width));
    out = {cut(double(source.height) * scale), cut(double(source.width) * scale)};
  } else if (rule.is_fixed()) {
    out = {rule.height, rule.width};
  } else {
    fail<ModelError>("size: \"longest_edge\" alone is not followed by this image processor");
  }
  if (out.height < 1 || out.width < 1) {
    fail<MediaError>("an image of ", source.width, " x ", source.height,
                     " pixels is too thin: resized, a side would be 0");
  }
  return out;
}

std::int64_t bounded(const Json& config, std::string_view key, std::int64_t otherwise,
                     std::int64_t least, std::int64_t most) {
  return config.has(key) ? checked(config[key], least, most) : otherwise;
}

std::array<std::uint8_t, 3> PixelSettings::mean_colour() const {
  std::array<std::uint8_t, 3> colour{};
  for (std::size_t c = 0; c < 3; c++) colour[c] = std::uint8_t(std::clamp(mean[c], 0., 1.) * 255);
  return colour;
}

/// transformers fuses rescaling into the mean and deviation, in float32: both are divided by the
/// factor, then (level - mean) / deviation.
PixelSettings read_pixel_settings(const Json& config, Filter filter, const Normalization& usual) {
  PixelSettings out;
  out.filter = read_filter(config, filter);
  out.mean = read_channels(config, "image_mean", usual.mean);
  const auto exact = read_channels(config, "image_std", usual.deviation);
  const bool rescale = config.boolean("do_rescale", true);
  const bool normalize = config.boolean("do_normalize", true);
  const double factor = config.number("rescale_factor", 1.0 / 255);
  if (rescale && factor == 0) fail<ModelError>(config.where(), ".rescale_factor: is zero");
  for (std::size_t c = 0; c < 3; c++) {
    auto mean = float(out.mean[c]), deviation = float(exact[c]);
    if (normalize && deviation == 0) fail<ModelError>(config.where(), ".image_std: has a zero");
    if (normalize && rescale) {
      mean *= float(1.0 / factor);
      deviation *= float(1.0 / factor);
    }
    for (std::size_t level = 0; level < 256; level++) {
      const auto value = float(level);
      out.levels[c][level] = normalize ? (value - mean) / deviation
                             : rescale ? value * float(factor)
                                       : value;
    }
  }
  return out;
}

}  // namespace chiasm::vision
