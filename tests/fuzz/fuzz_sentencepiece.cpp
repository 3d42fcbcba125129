/// Any bytes as a SentencePiece model, behind a byte that chooses a tokenizer class: parsing gives
/// a model or a FormatError, and what is made of a model is a tokenizer that cuts texts, or an
/// Error.
#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "core/error.h"
#include "language/sentencepiece_tokenizer.h"
#include "language/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace chiasm;
  constexpr std::array<const char*, 4> kConfigs = {
      "{}", R"({"tokenizer_class":"LlamaTokenizer","pad_token":"<pad>"})",
      R"({"tokenizer_class":"GemmaTokenizer"})", R"({"tokenizer_class":"XLMRobertaTokenizer"})"};
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  const Json config = Json::parse(kConfigs[data[0] % kConfigs.size()], "fuzz");
  try {
    const language::SentencePieceModel model = language::parse_sentencepiece(bytes, "fuzz");
    const auto tokenizer = language::Tokenizer::from_json(
        language::sentencepiece_tokenizer_json(model, config, "fuzz"), config);
    const auto ids = tokenizer.encode(" a  b</s>\n\xc3\xa9");
    (void)tokenizer.decode(ids, false);
  } catch (const Error&) {
    // The expected end of most inputs.
  }
  return 0;
}
