#include "runtime/model_source.h"

#include <utility>

#include "core/error.h"
#include "core/packed_file.h"
#include "language/gguf_tokenizer.h"
#include "runtime/gguf_model.h"
#include "runtime/gguf_pair.h"
#include "runtime/weight_quantization.h"

namespace chiasm {

namespace {

kernels::WeightFormat weight_format(const LoadOptions& options, const Json& config,
                                    const Checkpoint& checkpoint) {
  std::string dtype = options.dtype;
  if (dtype == "auto") {
    dtype = config.str("dtype", config.str("torch_dtype", ""));
    if (dtype.empty() && !weight_quantization(config).empty()) dtype = "float16";
    if (dtype.empty()) dtype = name(checkpoint.tensors().begin()->second.dtype);
  }
  if (dtype == "float32") return kernels::WeightFormat::f32;
  if (dtype == "bfloat16") return kernels::WeightFormat::bf16;
  if (dtype == "float16") return kernels::WeightFormat::f16;
  fail<RequestError>("dtype \"", dtype, "\" is not known; use auto, float32, bfloat16 or float16");
}

/// Four bits where they save most and cost least. On SmolLM2-135M, perplexity grows by 5 % with a
/// 4-bit token table and head and by 12 % with the attention layers, so these stay in 8 bits. MLPs
/// cost another 12 % packed blindly, 4 % by what flows into them, 2 % with the first and the last
/// layer's down, which carry a few very large numbers, in 8 bits (bench/quantized_quality.py).
language::DecoderFormats int4_formats() {
  using kernels::WeightFormat;
  return {.embedding = WeightFormat::q8,
          .attention = WeightFormat::q8,
          .gate_up = WeightFormat::q4,
          .down = WeightFormat::q4,
          .edge_down = WeightFormat::q8,
          .calibrate = true};
}

WeightFormats weight_formats(const LoadOptions& options, kernels::WeightFormat plain) {
  using kernels::WeightFormat;
  const auto all = language::DecoderFormats::all;
  if (options.quantize.empty()) return {plain, all(plain), plain};
  if (options.quantize == "int8") return {plain, all(WeightFormat::q8), WeightFormat::q8_rows};
  if (options.quantize == "int4") return {plain, int4_formats(), WeightFormat::q8_rows};
  fail<RequestError>("quantize \"", options.quantize, "\" is not known; use int8 or int4");
}

kernels::WeightFormat plain_format(DType dtype) {
  return dtype == DType::bf16  ? kernels::WeightFormat::bf16
         : dtype == DType::f32 ? kernels::WeightFormat::f32
                               : kernels::WeightFormat::f16;
}

/// A folder of `chiasm quantize`: number formats are the file's.
ModelSource open_packed_folder(const std::filesystem::path& folder, const LoadOptions& options) {
  auto [header, checkpoint] = open_packed(folder);
  if (header.layout != kernels::packed_layout()) {
    fail<ModelError>(kPackedFile, ": its matrices are packed as ", header.layout,
                     ", this version reads ", kernels::packed_layout(),
                     "; quantize the original model again");
  }
  const auto fixed = [](const char* option, const std::string& wanted, const std::string& is) {
    if (wanted == "auto" || wanted.empty() || wanted == is) return;
    fail<RequestError>(option, " is \"", wanted, "\", but this model is packed as ", is,
                       "; leave it out, or load the original model");
  };
  fixed("quantize", options.quantize, header.quantize);
  fixed("dtype", options.dtype, header.dtype);
  LoadOptions as_packed = options;
  as_packed.quantize = header.quantize;
  as_packed.dtype = header.dtype;
  const Json config = Json::load(folder / "config.json");
  WeightFormats formats = weight_formats(as_packed, weight_format(as_packed, config, checkpoint));
  formats.text.calibrate = false;  // it served the packing
  return {config,  std::move(checkpoint), language::Tokenizer::load(folder),
          formats, header.quantize,       header.layout,
          {}};
}

}  // namespace

ModelSource open_folder(const std::filesystem::path& folder, const LoadOptions& options) {
  if (has_packed_file(folder)) return open_packed_folder(folder, options);
  const Json config = Json::load(folder / "config.json");
  const std::string quantized = weight_quantization(config);
  if (!quantized.empty() && !options.quantize.empty()) {
    fail<RequestError>("quantize is \"", options.quantize, "\", but this model's weights are ",
                       quantized, "'s; leave it out");
  }
  Checkpoint checkpoint = Checkpoint::open(folder);
  const WeightFormats formats = weight_formats(options, weight_format(options, config, checkpoint));
  return {config,
          std::move(checkpoint),
          language::Tokenizer::load(folder),
          formats,
          quantized.empty() ? options.quantize : quantized,
          {},
          {}};
}

ModelSource open_gguf(const std::filesystem::path& path, const LoadOptions& options) {
  if (options.dtype != "auto" || !options.quantize.empty()) {
    fail<RequestError>(
        "a GGUF file keeps its own number formats; leave dtype at \"auto\" and "
        "quantize empty");
  }
  const auto projector = find_projector(path, options.mmproj);
  MappedFile file(path), second;
  const GgufContents gguf = parse_gguf(file.bytes(), path.filename().string());
  const Json config = gguf_config(gguf);
  WeightFormats formats =
      weight_formats(options, plain_format(gguf.tensors.at("token_embd.weight").dtype));
  std::string source = gguf.file;
  std::optional<GgufPair> pair;
  if (projector) {
    second = MappedFile(*projector);
    const GgufContents other = parse_gguf(second.bytes(), projector->filename().string());
    pair = gguf_pair(other, gguf, config);
    formats.vision = plain_format(pair->encoder_dtype);
    source += " with " + other.file;
  }
  const GgufValue* chat = gguf.find("tokenizer.chat_template");
  const std::string chat_template(chat != nullptr ? chat->str() : std::string_view());
  language::Tokenizer tokenizer = pair ? language::tokenizer_from_gguf(gguf, pair->picture)
                                       : language::tokenizer_from_gguf(gguf);
  return {pair ? pair->config : config,
          Checkpoint::of(std::move(file), std::move(source),
                         pair ? std::move(pair->tensors) : gguf_tensors(gguf)),
          std::move(tokenizer),
          formats,
          "gguf",
          {},
          chat_template,
          std::move(second),
          pair ? std::optional(pair->settings) : std::nullopt};
}

}  // namespace chiasm
