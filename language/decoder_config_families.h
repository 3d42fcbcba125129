#pragma once
/// One reader for each kind of text config; decoder_config.cpp lists which model types they serve.
#include <cstdint>

#include "core/json.h"
#include "language/decoder_config.h"

namespace chiasm::language {

/// What transformers' config class takes for keys that are left out. A wrong guess cannot pass,
/// since every tensor's shape is checked.
struct DecoderDefaults {
  std::int64_t hidden_size = 4096, intermediate_size = 11008, layers = 32, heads = 32;
  std::int64_t kv_heads = 0;  // 0: as many as heads
  std::int64_t head_dim = 0;  // 0: hidden_size / heads
  std::int64_t vocab_size = 32000, max_positions = 2048;
  double norm_eps = 1e-6;
  bool tied = false;
};

/// ModelError for sizes that do not describe a decoder.
void check_sizes(const Json& config, const DecoderConfig& c);

/// Sets which layers slide: as `layer_types` lists, where the config has it; else as each layer is
/// set already. ModelError for lists that do not fit, and for layers that slide without a window.
void read_layer_types(const Json& config, std::int64_t window, DecoderConfig& c);

/// A number that is null where there is none; `otherwise` where the key is missing.
float number_or_none(const Json& config, std::string_view key, double otherwise);

/// Sizes under their usual keys, checked; everything else as in a plain decoder.
DecoderConfig read_sizes(const Json& config, const DecoderDefaults& defaults);

DecoderConfig read_llama(const Json& config);
DecoderConfig read_mistral(const Json& config);
DecoderConfig read_qwen2(const Json& config);
DecoderConfig read_qwen2_vl(const Json& config);
DecoderConfig read_qwen3(const Json& config);
DecoderConfig read_qwen3_vl(const Json& config);
DecoderConfig read_gemma(const Json& config);
DecoderConfig read_gemma2(const Json& config);
DecoderConfig read_gemma3(const Json& config);
DecoderConfig read_lfm2(const Json& config);
DecoderConfig read_gpt2(const Json& config);
DecoderConfig read_phi3(const Json& config);
DecoderConfig read_smollm3(const Json& config);
DecoderConfig read_mamba2(const Json& config);
DecoderConfig read_whisper(const Json& config);

}  // namespace chiasm::language
