#include "kernels/cuda/card/cudnn.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <utility>

namespace chiasm::device {

namespace {

constexpr const char* kVariable = "CHIASM_CUDNN_LIBRARY";
constexpr const char* kFile = "libcudnn.so.9";

[[noreturn]] void missing(const std::string& why) {
  throw Failure(Status::unsupported,
                "cuDNN's attention: " + why + "; install cuDNN 9 where the loader finds " + kFile +
                    ", name its file in " + kVariable + ", or leave attention_provider out");
}

template <class Function>
void find(void* library, const char* name, Function& out) {
  out = reinterpret_cast<Function>(dlsym(library, name));
  if (out == nullptr) missing(std::string("the library lacks ") + name);
}

Cudnn load() {
  const char* const named = std::getenv(kVariable);
  void* const library = dlopen(named != nullptr ? named : kFile, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) missing(std::string("the library cannot be loaded: ") + dlerror());
  Cudnn c{};
  find(library, "cudnnGetVersion", c.version);
  find(library, "cudnnGetErrorString", c.error_string);
  find(library, "cudnnGetLastErrorString", c.last_error);
  find(library, "cudnnCreate", c.create);
  find(library, "cudnnDestroy", c.destroy);
  find(library, "cudnnSetStream", c.set_stream);
  find(library, "cudnnBackendCreateDescriptor", c.create_descriptor);
  find(library, "cudnnBackendDestroyDescriptor", c.destroy_descriptor);
  find(library, "cudnnBackendSetAttribute", c.set_attribute);
  find(library, "cudnnBackendGetAttribute", c.get_attribute);
  find(library, "cudnnBackendFinalize", c.finalize);
  find(library, "cudnnBackendExecute", c.execute);
  if (const std::size_t version = c.version(); version < Cudnn::kOldest) {
    missing("its version is " + std::to_string(version) + ", " + std::to_string(Cudnn::kOldest) +
            " or later is needed");
  }
  return c;
}

}  // namespace

const Cudnn& cudnn() {
  static const Cudnn functions = load();  // stays loaded: graphs hold its kernels
  return functions;
}

void check_cudnn(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char detail[512] = {};
  cudnn().last_error(detail, sizeof detail);
  throw Failure(Status::failed, std::string("cuDNN: ") + what + ": " +
                                    cudnn().error_string(status) + (detail[0] != 0 ? ": " : "") +
                                    detail);
}

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
  check_cudnn(cudnn().create_descriptor(type, &descriptor_), "a descriptor");
}

CudnnDescriptor::~CudnnDescriptor() {
  if (descriptor_ != nullptr) cudnn().destroy_descriptor(descriptor_);
}

CudnnDescriptor::CudnnDescriptor(CudnnDescriptor&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, nullptr)) {}

void CudnnDescriptor::set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                              std::int64_t count, const void* values) {
  const std::string what = "attribute " + std::to_string(int(name));  // as cudnn_graph.h counts
  check_cudnn(cudnn().set_attribute(descriptor_, name, type, count, values), what.c_str());
}

void CudnnDescriptor::finalize(const char* what) {
  check_cudnn(cudnn().finalize(descriptor_), what);
}

bool CudnnDescriptor::try_finalize() {
  return cudnn().finalize(descriptor_) == CUDNN_STATUS_SUCCESS;
}

std::int64_t CudnnDescriptor::number(cudnnBackendAttributeName_t name) const {
  std::int64_t count = 0, value = 0;
  check_cudnn(cudnn().get_attribute(descriptor_, name, CUDNN_TYPE_INT64, 1, &count, &value),
              "reading a number");
  return value;
}

}  // namespace chiasm::device
