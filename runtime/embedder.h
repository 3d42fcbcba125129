#pragma once
/// A loaded embedder: texts and pictures in, unit vectors of one space out.
///
///   chiasm::Embedder embedder = chiasm::Embedder::load("chiasm-mini");
///   chiasm::Tensor words = embedder.embed_texts({"a red bicycle"});
///   chiasm::Tensor pictures = embedder.embed_images({chiasm::ImageInput::from_file("photo.jpg")});
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "runtime/request.h"

namespace chiasm {

struct EmbedderOptions {
  std::string device = "auto";  // auto, cpu, cuda, cuda:N (core/device.h)
  std::string dtype = "auto";   // auto (as the checkpoint), float32, bfloat16, float16
  // "" (none); int8: all large matrices in 8 bits; int4: MLPs of the text layers in 4 bits, the
  // rest in 8. The last projection stays in `dtype`.
  std::string quantize;
  int threads = 0;  // 0: every CPU this process may use
  std::int64_t max_image_pixels = 178'956'970;
  std::string lora;  // a PEFT folder (lora.h) that all vectors go through; empty: none
  std::function<void(double fraction)> progress;
};

/// Texts that some models want before a user's words ("query: "), by name.
struct EmbedderPrompts {
  std::map<std::string, std::string, std::less<>> texts;
  std::string otherwise;  // the name of the one that stands there unasked; "": none
};

/// How texts are embedded.
struct TextOptions {
  /// One of the model's prompts by name; nothing: the model's own default, which is mostly none.
  std::optional<std::string> prompt = std::nullopt;
  /// Whether a text that is too long loses its end; else it is an error.
  bool truncate = false;
};

/// What an embedder is.
struct EmbedderInfo {
  std::string family, path, dtype, quantize, isa;
  std::string lora;                      // the adapter's folder; empty: none
  std::int64_t size = 0;                 // numbers of a vector
  std::int64_t max_tokens = 0;           // of a text; 0: it takes no texts
  std::int64_t patches_per_picture = 0;  // 0: it takes no pictures
  std::int64_t parameters = 0, weight_bytes = 0;
  int threads = 0;
  EmbedderPrompts prompts;
  // How sharp products of a text's and a picture's vector are in training: logits are logit_scale *
  // product + logit_bias (CLIP: softmax over texts; SigLIP: sigmoid). 0: the model says nothing.
  float logit_scale = 0, logit_bias = 0;
};

/// Thread-safe; calls keep no state. A vector depends on its own text or picture alone, bit for
/// bit, whatever is embedded beside it and with any number of threads. Move-only.
class Embedder {
 public:
  /// Loads a Hugging Face model folder. ModelError says what is missing or does not fit.
  static Embedder load(const std::filesystem::path& folder, const EmbedderOptions& options = {});
  ~Embedder();
  Embedder(Embedder&&) noexcept;
  Embedder& operator=(Embedder&&) noexcept;

  /// float32 [texts, size], rows of length 1, in order. The words are untrusted: they never become
  /// structure. RequestError for a text that is too long or no UTF-8, for a prompt that the model
  /// does not have and for a model without texts.
  Tensor embed_texts(const std::vector<std::string>& texts, const TextOptions& options = {},
                     const Poll& interrupted = {}) const;
  /// Likewise for pictures. MediaError names the one that cannot be read.
  Tensor embed_images(const std::vector<ImageInput>& images, const Poll& interrupted = {}) const;

  /// Tokens of each text as it would be embedded: with the prompt and what the model puts around
  /// it, without padding, after truncation. RequestError as embed_texts. A picture's are
  /// EmbedderInfo::patches_per_picture.
  std::vector<std::int64_t> count_tokens(const std::vector<std::string>& texts,
                                         const TextOptions& options = {}) const;

  const EmbedderInfo& info() const;
  /// Calls `tap(stage, values)` with intermediates of every later call; empty: none. For checking:
  /// while nothing else runs.
  void set_tap(Tap tap);

 private:
  struct Impl;
  explicit Embedder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Families that `Embedder::load` knows, by config.json's model_type.
std::vector<std::string> supported_embedders();

}  // namespace chiasm
