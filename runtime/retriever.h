#pragma once
/// Late interaction: a text and a picture (a page of a document) become a vector for each of their
/// tokens, and meet in the sum of each query vector's best match.
/// Sources: Khattab and Zaharia, 2020, arXiv:2004.12832; Faysse et al., 2024, arXiv:2407.01449;
/// transformers' ColPaliForRetrieval and ColQwen2ForRetrieval.
///
///   chiasm::Retriever retriever = chiasm::Retriever::load("colqwen2-v1.0-hf");
///   auto query = retriever.embed_texts({"revenue in 2019"});
///   auto pages = retriever.embed_images({chiasm::ImageInput::from_file("page.png")});
///   double score = chiasm::max_sim(query[0].view<float>(), pages[0].view<float>());
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "runtime/embedder.h"
#include "runtime/model.h"

namespace chiasm {

/// What a retriever is.
struct RetrieverInfo {
  std::string family, path, dtype, quantize, isa;
  std::int64_t size = 0;        // numbers of a vector
  std::int64_t max_tokens = 0;  // of a text or a picture
  std::int64_t parameters = 0, weight_bytes = 0;
  int threads = 0;
};

/// Thread-safe. What a text or picture becomes depends on it alone, bit for bit. Move-only.
class Retriever {
 public:
  /// Loads a colpali or colqwen2 folder as transformers has them ("...-hf"). ModelError says what
  /// is missing or does not fit.
  static Retriever load(const std::filesystem::path& folder, const EmbedderOptions& options = {});
  ~Retriever();
  Retriever(Retriever&&) noexcept;
  Retriever& operator=(Retriever&&) noexcept;

  /// For each text float32 [tokens, size], rows of length 1: with the prefix before it and the
  /// filling tokens behind it that the processor writes, which count too. The words are untrusted.
  /// RequestError for what is too long.
  std::vector<Tensor> embed_texts(const std::vector<std::string>& texts,
                                  const Poll& interrupted = {}) const;
  /// Likewise for pictures. MediaError names the one that cannot be read.
  std::vector<Tensor> embed_images(const std::vector<ImageInput>& images,
                                   const Poll& interrupted = {}) const;

  const RetrieverInfo& info() const;

 private:
  struct Impl;
  explicit Retriever(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The sum over the query's rows of the largest product with a row of the document. query:
/// [n, size]; document: [m, size], m at least 1. Throws ShapeError.
double max_sim(TensorView<const float> query, TensorView<const float> document);

}  // namespace chiasm
