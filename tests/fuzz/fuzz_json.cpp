/// Any bytes: Json::parse and every getter return a value or throw FormatError.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "core/json.h"

namespace {

/// Runs a getter; the wrong type is an expected answer.
template <class Get>
void attempt(Get&& get) {
  try {
    get();
  } catch (const chiasm::FormatError&) {
  }
}

void visit(const chiasm::Json& json) {
  attempt([&] { (void)json.str(); });
  attempt([&] { (void)json.integer(); });
  attempt([&] { (void)json.number(); });
  attempt([&] { (void)json.boolean(); });
  attempt([&] { (void)json.integers(); });
  attempt([&] { (void)json.integer("a", 5); });
  attempt([&] { (void)json["missing"]; });
  attempt([&] { (void)json[std::size_t(1) << 40]; });
  if (json.is_array()) {
    for (std::size_t i = 0; i < json.size(); i++) visit(json[i]);
  }
  if (json.is_object()) {
    for (const auto& item : json.raw().items()) visit(json[item.key()]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  attempt([&] {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    visit(chiasm::Json::parse(text, "fuzz.json"));
  });
  return 0;
}
