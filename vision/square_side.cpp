#include "vision/square_side.h"

#include "core/error.h"

namespace chiasm::vision {

std::int64_t square_side(const Json& config, std::string_view key, std::int64_t otherwise) {
  if (!config.has(key) || !config[key].is_array()) return config.integer(key, otherwise);
  const auto sides = config[key].integers();
  if (sides.size() != 2 || sides[0] != sides[1]) {
    fail<ModelError>(config[key].where(), ": only square pictures and patches are supported");
  }
  return sides[0];
}

}  // namespace chiasm::vision
