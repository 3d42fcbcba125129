#pragma once
/// Writing a model in the kernels' packed form, so that loading it is a memory map.
#include <filesystem>
#include <functional>
#include <string>

namespace chiasm {

struct QuantizeOptions {
  std::string to = "int8";     // int8 or int4, as LoadOptions::quantize
  std::string dtype = "auto";  // what is not quantized is kept in: auto, float32, bfloat16, float16
  int threads = 0;             // 0: every CPU this process may use
  bool force = false;          // replace `out`, if that is a packed model or an empty folder
  std::function<void(double fraction)> progress;
};

/// Reads a Hugging Face model folder and writes `out`: the same files, but the weights quantized
/// and packed (core/packed_file.h) in `chiasm.safetensors`, and a README.md that says so (the
/// model's own becomes README.original.md). Answers are bit for bit those of the original loaded
/// with quantize = `to` (int4 weighs its rounding by a run through the layers, whose bits are those
/// of the instruction set at hand; int8 packs alike everywhere). `out` appears whole or not at all.
/// Other programs cannot read it. ModelError for a model that cannot be read and a disk that cannot
/// be written; RequestError for options, for an `out` that exists, and for a model that is
/// quantized already (GGUF too).
void quantize(const std::filesystem::path& model, const std::filesystem::path& out,
              const QuantizeOptions& options = {});

}  // namespace chiasm
