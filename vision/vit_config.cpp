// What transformers' config classes of the plain vision transformers assume and name.
#include "core/error.h"
#include "vision/square_side.h"
#include "vision/vit.h"

namespace chiasm::vision {

namespace {

using kernels::NormKind;

/// CLIPVisionConfig.
VitConfig clip(const Json& config) {
  VitConfig c;
  c.blocks = {.hidden_size = 768,
              .intermediate_size = 3072,
              .layers = 12,
              .heads = 12,
              .activation = kernels::activation_from_name(config.str("hidden_act", "quick_gelu")),
              .norm = {NormKind::layer, float(config.number("layer_norm_eps", 1e-5))}};
  c.image_size = 224;
  c.patch_size = 32;
  c.class_token = c.pre_norm = true;
  c.patch_bias = false;
  return c;
}

/// SiglipVisionConfig.
VitConfig siglip(const Json& config) {
  VitConfig c;
  c.blocks = {
      .hidden_size = 768,
      .intermediate_size = 3072,
      .layers = 12,
      .heads = 12,
      .activation = kernels::activation_from_name(config.str("hidden_act", "gelu_pytorch_tanh")),
      .norm = {NormKind::layer, float(config.number("layer_norm_eps", 1e-6))}};
  c.image_size = 224;
  c.patch_size = 16;
  return c;
}

/// InternVLVisionConfig.
VitConfig intern(const Json& config) {
  VitConfig c;
  const bool rms = config.str("norm_type", "layer_norm") == "rms_norm";
  c.blocks = {
      .hidden_size = 1024,
      .intermediate_size = 4096,
      .layers = 24,
      .heads = 16,
      .activation = kernels::activation_from_name(config.str("hidden_act", "gelu")),
      .norm = {rms ? NormKind::rms : NormKind::layer, float(config.number("layer_norm_eps", 1e-6))},
      .qkv_bias = config.boolean("attention_bias", false),
      .layer_scale = true,
      .qk_norm = config.boolean("use_qk_norm", false)};
  c.image_size = 448;
  c.patch_size = 14;
  c.class_token = c.leading_one = true;
  c.post_norm = !config.boolean("use_mean_pooling", true);
  c.layer = {.norm1 = "layernorm_before",
             .norm2 = "layernorm_after",
             .attention = "attention",
             .out = "projection_layer",
             .scale1 = "lambda_1",
             .scale2 = "lambda_2"};
  c.layers = "encoder.layer";
  c.class_embedding = "embeddings.cls_token";
  c.patch_embedding = "embeddings.patch_embeddings.projection";
  c.position_embedding = "embeddings.position_embeddings";
  c.post_norm_name = "layernorm";
  return c;
}

}  // namespace

VitConfig VitConfig::from_json(const Json& config, std::string_view otherwise) {
  const std::string type = config.str("model_type", std::string(otherwise));
  if (type != "clip_vision_model" && type != "siglip_vision_model" && type != "internvl_vision") {
    fail<ModelError>(config.where(), ": vision encoder \"", type,
                     "\" is not supported here; supported are: clip_vision_model, "
                     "siglip_vision_model, internvl_vision");
  }
  VitConfig c = type == "clip_vision_model"     ? clip(config)
                : type == "siglip_vision_model" ? siglip(config)
                                                : intern(config);
  TransformerConfig& b = c.blocks;
  b.hidden_size = config.integer("hidden_size", b.hidden_size);
  b.intermediate_size = config.integer("intermediate_size", b.intermediate_size);
  b.layers = config.integer("num_hidden_layers", b.layers);
  b.heads = config.integer("num_attention_heads", b.heads);
  c.image_size = square_side(config, "image_size", c.image_size);
  c.patch_size = square_side(config, "patch_size", c.patch_size);
  // Upper bounds far over any published model keep products of sizes from overflowing.
  const auto within = [](std::int64_t size, std::int64_t most) { return size > 0 && size <= most; };
  const bool sane = within(b.hidden_size, 1 << 16) && within(b.heads, b.hidden_size) &&
                    b.hidden_size % b.heads == 0 && b.hidden_size / b.heads <= 256 &&
                    within(b.layers, 1 << 12) && within(b.intermediate_size, 1 << 20) &&
                    within(c.image_size, 1 << 14) && within(c.patch_size, c.image_size) &&
                    config.integer("num_channels", 3) == 3;
  if (!sane) {
    fail<ModelError>(config.where(),
                     ": these sizes do not describe a vision transformer: ", "hidden_size ",
                     b.hidden_size, ", intermediate_size ", b.intermediate_size,
                     ", num_hidden_layers ", b.layers, ", num_attention_heads ", b.heads,
                     ", image_size ", c.image_size, ", patch_size ", c.patch_size);
  }
  return c;
}

}  // namespace chiasm::vision
