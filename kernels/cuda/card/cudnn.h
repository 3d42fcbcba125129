#pragma once
/// cuDNN, loaded when it is asked for: its functions and its descriptors. Nothing links to it. Of
/// its headers only types are used, so that any cuDNN 9 from kOldest on serves.
#include <cudnn.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/session.h"

namespace chiasm::device {

struct Cudnn {
  static constexpr std::size_t kOldest = 91100;  // 9.11: bottom-right masks, packed page tables

  decltype(&cudnnGetVersion) version;
  decltype(&cudnnGetErrorString) error_string;
  decltype(&cudnnGetLastErrorString) last_error;
  decltype(&cudnnCreate) create;
  decltype(&cudnnDestroy) destroy;
  decltype(&cudnnSetStream) set_stream;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor;
  decltype(&cudnnBackendSetAttribute) set_attribute;
  decltype(&cudnnBackendGetAttribute) get_attribute;
  decltype(&cudnnBackendFinalize) finalize;
  decltype(&cudnnBackendExecute) execute;
};

/// Loads the library at the first call: the file that CHIASM_CUDNN_LIBRARY names, else
/// libcudnn.so.9 where the loader finds it. Failure (unsupported) that says what is missing.
const Cudnn& cudnn();

/// Throws what cuDNN says of a call that failed.
void check_cudnn(cudnnStatus_t status, const char* what);

/// A descriptor of cuDNN's backend, of any type.
class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type);
  ~CudnnDescriptor();
  CudnnDescriptor(CudnnDescriptor&& other) noexcept;
  CudnnDescriptor(const CudnnDescriptor&) = delete;
  CudnnDescriptor& operator=(const CudnnDescriptor&) = delete;
  CudnnDescriptor& operator=(CudnnDescriptor&&) = delete;

  cudnnBackendDescriptor_t get() const { return descriptor_; }

  template <class Values>
  void set_all(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
               const Values& values) {
    set_raw(name, type, std::int64_t(values.size()), values.data());
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) {
    set_raw(name, type, 1, &value);
  }
  /// After the last `set`; `what` names it in failures.
  void finalize(const char* what);
  /// Of those that may be refused: whether cuDNN took it.
  bool try_finalize();

  std::int64_t number(cudnnBackendAttributeName_t name) const;

 private:
  void set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
               std::int64_t count, const void* values);

  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

}  // namespace chiasm::device
