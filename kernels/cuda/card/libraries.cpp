// cuBLASLt: its handle and workspace.
#include "kernels/cuda/card/libraries.h"

#include <cublasLt.h>

#include <memory>

#include "kernels/cuda/card/check.h"

namespace chiasm::device {

namespace {

constexpr std::size_t kWorkspace = std::size_t(32) << 20;  // what cuBLAS itself takes on Hopper

struct Libraries {
  cublasLtHandle_t blas = nullptr;
  void* workspace = nullptr;
};

}  // namespace

void* open_libraries() {
  auto libraries = std::make_unique<Libraries>();
  if (cublasLtCreate(&libraries->blas) != CUBLAS_STATUS_SUCCESS) {
    throw Failure(Status::failed, "cuBLASLt does not start on this device");
  }
  check_cuda(cudaMalloc(&libraries->workspace, kWorkspace), "cuBLASLt's workspace");
  return libraries.release();
}

void close_libraries(void* opened) noexcept {
  const std::unique_ptr<Libraries> libraries(static_cast<Libraries*>(opened));
  cudaFree(libraries->workspace);
  cublasLtDestroy(libraries->blas);
}

}  // namespace chiasm::device
