#include "language/vocabulary.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace chiasm::language {

void Vocabulary::read(const Json& json) {
  if (!json.is_object()) fail<ModelError>(json.where(), ": expected an object of token and id");
  // Ids may leave gaps, but a stray large one must not claim gigabytes.
  const std::int64_t limit = 4 * std::int64_t(json.size()) + 65536;
  std::int64_t largest = -1;
  for (const auto& [token, value] : json.raw().items()) {
    const auto id = value.is_number_integer() ? value.get<std::int64_t>() : -1;
    if (id < 0 || id >= limit) {
      fail<ModelError>(json.where(), ": id of token \"", token, "\" is no integer from 0 to ",
                       limit);
    }
    largest = std::max(largest, id);
  }
  texts_.resize(std::size_t(largest + 1));
  for (const auto& [token, value] : json.raw().items()) {
    const auto id = std::size_t(value.get<std::int64_t>());
    if (token.empty()) continue;  // Whisper has one: an id that stands for nothing
    if (!texts_[id].empty()) {
      fail<ModelError>(json.where(), ": \"", texts_[id], "\" and \"", token, "\" both have id ",
                       id);
    }
    texts_[id] = token;
  }
  index();
}

void Vocabulary::take(std::vector<std::string> texts) {
  texts_ = std::move(texts);
  index();
}

void Vocabulary::index() {
  structure_.assign(texts_.size(), false);
  ids_.reserve(texts_.size());
  for (std::size_t id = 0; id < texts_.size(); ++id) {
    if (!texts_[id].empty()) ids_.insert_or_assign(texts_[id], std::int32_t(id));
  }
}

std::optional<std::int32_t> Vocabulary::find(std::string_view token) const {
  const auto it = ids_.find(token);
  return it == ids_.end() ? std::nullopt : std::optional(it->second);
}

std::string_view Vocabulary::text(std::int32_t id) const {
  return id < 0 || id >= size() ? std::string_view() : std::string_view(texts_[std::size_t(id)]);
}

void Vocabulary::mark_structure(std::int32_t id) {
  if (id >= 0 && id < size()) structure_[std::size_t(id)] = true;
}

std::optional<std::int32_t> named_token(const Json& model, std::string_view key,
                                        const Vocabulary& vocabulary) {
  if (!model.has(key)) return std::nullopt;
  const auto id = vocabulary.find(model[key].str());
  if (!id) fail<ModelError>(model.where(), ": ", key, " is not in the vocabulary");
  return id;
}

std::array<std::int32_t, 256> fallback_byte_ids(const Vocabulary& vocabulary) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::array<std::int32_t, 256> out{};
  for (std::size_t b = 0; b < out.size(); ++b) {
    const std::string token = {'<', '0', 'x', digits[b >> 4], digits[b & 15], '>'};
    out[b] = vocabulary.find(token).value_or(-1);
  }
  return out;
}

}  // namespace chiasm::language
