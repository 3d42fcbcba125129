#include "language/detokenizer.h"

#include <utility>

#include "language/tokenizer_parts.h"
#include "language/unicode.h"

namespace chiasm::language {

namespace {

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

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
  std::string fresh = fresh_text();
  // U+FFFD at the end: bytes of a character that more tokens may complete, at most three.
  if (ends_with(fresh, "\xEF\xBF\xBD") && window_.size() - given_ < 4) return {};
  window_.erase(window_.begin(), window_.begin() + std::ptrdiff_t(given_));
  given_ = window_.size();
  return fresh;
}

std::string Detokenizer::flush() {
  std::string out;
  append_utf8_lossy(tail_, false, out);
  if (window_.size() > given_) out += fresh_text();
  tail_.clear();
  window_.clear();
  given_ = 0;
  return out;
}

}  // namespace chiasm::language
