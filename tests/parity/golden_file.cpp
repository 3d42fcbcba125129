#include "tests/parity/golden_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "tests/support/clip.h"

namespace chiasm::testing {

namespace {

using Tensors = std::map<std::string, TensorEntry, std::less<>>;

template <class T>
std::vector<T> integers(const Json& list) {
  std::vector<T> out;
  for (const std::int64_t v : list.integers()) out.push_back(T(v));
  return out;
}

std::vector<std::string> strings(const Json& list) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < list.size(); i++) out.push_back(list[i].str());
  return out;
}

Sampled sampled(const Json& j, const Tensors& tensors) {
  Sampled out;
  out.shape = j["shape"].integers();
  out.stride = j["stride"].integer();
  out.norm = j["norm"].number();
  const TensorEntry& entry = tensors.at(j["tensor"].str());
  if (entry.dtype != DType::f32) fail<FormatError>(j.where(), ": expected float32 samples");
  out.values.resize(std::size_t(entry.shape.count()));
  std::memcpy(out.values.data(), entry.bytes.data(), entry.bytes.size());
  return out;
}

std::vector<GoldenSound> sounds(const Json& list) {
  std::vector<GoldenSound> out;
  for (std::size_t i = 0; i < list.size(); i++) {
    out.push_back({list[i][0].integer(), list[i][1].integer()});
  }
  return out;
}

GoldenCase read_case(const Json& j, const Tensors& tensors) {
  GoldenCase c;
  c.name = j["name"].str();
  c.prompt = j["prompt"].str();
  c.images = strings(j["images"]);
  if (j.has("sounds")) c.sounds = sounds(j["sounds"]);
  c.ids = integers<std::int32_t>(j["ids"]);
  for (const auto& item : j["stages"].raw().items()) {
    c.stages[item.key()] = sampled(j["stages"][item.key()], tensors);
  }
  c.greedy = integers<std::int32_t>(j["greedy"]);
  c.greedy_text = j["greedy_text"].str();
  if (j.has("arrays")) return c;  // of a video: no more is kept
  c.penalized = integers<std::int32_t>(j["penalized"]);
  for (std::size_t i = 0; i < j["scores"].size(); i++) c.scores.push_back(j["scores"][i].number());
  return c;
}

GoldenArray read_array(const Json& j, const Tensors& tensors) {
  GoldenArray a;
  a.shape = j["shape"].integers();
  if (j.has("tensor")) {
    a.sampled = sampled(j, tensors);
    a.level_sum = j.integer("level_sum", 0);
    a.channel_stride = j.integer("channel_stride", 0);
  } else if (j.has("values")) {
    a.values = j["values"].integers();
  } else {
    a.sum = j["sum"].integer();
    a.weighted_sum = j.integer("weighted_sum", 0);
  }
  return a;
}

void read_pictures(const Json& j, const Tensors& tensors, GoldenFolder& out) {
  out.picture_prompt = j["picture_prompt"].str();
  for (std::size_t i = 0; i < 3; i++) {
    out.image_mean[i] = j["image_mean"][i].number();
    out.image_std[i] = j["image_std"][i].number();
  }
  for (std::size_t i = 0; i < j["pictures"].size(); i++) {
    const Json picture = j["pictures"][i], arrays = picture["arrays"];
    GoldenPicture& p = out.pictures.emplace_back();
    p.file = picture["file"].str();
    p.prompt_tokens = picture["prompt_tokens"].integer();
    for (const auto& item : arrays.raw().items()) {
      p.arrays[item.key()] = read_array(arrays[item.key()], tensors);
    }
  }
}

void read_features(const Json& j, const Tensors& tensors, GoldenFolder& out) {
  out.too_short = j["too_short"].integers();
  for (std::size_t i = 0; i < j["sounds"].size(); i++) {
    const Json sound = j["sounds"][i], arrays = sound["arrays"];
    GoldenFeatures& f = out.sounds.emplace_back();
    f.samples = sound["samples"].integer();
    f.tokens = sound["tokens"].integer();
    for (const auto& item : arrays.raw().items()) {
      f.arrays[item.key()] = read_array(arrays[item.key()], tensors);
    }
  }
}

}  // namespace

double relative_error(std::span<const float> got, const Sampled& want) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  std::int64_t count = 1;
  for (const std::int64_t d : want.shape) count *= d;
  if (std::int64_t(got.size()) != count) return kWrong;
  double difference = 0, norm = 0, whole = 0;
  for (std::size_t i = 0; i < want.values.size(); i++) {
    const double w = want.values[i], d = double(got[i * std::size_t(want.stride)]) - w;
    difference += d * d;
    norm += w * w;
  }
  for (const float v : got) whole += double(v) * double(v);
  const double of_samples = std::sqrt(difference / norm);
  const double of_norm = std::abs(std::sqrt(whole) - want.norm) / want.norm;
  const double worse = std::max(of_samples, of_norm);
  // std::max drops a NaN on one side: ask both.
  return std::isfinite(of_samples) && std::isfinite(of_norm) ? worse : kWrong;
}

Request GoldenCase::request() const {
  std::vector<ImageInput> pictures;
  for (const std::string& file : images) pictures.push_back(golden_picture(file));
  Request request = Request::text(prompt, std::move(pictures));
  request.audio = golden_sounds(sounds);
  request.videos = videos;
  return request;
}

const GoldenCase& GoldenFolder::find(const std::string& name) const {
  for (const GoldenCase& c : cases) {
    if (c.name == name) return c;
  }
  fail<RequestError>(path.string(), ": no golden case ", name);
}

GoldenFolder read_golden(const std::filesystem::path& folder) {
  const Json j = Json::load(folder / "golden.json");
  const std::string bytes =
      read_file(folder / "golden.safetensors", std::size_t(64) << 20);  // a few MB
  const Tensors tensors = parse_safetensors(std::as_bytes(std::span(bytes)), "golden.safetensors");
  GoldenFolder g;
  g.path = folder;
  g.family = j["family"].str();
  g.dtype = j["dtype"].str();
  if (j["pictures"].size() > 0) read_pictures(j, tensors, g);
  if (j.has("sounds")) read_features(j, tensors, g);
  for (std::size_t i = 0; i < j["cases"].size(); i++) {
    g.cases.push_back(read_case(j["cases"][i], tensors));
  }
  g.answers = strings(j["answers"]);
  if (j.has("ends")) {
    g.end_tokens = integers<std::int32_t>(j["ends"]["eos_token_ids"]);
    g.stopped = integers<std::int32_t>(j["ends"]["stopped"]);
  }
  if (j.has("turn")) {
    const Json turn = j["turn"];
    g.turn = GoldenTurn{turn["words"].str(), strings(turn["images"]),
                        turn.has("sounds") ? sounds(turn["sounds"]) : std::vector<GoldenSound>(),
                        integers<std::int32_t>(turn["ids"])};
  }
  g.weights_blake2b = j.str("weights_blake2b", "");
  return g;
}

GoldenFolder read_video_golden(const std::string& folder) {
  const auto files = golden_root() / "video";
  const Json j = Json::load(files / (folder + ".json"));
  const std::string bytes = read_file(files / (folder + ".safetensors"), std::size_t(64) << 20);
  const Tensors tensors = parse_safetensors(std::as_bytes(std::span(bytes)), folder);
  GoldenFolder g;
  g.path = golden_root() / "models" / folder;
  for (std::size_t i = 0; i < 3; i++) {
    g.image_mean[i] = j["image_mean"][i].number();
    g.image_std[i] = j["image_std"][i].number();
  }
  for (std::size_t i = 0; i < j["cases"].size(); i++) {
    const Json from = j["cases"][i], options = from["options"];
    GoldenCase& c = g.cases.emplace_back(read_case(from, tensors));
    VideoInput video = golden_clip(from["frames"].integer());
    video.choice.all = !options["do_sample_frames"].boolean();
    video.choice.frames = options.integer("num_frames", 0);
    video.choice.fps = options.number("fps", 0);
    c.videos.push_back(std::move(video));
    c.frames = from["indices"].integers();
    for (const auto& item : from["arrays"].raw().items()) {
      c.arrays[item.key()] = read_array(from["arrays"][item.key()], tensors);
    }
    for (std::size_t k = 0; from.has("positions") && k < from["positions"].size(); k++) {
      c.positions.push_back(integers<std::int32_t>(from["positions"][k]));
    }
  }
  return g;
}

::testing::AssertionResult holds(std::span<const float> got, const GoldenArray& want,
                                 const GoldenFolder& folder) {
  const double error = relative_error(got, *want.sampled);
  std::int64_t sum = 0;  // of the 8-bit levels behind normalised values
  for (std::size_t i = 0; i < got.size(); i++) {
    const auto channel = std::size_t(std::int64_t(i) / want.channel_stride % 3);
    const double level = double(got[i]) * folder.image_std[channel] + folder.image_mean[channel];
    sum += std::int64_t(std::nearbyint(level * 255));
  }
  if (error <= 1e-6 && sum == want.level_sum) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "error " << error << ", levels add up to " << sum << ", not " << want.level_sum;
}

::testing::AssertionResult holds(std::span<const std::int64_t> got, const GoldenArray& want) {
  if (!want.values.empty()) {
    if (std::ranges::equal(got, want.values)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << ::testing::PrintToString(got);
  }
  std::int64_t sum = 0, weighted = 0;
  for (std::size_t i = 0; i < got.size(); i++) {
    sum += got[i];
    weighted += got[i] * std::int64_t(i);
  }
  if (sum == want.sum && weighted == want.weighted_sum) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "sums " << sum << " and " << weighted << ", expected "
                                       << want.sum << " and " << want.weighted_sum;
}

std::filesystem::path golden_root() {
  return std::filesystem::path(CHIASM_SOURCE_DIR) / "tests" / "golden";
}

ImageInput golden_picture(const std::string& file) {
  return ImageInput::from_file((golden_root() / "models" / "pictures" / file).string());
}

AudioInput golden_sound(const GoldenSound& sound) {
  static const audio::Waveform spoken =
      audio::decode_file(golden_root() / "audio" / "sounds" / "speech.flac");
  audio::Waveform out;
  out.rate = spoken.rate;
  for (std::int64_t i = 0; i < sound.samples; i++) {
    out.samples.push_back(spoken.samples[std::size_t(sound.offset + i) % spoken.samples.size()]);
  }
  return AudioInput::from_samples(std::move(out));
}

std::vector<AudioInput> golden_sounds(const std::vector<GoldenSound>& sounds) {
  std::vector<AudioInput> out;
  for (const GoldenSound& sound : sounds) out.push_back(golden_sound(sound));
  return out;
}

}  // namespace chiasm::testing
