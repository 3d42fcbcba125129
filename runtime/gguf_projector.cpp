#include "runtime/gguf_projector.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "runtime/gguf_keys.h"

namespace chiasm {

namespace {

using nlohmann::json;

constexpr std::string_view kLayer = "v.blk.";
// Of SigLIP and CLIP, without "v." and ".weight".
constexpr std::array kTower = {
    GgufName{"patch_embd", "embeddings.patch_embedding"},
    GgufName{"position_embd", "embeddings.position_embedding"},
    GgufName{"pre_ln", "pre_layrnorm"},
    GgufName{"post_ln", "post_layernorm"},
};
constexpr std::array kInside = {
    GgufName{"ln1", "layer_norm1"},         GgufName{"ln2", "layer_norm2"},
    GgufName{"attn_q", "self_attn.q_proj"}, GgufName{"attn_k", "self_attn.k_proj"},
    GgufName{"attn_v", "self_attn.v_proj"}, GgufName{"attn_out", "self_attn.out_proj"},
    GgufName{"ffn_up", "mlp.fc1"},          GgufName{"ffn_down", "mlp.fc2"},
};
constexpr std::array kIdefics3 = {
    GgufName{"mm.model.fc.weight", "model.connector.modality_projection.proj.weight"},
};
constexpr std::array kMlp = {
    GgufName{"mm.0.weight", "multi_modal_projector.linear_1.weight"},
    GgufName{"mm.0.bias", "multi_modal_projector.linear_1.bias"},
    GgufName{"mm.2.weight", "multi_modal_projector.linear_2.weight"},
    GgufName{"mm.2.bias", "multi_modal_projector.linear_2.bias"},
    GgufName{"model.image_newline", "image_newline"},  // LLaVA-NeXT's
};
constexpr std::array kGemma3 = {
    GgufName{"mm.input_projection.weight", "multi_modal_projector.mm_input_projection_weight"},
    GgufName{"mm.soft_emb_norm.weight", "multi_modal_projector.mm_soft_emb_norm.weight"},
};

/// A length between 1 and `most`, so that products of lengths do not overflow.
std::int64_t length(const GgufKeys& keys, std::string_view key, std::int64_t most) {
  const GgufValue& value = keys.at(key);
  const std::int64_t n = value.integer();
  if (n < 1 || n > most) fail<ModelError>(value.where(), ": ", n, ", expected 1 to ", most);
  return n;
}

constexpr std::int64_t kMostPixels = 1 << 14, kMostFactor = 64;

std::int64_t image_size(const GgufKeys& keys) { return length(keys, "image_size", kMostPixels); }

bool flag(const GgufContents& gguf, std::string_view key) {
  const GgufValue* const value = gguf.find(key);
  return value != nullptr && value->boolean();
}

json vision_config(const GgufContents& gguf, std::string_view model_type,
                   std::string_view activation) {
  const GgufKeys keys(gguf, "clip.vision");
  return {{"model_type", model_type},
          {"hidden_act", activation},
          {"hidden_size", keys.at("embedding_length").integer()},
          {"intermediate_size", keys.at("feed_forward_length").integer()},
          {"num_hidden_layers", keys.at("block_count").integer()},
          {"num_attention_heads", keys.at("attention.head_count").integer()},
          {"image_size", image_size(keys)},
          {"patch_size", length(keys, "patch_size", kMostPixels)},
          {"layer_norm_eps", keys.at("attention.layer_norm_epsilon").number()}};
}

/// SigLIP's activation; files only say that it is some GELU.
constexpr std::string_view kSiglipActivation = "gelu_pytorch_tanh";

json with_colours(const GgufKeys& keys, json settings) {
  settings["image_mean"] = keys.at("image_mean").numbers();
  settings["image_std"] = keys.at("image_std").numbers();
  return settings;
}

json idefics3_config(const GgufContents& gguf) {
  const GgufKeys keys(gguf, "clip.vision");
  return {{"model_type", "idefics3"},
          {"scale_factor", length(keys, "projector.scale_factor", kMostFactor)},
          {"vision_config", vision_config(gguf, "idefics3_vision", kSiglipActivation)}};
}

/// Tiles are as large as the pictures that the encoder was trained on. Where the file does not say
/// how large a picture may become, it is four tiles wide, as in all published models.
json idefics3_settings(const GgufContents& gguf) {
  const GgufKeys keys(gguf, "clip.vision");
  const std::int64_t tile = image_size(keys);
  const std::int64_t longest = keys.has("preproc_image_size")
                                   ? length(keys, "preproc_image_size", 4 * kMostPixels)
                                   : 4 * tile;
  return with_colours(
      keys, {{"max_image_size", {{"longest_edge", tile}}}, {"size", {{"longest_edge", longest}}}});
}

bool is_clip(const GgufContents& gguf) { return gguf.tensors.contains("v.class_embd"); }

/// Whether pictures are cut into tiles, as LLaVA-NeXT does. ModelError for other ways with tiles.
bool has_tiles(const GgufContents& gguf) {
  const GgufKeys keys(gguf, "clip.vision");
  if (!keys.has("image_grid_pinpoints")) return false;
  if (!is_clip(gguf)) {
    fail<ModelError>(keys.at("image_grid_pinpoints").where(),
                     ": tiles of an encoder other than CLIP are not read from GGUF files; load the "
                     "model's Hugging Face folder");
  }
  constexpr std::string_view kMerge = "mm_patch_merge_type", kKnown = "spatial_unpad";
  if (keys.has(kMerge) && keys.at(kMerge).str() != kKnown) {
    fail<ModelError>(keys.at(kMerge).where(), ": \"", keys.at(kMerge).str(),
                     "\" is not supported; ", kKnown, " is");
  }
  return true;
}

/// LLaVA's: the encoder ends with the last layer that is used, if the file does not say otherwise.
json mlp_config(const GgufContents& gguf) {
  const GgufKeys keys(gguf, "clip.vision");
  const std::string_view clip = flag(gguf, "clip.use_gelu")   ? "gelu"
                                : flag(gguf, "clip.use_silu") ? "silu"
                                                              : "quick_gelu";
  json config{{"model_type", has_tiles(gguf) ? "llava_next" : "llava"},
              {"vision_feature_layer", -1},
              {"vision_feature_select_strategy", "default"},
              {"vision_config",
               is_clip(gguf) ? vision_config(gguf, "clip_vision_model", clip)
                             : vision_config(gguf, "siglip_vision_model", kSiglipActivation)}};
  if (keys.has("feature_layer")) {
    config["vision_feature_layer"] = keys.at("feature_layer").integers();
  }
  return config;
}

/// Pairs of height and width, one after the other in the file, of whole tiles of `side` pixels.
json resolutions(const GgufValue& pinpoints, std::int64_t side) {
  const std::vector<std::int64_t> sides = pinpoints.integers();
  if (sides.empty() || sides.size() % 2 != 0) {
    fail<ModelError>(pinpoints.where(), ": holds ", sides.size(), " numbers, expected pairs");
  }
  for (const std::int64_t s : sides) {
    if (s >= side && s % side == 0 && s / side <= kMostFactor) continue;
    fail<ModelError>(pinpoints.where(), ": ", s, " is not 1 to ", kMostFactor, " times the ", side,
                     " pixels of a tile");
  }
  json out = json::array();
  for (std::size_t i = 0; i < sides.size(); i += 2) {
    out.push_back(json::array({sides[i], sides[i + 1]}));
  }
  return out;
}

/// What llava-hf's folders say: the middle of the picture, or all of it on a square of the mean
/// colour where the file asks for padding.
json mlp_settings(const GgufContents& gguf) {
  const GgufKeys keys(gguf, "clip.vision");
  const std::int64_t side = image_size(keys);
  const json square{{"height", side}, {"width", side}};
  if (!is_clip(gguf)) {
    return with_colours(keys, {{"image_processor_type", "SiglipImageProcessor"}, {"size", square}});
  }
  if (has_tiles(gguf)) {
    return with_colours(
        keys, {{"image_processor_type", "LlavaNextImageProcessor"},
               {"size", {{"shortest_edge", side}}},
               {"crop_size", square},
               {"image_grid_pinpoints", resolutions(keys.at("image_grid_pinpoints"), side)}});
  }
  const bool pads = keys.has("image_aspect_ratio") && keys.at("image_aspect_ratio").str() == "pad";
  return with_colours(
      keys, {{"image_processor_type", pads ? "LlavaImageProcessor" : "CLIPImageProcessor"},
             {"do_pad", pads},
             {"size", {{"shortest_edge", side}}},
             {"crop_size", square}});
}

/// The norm's weights hold 1 + w, as in the language model's file.
json gemma3_config(const GgufContents& gguf) {
  const GgufKeys keys(gguf, "clip.vision");
  const std::int64_t joined =
      keys.has("projector.scale_factor") ? length(keys, "projector.scale_factor", kMostFactor) : 4;
  const std::int64_t side = image_size(keys) / length(keys, "patch_size", kMostPixels) / joined;
  return {{"model_type", "gemma3"},
          {"mm_tokens_per_image", side * side},
          {"norm_offset", 0},
          {"vision_config", vision_config(gguf, "siglip_vision_model", kSiglipActivation)}};
}

json gemma3_settings(const GgufContents& gguf) {
  const GgufKeys keys(gguf, "clip.vision");
  const std::int64_t side = image_size(keys);
  return with_colours(keys, {{"size", {{"height", side}, {"width", side}}}});
}

constexpr std::array<std::string_view, 1> kLlama = {"llama"}, kGemma = {"gemma3"};
constexpr std::array<std::string_view, 8> kAny = {"llama",  "qwen2",  "qwen3", "gemma",
                                                  "gemma2", "gemma3", "phi3",  "smollm3"};
constexpr std::array kProjectors = {
    GgufProjector{"mlp", kAny, "<image>", "vision_tower.vision_model.", "", kMlp, "mm.2.weight", 0,
                  mlp_config, mlp_settings},
    GgufProjector{"idefics3", kLlama, "<image>", "model.vision_model.", "model.text_model.",
                  kIdefics3, "mm.model.fc.weight", 0, idefics3_config, idefics3_settings},
    GgufProjector{"gemma3", kGemma, "<image_soft_token>", "vision_tower.vision_model.", "", kGemma3,
                  "mm.input_projection.weight", 1, gemma3_config, gemma3_settings},
};

/// `name` by one of `names`, which lack what follows the last dot.
std::string renamed(std::span<const GgufName> names, std::string_view name) {
  const std::size_t kind = name.rfind('.');
  if (kind == std::string_view::npos) return {};
  const auto at = std::ranges::find(names, name.substr(0, kind), &GgufName::gguf);
  return at == names.end() ? std::string() : std::string(at->here) + std::string(name.substr(kind));
}

}  // namespace

const GgufProjector& gguf_projector(const GgufContents& gguf) {
  const GgufValue& architecture = gguf.at("general.architecture");
  if (architecture.str() != "clip") {
    fail<ModelError>(architecture.where(), ": \"", architecture.str(),
                     "\" is no vision encoder with a projector (\"clip\")");
  }
  const GgufValue& name = gguf.at("clip.projector_type");
  std::string known;
  for (const GgufProjector& p : kProjectors) {
    if (p.name == name.str()) return p;
    known.append(known.empty() ? "" : ", ").append(p.name);
  }
  fail<ModelError>(name.where(), ": \"", name.str(), "\" is not supported; supported are ", known);
}

bool has_swapped_layers(const GgufContents& gguf) {
  const auto down = gguf.tensors.find("v.blk.0.ffn_down.weight");
  const GgufKeys keys(gguf, "clip.vision");
  const std::int64_t width = keys.at("embedding_length").integer();
  return down != gguf.tensors.end() && down->second.shape.rank() == 2 &&
         down->second.shape[0] != width && down->second.shape[1] == width;
}

std::string projector_name(const GgufProjector& kind, std::string_view name, bool swapped) {
  for (const GgufName& n : kind.outside) {
    if (n.gguf == name) return std::string(n.here);
  }
  const std::string tower(kind.tower);
  if (name == "v.class_embd") return tower + "embeddings.class_embedding";
  if (!name.starts_with("v.")) return {};
  if (!name.starts_with(kLayer)) {
    const std::string here = renamed(kTower, name.substr(2));
    return here.empty() ? here : tower + here;
  }
  const std::size_t end = name.find('.', kLayer.size());
  if (end == std::string_view::npos) return {};
  std::string inside(name.substr(end + 1));
  if (swapped && inside.starts_with("ffn_")) {
    inside.replace(4, inside.find('.') - 4, inside.starts_with("ffn_up.") ? "down" : "up");
  }
  const std::string here = renamed(kInside, inside);
  const std::string layer(name.substr(kLayer.size(), end - kLayer.size()));
  return here.empty() ? here : tower + "encoder.layers." + layer + "." + here;
}

}  // namespace chiasm
