#include "runtime/device_states.h"

#include "kernels/pages.h"

namespace chiasm {

std::vector<DeviceState> device_states(const LoadedModel& model, const Engines& engines) {
  if (model.devices.empty()) return {};
  const EngineOptions& options = engines.options();
  const auto token = std::int64_t(model.family->decoder().kv_shape(options.kv_dtype).token_bytes());
  std::vector<DeviceState> out;
  for (const EngineState& engine : engines.states()) {
    const Device& device = *model.devices[out.size()].device;
    DeviceState& state = out.emplace_back();
    state.device = engine.device;
    state.name = device.report().name;
    state.failure = engine.failure;
    state.memory_bytes = std::int64_t(device.report().memory_bytes);
    state.weight_bytes = model.info.weight_bytes;
    state.kv_bytes = options.kv_pages * kernels::kPageTokens * token;
    state.stats = engine.stats;
  }
  return out;
}

}  // namespace chiasm
