#pragma once
/// The bundled model in the source tree.
#include <filesystem>

namespace chiasm::testing {

inline std::filesystem::path mini_folder() {
  return std::filesystem::path(CHIASM_SOURCE_DIR) / "models" / "chiasm-mini";
}

}  // namespace chiasm::testing
