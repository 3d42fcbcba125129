/// Any bytes: parse_gguf returns values and tensors that lie inside them, or throws FormatError.
/// What it returns becomes a config, a tokenizer and matrices, or the projector of a language model
/// whose rows are of two numbers, or an Error.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/error.h"
#include "core/gguf.h"
#include "core/isa.h"
#include "kernels/matrix.h"
#include "language/decoder_config.h"
#include "language/gguf_tokenizer.h"
#include "runtime/gguf_model.h"
#include "runtime/gguf_pair.h"
#include "runtime/smolvlm.h"
#include "tests/support/gguf_bytes.h"
#include "vision/anyres_processor.h"
#include "vision/idefics3_processor.h"
#include "vision/plain_processor.h"
#include "vision/vit.h"

namespace {

template <class Read>
void attempt(const Read& read) {
  try {
    read();
  } catch (const chiasm::FormatError&) {
  }
}

/// What a model is made of, from a parsed file.
template <class Read>
void attempt_model(const Read& read) {
  try {
    read();
  } catch (const chiasm::Error&) {
  }
}

/// A language model of so many keys as a pair asks for.
chiasm::GgufContents words(const std::string& architecture) {
  static std::string bytes;
  chiasm::testing::GgufBytes b;
  b.header(1, 8).value("general.architecture", architecture);
  for (const char* key : {"embedding_length", "feed_forward_length", "block_count",
                          "attention.head_count", "context_length"}) {
    b.value(architecture + "." + key, 2u);
  }
  b.value(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
  b.strings("tokenizer.ggml.tokens",
            {"<image>", "<image_soft_token>", "<start_of_image>", "<end_of_image>"});
  b.tensor("token_embd.weight", {2, 4}, 0, 0).data(std::string(32, 'x'));
  bytes = b.bytes;
  return chiasm::parse_gguf(std::as_bytes(std::span(bytes)), "words");
}

/// As a projector, as far as its family would read the pair.
void use_as_projector(const chiasm::GgufContents& gguf) {
  for (const char* architecture : {"llama", "gemma3"}) {
    attempt_model([&] {
      const chiasm::GgufContents text = words(architecture);
      const auto pair = chiasm::gguf_pair(gguf, text, chiasm::gguf_config(text));
      attempt_model([&] {
        chiasm::vision::VitConfig::from_json(pair.config["vision_config"], "siglip_vision_model");
      });
      attempt_model([&] { chiasm::smolvlm_vision_config(pair.config); });
      attempt_model([&] { chiasm::vision::Idefics3Processor(pair.settings).grid_for(100, 30); });
      attempt_model([&] {
        chiasm::vision::PlainProcessor(pair.settings, chiasm::vision::PlainKind::llava)
            .layout(100, 30);
      });
      attempt_model([&] {
        chiasm::vision::AnyresProcessor(pair.settings, chiasm::vision::AnyresKind::llava_next)
            .layout(100, 30);
      });
    });
  }
}

void use(const chiasm::GgufContents& gguf) {
  static chiasm::ThreadPool pool(1);
  chiasm::Context ctx;
  ctx.pool = &pool;
  ctx.isa = chiasm::Isa::portable;
  attempt_model([&] { chiasm::language::DecoderConfig::from_json(chiasm::gguf_config(gguf)); });
  attempt_model([&] { chiasm::language::tokenizer_from_gguf(gguf).encode("a b\n\xc3\xa9"); });
  attempt_model([&] { chiasm::gguf_tensors(gguf); });
  use_as_projector(gguf);
  for (const auto& tensor : gguf.tensors) {
    const chiasm::TensorEntry& entry = tensor.second;
    if (!entry.blocks || entry.shape.rank() != 2) continue;
    attempt_model([&] {
      const chiasm::kernels::BlockRows rows{entry.bytes.data(), *entry.blocks, entry.shape[0]};
      const auto matrix = chiasm::kernels::Matrix::pack_blocks(ctx, {&rows, 1}, entry.shape[1]);
      std::vector<float> row(std::size_t(matrix.in()));
      matrix.row(matrix.out() - 1, row.data());
    });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  attempt([&] {
    volatile std::size_t sum = 0;
    const chiasm::GgufContents gguf = chiasm::parse_gguf(bytes, "fuzz");
    for (const auto& [key, value] : gguf.metadata) {
      const chiasm::GgufValue& v = value;
      attempt([&] { sum = sum + std::size_t(v.integer()); });
      attempt([&] { sum = sum + std::size_t(v.number() > 0); });
      attempt([&] { sum = sum + std::size_t(v.boolean()); });
      attempt([&] {
        for (const char c : v.str()) sum = sum + std::size_t(c);
      });
      attempt([&] {
        for (const std::string_view s : v.strings()) {
          for (const char c : s) sum = sum + std::size_t(c);
        }
      });
      attempt([&] { sum = sum + v.integers().size(); });
      attempt([&] { sum = sum + v.numbers().size(); });
      attempt([&] { sum = sum + v.booleans().size(); });
    }
    std::size_t covered = 0;
    for (const auto& [name, entry] : gguf.tensors) {
      // Each byte is read, so that the sanitizer sees one outside.
      for (const std::byte b : entry.bytes) sum = sum + std::to_integer<std::size_t>(b);
      covered += entry.bytes.size();
    }
    if (covered > size) std::abort();  // two tensors would share bytes
    use(gguf);
  });
  return 0;
}
