#pragma once
/// LoadOptions::attention_provider: checked, and chosen on the device.
#include "core/device.h"
#include "runtime/model.h"

namespace chiasm {

/// RequestError for unknown words and for options that exclude each other: before the long work of
/// loading.
void check_attention_provider(const LoadOptions& options);

/// `device`: the model's, null for the CPU. DeviceError says what is missing.
void choose_attention_provider(Device* device, const LoadOptions& options);

}  // namespace chiasm
