#pragma once
/// The file that `chiasm quantize` writes: a safetensors file whose matrices lie as the kernels
/// take them, so that loading is a memory map.
///
/// A packed matrix is a U8 tensor: its bytes, with zeros up to a multiple of 64. The data begins at
/// a multiple of 4096 of the file and matrices come first, so that each begins at a multiple of 64.
/// Vectors and tables follow as they were. The notes ("__metadata__") say what the bytes mean:
///   format           "chiasm": other readers refuse the file instead of misreading it
///   chiasm.version   "1": of this description
///   chiasm.layout    of packed matrices, kernels::packed_layout(); it does not depend on the
///                    instruction set
///   chiasm.quantize  "int8" or "int4": what the model was quantized to
///   chiasm.dtype     "float32", "bfloat16" or "float16": of what is not quantized
///   chiasm.matrices  JSON: name -> {"format": "q8", "shape": [out, in]}. A product of several
///                    tensors has their names joined: "self_attn.q_proj+k_proj+v_proj.weight".
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/safetensors.h"

namespace chiasm {

inline constexpr const char* kPackedFile = "chiasm.safetensors";
inline constexpr std::size_t kPackedAlignment = 64;

struct PackedHeader {
  std::string layout, quantize, dtype;
};

/// A matrix in the kernels' packed form.
struct PackedMatrix {
  std::string name;    // full
  std::string format;  // "q8"
  Shape shape;         // [out, in], or a convolution's
  std::span<const std::byte> bytes;
  std::vector<std::string> sources;  // full names of the tensors it was made from
};

struct PackedContents {
  PackedHeader header;
  std::map<std::string, TensorEntry, std::less<>> tensors;
};

/// Parses a whole file's bytes; shapes are those of the matrices. FormatError for what
/// parse_safetensors refuses, and for notes that are missing, of another version, or that name
/// tensors the file does not hold as U8.
PackedContents parse_packed(std::span<const std::byte> bytes, const std::string& file);

/// Whether `folder` holds a packed model.
bool has_packed_file(const std::filesystem::path& folder);
/// Maps the packed model of `folder`. ModelError, FormatError; ModelError too when the folder also
/// holds unpacked weights: which of them is meant?
std::pair<PackedHeader, Checkpoint> open_packed(const std::filesystem::path& folder);

/// Writes a packed file. `others` keep their dtype, shape and bytes. ModelError naming the reason
/// (a full disk); what was written by then stays. `progress` hears the fraction written.
void write_packed(const std::filesystem::path& file, const PackedHeader& header,
                  std::span<const PackedMatrix> matrices,
                  const std::map<std::string, TensorEntry, std::less<>>& others,
                  const std::function<void(double)>& progress = {});

}  // namespace chiasm
