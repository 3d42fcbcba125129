#pragma once
/// How the devices of a model fare.
#include <vector>

#include "runtime/engines.h"
#include "runtime/loader.h"

namespace chiasm {

/// One for each of the model's devices, in the order of its engines; none for the CPU. Does not
/// wait for the engines' steps.
std::vector<DeviceState> device_states(const LoadedModel& model, const Engines& engines);

}  // namespace chiasm
