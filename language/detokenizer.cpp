#include "language/detokenizer.h"

#include <utility>

#include "language/tokenizer_parts.h"
#include "language/unicode.h"

namespace chiasm::language {

Detokenizer::Detokenizer(Tokenizer tokenizer, bool skip_special_tokens)
    : tokenizer_(std::move(tokenizer)), skip_special_tokens_(skip_special_tokens) {}

std::string Detokenizer::push_bytes(std::string_view token) {
  tail_ += tokenizer_.parts_->decoder.bytes_of(token);
  std::string out;
  tail_.erase(0, append_utf8_lossy(tail_, true, out));
  return out;
}

std::string Detokenizer::fresh_text() const {
  const auto decode = [&](std::span<const std::int32_t> ids) {
    return tokenizer_.decode(ids, false);
  };
  const std::span<const std::int32_t> window(window_);
  const std::string before = decode(window.first(given_)), all = decode(window);
  const bool goes_on = all.compare(0, before.size(), before) == 0;
  return goes_on ? all.substr(before.size()) : decode(window.subspan(given_));
}

std::string Detokenizer::push(std::int32_t id) {
  const auto token = tokenizer_.token_text(id);
  if (token.empty() || (skip_special_tokens_ && tokenizer_.is_special(id))) return {};
  if (tokenizer_.parts_->decoder.is_bytes()) return push_bytes(token);

  window_.push_back(id);
  // Bytes in a row are spelled together: one of them may yet make all of them U+FFFD.
  if (tokenizer_.parts_->decoder.is_fallback_byte(token)) return {};
  tail_ += tokenizer_.parts_->decoder.bytes_of(token);
  std::string characters;
  if (append_utf8_lossy(tail_, true, characters) < tail_.size()) return {};  // one is unfinished
  tail_.clear();
  std::string fresh = fresh_text();
  window_.erase(window_.begin(), window_.begin() + std::ptrdiff_t(given_));
  given_ = window_.size();
  return fresh;
}

std::string Detokenizer::flush() {
  std::string out;
  if (window_.size() > given_) {
    out = fresh_text();
  } else {
    append_utf8_lossy(tail_, false, out);
  }
  tail_.clear();
  window_.clear();
  given_ = 0;
  return out;
}

}  // namespace chiasm::language
