// chiasm_cudnn_plans [FILTER]: whether cuDNN has a plan for each shape of attention that the
// plug-in asks it for, on cards that need not be there. cuDNN recognizes each graph, chooses an
// engine and compiles its kernel for the card's properties; nothing runs. Without a driver,
// no_driver.cpp stands in for it (LD_LIBRARY_PATH); cuDNN is found as the plug-in finds it.
#include <cstdio>
#include <string>
#include <vector>

#include "kernels/cuda/card/cudnn_plan.h"

namespace chiasm::device {
namespace {

struct Card {
  const char* name;
  int capability, processors, shared_bytes;
};

/// Of CUDA's table of technical specifications; what names and clocks are does not matter.
constexpr Card kCards[] = {
    {"sm_80", 800, 108, 166912}, {"sm_90", 900, 132, 232448}, {"sm_100", 1000, 148, 232448}};

std::string properties_of(const Card& card) {
  const auto number = [](const char* name, std::int64_t value) {
    return std::string(",\"") + name + "\":" + std::to_string(value);
  };
  return "{\"deviceName\":\"" + std::string(card.name) +
         "\",\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64]" +
         number("deviceVer", card.capability) + number("driverVer", 13000) +
         number("multiProcessorCount", card.processors) +
         number("maxSharedMemoryPerBlockOptin", card.shared_bytes) +
         number("maxSharedMemoryPerBlock", 49152) + number("reservedSharedMemoryPerBlock", 1024) +
         number("regsPerBlock", 65536) + number("maxRegistersPerSM", 65536) +
         number("maxCtasPerSM", 32) + number("maxThreadsPerBlock", 1024) +
         number("maxThreadsPerSM", 2048) + number("warpSize", 32) + number("pciDeviceId", 0) +
         number("isTccDriver", 0) + number("supportCoopLaunch", 1) +
         number("totalGlobalMem", std::int64_t(80) << 30) + number("smClockRateKHz", 1980000) +
         number("memClockRateKHz", 2619000) + number("l2CacheSize", 52428800) +
         number("memoryBusWidth", 5120) + number("oversizedSharedMemoryPerBlock", 0) +
         number("smCountOrigin", 0) +  // these three: of cuDNN 9.2x
         number("cudaDeviceId", 0) + "}";
}

struct Asked {
  const char* name;
  LibraryShape shape;
};

/// Encoders of pictures and sounds, alike and packed; prompts in pages, with windows, in wide
/// heads.
std::vector<Asked> shapes() {
  //  batch, rows, keys, heads, kv_heads, head_dim, scale, causal, window, packed, pages
  return {
      {"clip-like, 5 x 577 of 64", {5, 577, 577, 16, 16, 64, 0.125f, false, 0, false, 0}},
      {"siglip-like, 3 x 729 of 72", {3, 729, 729, 16, 16, 72, 0.118f, false, 0, false, 0}},
      {"whisper-like, 1500 of 64", {1, 1500, 1500, 20, 20, 64, 0.125f, false, 0, false, 0}},
      {"qwen2.5-vl-like, packed of 80", {4, 4096, 4096, 16, 16, 80, 0.112f, false, 0, true, 0}},
      {"rows beside more keys of 64", {2, 64, 1500, 8, 8, 64, 0.125f, false, 0, false, 0}},
      {"causal, alike of 128", {2, 512, 512, 32, 8, 128, 0.088f, true, 0, false, 0}},
      {"causal behind a prefix of 128", {2, 100, 612, 32, 8, 128, 0.088f, true, 0, false, 0}},
      {"window, alike of 64", {2, 512, 512, 8, 2, 64, 0.125f, true, 128, false, 0}},
      {"causal, packed of 96", {8, 256, 1024, 16, 4, 96, 0.102f, true, 0, true, 0}},
      {"window, packed of 64", {8, 256, 1024, 16, 4, 64, 0.125f, true, 200, true, 0}},
      {"pages, causal of 64", {4, 512, 2048, 9, 3, 64, 0.125f, true, 0, true, 1024}},
      {"pages, causal of 128", {1, 2048, 4096, 32, 8, 128, 0.088f, true, 0, true, 4096}},
      {"pages, all keys of 64", {1, 512, 512, 8, 8, 64, 0.125f, false, 0, true, 64}},
      {"pages, window of 256", {2, 1024, 1024, 8, 4, 256, 0.0625f, true, 512, true, 512}},
  };
}

int run(const std::string& filter) {
  std::printf("cuDNN %zu\n", cudnn().version());
  int made = 0, missing = 0;
  for (const Card& card : kCards) {
    CudnnDescriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    properties.set_all(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                       properties_of(card));
    properties.finalize("a card's properties");
    for (const auto& [name, shape] : shapes()) {
      const std::string title = std::string(card.name) + ", " + name;
      if (title.find(filter) == std::string::npos) continue;
      const auto plan = CudnnPlan::make(shape, {nullptr, &properties});
      (plan != nullptr ? made : missing)++;
      std::printf("%-6s %-48s workspace %lld\n", plan != nullptr ? "ok" : "NONE", title.c_str(),
                  plan != nullptr ? static_cast<long long>(plan->workspace()) : -1LL);
      std::fflush(stdout);
    }
  }
  std::printf("%d plans, %d shapes without one\n", made, missing);
  return missing == 0 && made > 0 ? 0 : 1;
}

}  // namespace
}  // namespace chiasm::device

int main(int argc, char** argv) {
  try {
    return chiasm::device::run(argc > 1 ? argv[1] : "");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
