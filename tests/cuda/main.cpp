// chiasm_cuda_check [FILTER]: every operator of a device against the CPU's double reference. The
// device is that of CHIASM_CUDA_PLUGIN, a card or the emulated one.
#include <cstdio>

#include "tests/cuda/harness.h"

int main(int argc, char** argv) {
  using namespace chiasm;
  const DeviceReport report = device_report();
  if (!report.usable()) {
    std::fprintf(stderr, "no device: %s\n", report.missing.c_str());
    return 1;
  }
  std::printf("device: %s (%s)\n", report.name.c_str(), report.build.c_str());
  cuda_check::Harness harness(argc > 1 ? argv[1] : "");
  cuda_check::check_intrinsics(harness);
  cuda_check::check_misuse(harness);
  cuda_check::check_copies(harness);
  cuda_check::check_rows(harness);
  cuda_check::check_products(harness);
  cuda_check::check_blocks(harness);
  cuda_check::check_media(harness);
  cuda_check::check_attention(harness);
  cuda_check::check_library(harness);
  cuda_check::check_sampling(harness);
  cuda_check::check_layers(harness);
  return harness.finish();
}
