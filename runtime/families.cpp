#include <array>
#include <string>

#include "runtime/family.h"
#include "vision/processor_settings.h"

namespace chiasm {

namespace {

struct Entry {
  std::string_view model_type;
  std::unique_ptr<Family> (*make)(const FamilyParts&);
  bool both_ways = false;  // arranges prompts for decoders that are bidirectional
};

constexpr std::array kFamilies = {
    Entry{"smolvlm", make_smolvlm},
    Entry{"idefics3", make_smolvlm},
    Entry{"llava", make_llava},
    Entry{"internvl", make_internvl},
    Entry{"llava_next", make_llava_next},
    Entry{"llava_onevision", make_llava_onevision},
    Entry{"qwen2_vl", make_qwen_vl},
    Entry{"qwen2_5_vl", make_qwen_vl},
    Entry{"qwen3_vl", make_qwen_vl},
    Entry{"gemma3", make_gemma3},
    Entry{"paligemma", make_paligemma, true},
    Entry{"mistral3", make_mistral3},
    Entry{"lfm2_vl", make_lfm2_vl},
    Entry{"llama", make_text_model},
    Entry{"mistral", make_text_model},
    Entry{"qwen2", make_text_model},
    Entry{"qwen3", make_text_model},
    Entry{"gemma", make_text_model},
    Entry{"gemma2", make_text_model},
    Entry{"gemma3_text", make_text_model},
    Entry{"lfm2", make_text_model},
    Entry{"gpt2", make_text_model},
    Entry{"phi3", make_text_model},
    Entry{"smollm3", make_text_model},
    Entry{"mamba2", make_text_model},
    Entry{"whisper", make_whisper},
    Entry{"qwen2_audio", make_qwen2_audio},
    Entry{"voxtral", make_voxtral},
    Entry{"ultravox", make_ultravox},
};

}  // namespace

std::vector<std::string> supported_families() {
  std::vector<std::string> names;
  for (const Entry& entry : kFamilies) names.emplace_back(entry.model_type);
  return names;
}

Json FamilyParts::image_settings() const {
  return given_settings ? *given_settings : vision::image_processor_settings(folder);
}

std::unique_ptr<Family> make_family(const FamilyParts& parts) {
  const std::string type = parts.config["model_type"].str();
  for (const Entry& entry : kFamilies) {
    if (entry.model_type != type) continue;
    std::unique_ptr<Family> family = entry.make(parts);
    if (family->decoder().config().bidirectional && !entry.both_ways) {
      fail<ModelError>(parts.config.where(), ": use_bidirectional_attention is not supported in \"",
                       type, "\"");
    }
    return family;
  }
  std::string known;
  for (const Entry& entry : kFamilies) {
    known += (known.empty() ? "" : ", ") + std::string(entry.model_type);
  }
  fail<ModelError>(parts.config.where(), ": family \"", type,
                   "\" is not supported; supported are: ", known);
}

namespace {
[[noreturn]] void no_pictures() {
  fail<RequestError>("this model reads no pictures; load a vision-language model");
}
[[noreturn]] void no_videos() {
  fail<RequestError>("this model sees no videos; load a model that does, such as Qwen2.5-VL");
}
[[noreturn]] void no_sounds() {
  fail<RequestError>("this model reads no sounds; load a speech or audio-language model");
}
}  // namespace

std::int64_t MediumLayout::patches() const {
  std::int64_t sum = 0;
  for (const Piece& piece : pieces) sum += piece.patches;
  return sum;
}

std::int64_t MediumLayout::rows() const {
  std::int64_t sum = 0;
  for (const Piece& piece : pieces) sum += piece.rows;
  return sum;
}

NamedTensor pixel_values(const Prepared& picture) {
  const std::int64_t n = picture.count(), h = picture.tile(0).height, w = picture.tile(0).width;
  NamedTensor out{"pixel_values", float_tensor({n, 3, h, w})};
  float* to = out.values.view<float>().data();
  for (std::int64_t i = 0; i < n; i++) picture.pixel_values(i, to + i * 3 * h * w);
  return out;
}

MediumLayout Family::layout(std::int64_t, std::int64_t, std::size_t) const { no_pictures(); }
PictureTiles Family::tiles(std::int64_t, std::int64_t, std::size_t) const { no_pictures(); }
Prepared Family::preprocess(const Context&, const vision::Image&, const MediumLayout&) const {
  no_pictures();
}
std::vector<NamedTensor> Family::processor_output(const Prepared&) const { no_pictures(); }
void Family::encode(const Context&, std::span<const PieceRef>, Arena&, TensorView<float>) const {
  no_pictures();
}
std::int64_t Family::piece_macs(const Piece&) const { return 0; }
std::size_t Family::encode_bytes(std::int64_t, std::int64_t) const { return 0; }
const vision::VideoSampler& Family::sampler() const { no_videos(); }
MediumLayout Family::video_layout(const vision::TakenFrames&) const { no_videos(); }
void Family::add_frame(const Context&, const vision::Image&, const MediumLayout&, Prepared&) const {
  no_videos();
}
std::vector<NamedTensor> Family::video_output(const Prepared&) const { no_videos(); }
MediumLayout Family::sound_layout(std::int64_t) const { no_sounds(); }
audio::PreparedSound Family::preprocess_sound(const Context&, std::span<const float>) const {
  no_sounds();
}
std::vector<NamedTensor> Family::processor_output(const audio::PreparedSound&) const {
  no_sounds();
}
Tensor Family::assemble(const Context&, const PlacedMedium&, Tensor features) const {
  return features;
}
bool Family::write_around(std::vector<PromptSpan>&) const { return true; }
Arrangement Family::arrange(const Prompt&) const { return {}; }
std::optional<std::vector<PromptSpan>> Family::turn(const std::string&, const TurnMedia&) const {
  return std::nullopt;
}
std::optional<std::vector<PromptSpan>> Family::sound_turn(const std::string&, std::size_t) const {
  return std::nullopt;
}

}  // namespace chiasm
