#include "runtime/weight_quantization.h"

#include <array>

#include "core/error.h"

namespace chiasm {

namespace {

void expect(const Json& settings, std::string_view key, std::string_view otherwise,
            std::string_view readable) {
  const std::string value = settings.str(key, otherwise);
  if (value == readable) return;
  fail<ModelError>(settings.where(), ".", key, ": \"", value, "\" is not supported; ", readable,
                   " is");
}

}  // namespace

std::string weight_quantization(const Json& config) {
  if (!config.has("quantization_config")) return {};
  const Json settings = config["quantization_config"];
  std::string method = settings.str("quant_method", "");
  if (method != "gptq" && method != "awq") return {};
  const std::int64_t bits = settings.integer("bits", settings.integer("w_bit", 4));
  if (bits != 4) {
    fail<ModelError>(settings.where(), ".bits: ", bits, " bits of ", method,
                     " are not supported; 4 are");
  }
  // The other checkpoint format of GPTQ has zeros that are not less one.
  if (method == "gptq") expect(settings, "checkpoint_format", "gptq", "gptq");
  if (method == "awq") expect(settings, "version", "gemm", "gemm");
  return method;
}

}  // namespace chiasm
