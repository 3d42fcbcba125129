/// Any bytes as tokenizer.json, a zero byte and a text: loading gives a tokenizer or an Error, and
/// what a tokenizer encodes it decodes to valid UTF-8, whole and in pieces alike.
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "language/detokenizer.h"
#include "language/unicode.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace chiasm;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = std::min(input.find('\0'), size);
  const auto text = input.substr(cut).substr(cut < size ? 1 : 0);
  try {
    const auto tokenizer =
        language::Tokenizer::from_json(Json::parse(input.substr(0, cut), "fuzz"));
    const std::size_t half = text.size() / 2;
    const language::TextSpan spans[] = {{text.substr(0, half), true}, {text.substr(half), false}};
    language::Detokenizer stream(tokenizer, false);
    std::string pieces;
    for (const auto id : tokenizer.encode_spans(spans)) pieces += stream.push(id);
    pieces += stream.flush();
    if (language::first_invalid_utf8(pieces) != std::string_view::npos) __builtin_trap();
  } catch (const Error&) {
    // The expected end of most inputs.
  }
  return 0;
}
