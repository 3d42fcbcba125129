#include "runtime/attention_provider.h"

#include "core/error.h"

namespace chiasm {

namespace {

device::AttentionProvider provider_of(const LoadOptions& options) {
  if (options.attention_provider == "own") return device::AttentionProvider::own;
  if (options.attention_provider != "cudnn") {
    fail<RequestError>("attention_provider \"", options.attention_provider,
                       "\" is not known; use own or cudnn");
  }
  if (options.batch_invariant) {
    fail<RequestError>(
        "attention_provider=\"cudnn\" with batch_invariant=True: cuDNN chooses its algorithm by "
        "the batch; leave one of the two out");
  }
  if (options.device == "cpu") {
    fail<RequestError>(
        "attention_provider=\"cudnn\" is for a CUDA device, device is \"cpu\"; leave it out, or "
        "use device=\"cuda\"");
  }
  return device::AttentionProvider::cudnn;
}

}  // namespace

void check_attention_provider(const LoadOptions& options) { provider_of(options); }

void choose_attention_provider(Device* device, const LoadOptions& options) {
  const device::AttentionProvider provider = provider_of(options);
  if (provider == device::AttentionProvider::own) return;
  if (device == nullptr) {
    const std::string missing = device_report().missing;
    fail<DeviceError>(
        "attention_provider=\"cudnn\" is for a CUDA device, and this model runs on the CPU",
        missing.empty() ? "" : ": ", missing, "; leave it out, or use device=\"cuda\"");
  }
  device->set_attention_provider(provider);
}

}  // namespace chiasm
