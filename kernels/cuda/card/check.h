#pragma once
/// Calls of CUDA's own libraries, checked.
#include <cuda_runtime.h>

#include <string>

#include "kernels/cuda/session.h"

namespace chiasm::device {

/// Throws what an error of the CUDA runtime means.
inline void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  const Status status = error == cudaErrorMemoryAllocation ? Status::out_of_memory : Status::failed;
  throw Failure(status, std::string(what) + ": " + cudaGetErrorString(error));
}

inline cudaStream_t stream_of(const Session& session) {
  return static_cast<cudaStream_t>(session.stream);
}

}  // namespace chiasm::device
