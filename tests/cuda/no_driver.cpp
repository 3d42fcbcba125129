// A libcuda.so.1 for machines without a driver: it loads, knows no device, and takes kernels that
// are brought to it without looking at them. With it cuDNN recognizes graphs and compiles what it
// makes of them, which chiasm_cudnn_plans looks at; it can run nothing.
#include <dlfcn.h>

#include <cstdint>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {
constexpr int kSuccess = 0, kNoDevice = 100, kStub = 34, kNotFound = 500;  // of CUresult

int take(void** handle) {
  static int nothing = 0;
  *handle = &nothing;
  return kSuccess;
}
}  // namespace

#define TAKES(name) \
  EXPORT int name(void** handle) { return take(handle); }
#define REFUSES(name) \
  EXPORT int name() { return kStub; }

TAKES(cuLibraryLoadData)
TAKES(cuLibraryGetKernel)
TAKES(cuKernelGetFunction)
TAKES(cuModuleLoadData)
TAKES(cuModuleLoadDataEx)
TAKES(cuModuleLoadFatBinary)
TAKES(cuModuleGetFunction)

EXPORT int cuDriverGetVersion(int* version) {
  *version = 13000;
  return kSuccess;
}
EXPORT int cuDeviceGetCount(int* count) {
  *count = 0;
  return kNoDevice;
}
EXPORT int cuGetErrorString(int /*error*/, const char** text) {
  *text = "no driver";
  return kSuccess;
}
EXPORT int cuGetErrorName(int /*error*/, const char** text) {
  *text = "CUDA_ERROR_STUB_LIBRARY";
  return kSuccess;
}

REFUSES(cuInit)
REFUSES(cuCtxGetCurrent)
REFUSES(cuCtxGetDevice)
REFUSES(cuCtxGetLimit)
REFUSES(cuCtxPopCurrent)
REFUSES(cuCtxPushCurrent)
REFUSES(cuDeviceGet)
REFUSES(cuDeviceGetAttribute)
REFUSES(cuDevicePrimaryCtxRelease)
REFUSES(cuDevicePrimaryCtxReset)
REFUSES(cuDevicePrimaryCtxRetain)
REFUSES(cuFuncGetAttribute)
REFUSES(cuFuncSetAttribute)
REFUSES(cuKernelGetAttribute)
REFUSES(cuKernelSetAttribute)
REFUSES(cuLaunchCooperativeKernel)
REFUSES(cuLaunchKernel)
REFUSES(cuLaunchKernelEx)
REFUSES(cuLibraryLoadFromFile)
REFUSES(cuLibraryUnload)
REFUSES(cuLinkAddData)
REFUSES(cuLinkAddData_v2)
REFUSES(cuLinkAddFile_v2)
REFUSES(cuLinkComplete)
REFUSES(cuLinkCreate)
REFUSES(cuLinkCreate_v2)
REFUSES(cuLinkDestroy)
REFUSES(cuMemcpyDtoH_v2)
REFUSES(cuModuleGetGlobal_v2)
REFUSES(cuModuleUnload)
REFUSES(cuOccupancyMaxActiveBlocksPerMultiprocessor)
REFUSES(cuOccupancyMaxPotentialClusterSize)
REFUSES(cuStreamGetCtx)
REFUSES(cuStreamSynchronize)
REFUSES(cuTensorMapEncodeIm2col)
REFUSES(cuTensorMapEncodeTiled)

EXPORT int cuGetProcAddress_v2(const char* name, void** address, int, std::uint64_t, void*) {
  Dl_info own{};
  dladdr(reinterpret_cast<void*>(&take), &own);
  *address = dlsym(dlopen(own.dli_fname, RTLD_NOW | RTLD_NOLOAD), name);
  return *address != nullptr ? kSuccess : kNotFound;
}
EXPORT int cuGetProcAddress(const char* name, void** address, int version, std::uint64_t flags) {
  return cuGetProcAddress_v2(name, address, version, flags, nullptr);
}
