// cuBLASLt: its handle and workspace, and the product of many rows. Never run on a GPU yet.
#include "kernels/cuda/card/libraries.h"

#include <cublasLt.h>

#include <array>
#include <map>
#include <memory>
#include <string>

#include "kernels/cuda/card/check.h"
#include "kernels/cuda/operators.h"

namespace chiasm::device {

namespace {

constexpr std::size_t kWorkspace = std::size_t(32) << 20;  // what cuBLAS itself takes on Hopper

void check_blas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Failure(Status::failed,
                std::string("cuBLASLt: ") + what + ": " + cublasLtGetStatusString(status));
}

/// The largest power of two that divides an address, 256 at most: what cuBLASLt's algorithms ask
/// for.
std::uint32_t alignment_of(const void* p) {
  constexpr std::uintptr_t kMost = 256;
  const std::uintptr_t bits = reinterpret_cast<std::uintptr_t>(p) | kMost;
  return std::uint32_t(bits & (~bits + 1));
}

/// One product's descriptors and the algorithm that cuBLASLt's heuristic chose for it. In the
/// library's columns it is y^T [out, rows] = w [out, in] x^T, w given as its transpose.
class Plan {
 public:
  Plan(cublasLtHandle_t blas, const Product& p) {
    const cudaDataType_t number = p.bf16 ? CUDA_R_16BF : CUDA_R_32F;
    check_blas(cublasLtMatmulDescCreate(&operation_, CUBLAS_COMPUTE_32F, CUDA_R_32F), "operation");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    check_blas(cublasLtMatmulDescSetAttribute(operation_, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                              sizeof transposed),
               "transposition");
    const cublasLtEpilogue_t ending = epilogue_of(p);
    check_blas(cublasLtMatmulDescSetAttribute(operation_, CUBLASLT_MATMUL_DESC_EPILOGUE, &ending,
                                              sizeof ending),
               "epilogue");
    point_at_bias(p);
    layout(w_, number, p.in, p.out, p.w_stride);
    layout(x_, number, p.in, p.rows, p.x_stride);
    layout(y_, CUDA_R_32F, p.out, p.rows, p.y_stride);
    cublasLtMatmulPreference_t preference = nullptr;
    check_blas(cublasLtMatmulPreferenceCreate(&preference), "preference");
    const std::unique_ptr<cublasLtMatmulPreferenceOpaque_t,
                          decltype(&cublasLtMatmulPreferenceDestroy)>
        owner(preference, &cublasLtMatmulPreferenceDestroy);
    check_blas(
        cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &kWorkspace, sizeof kWorkspace),
        "workspace");
    aligned(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.w);
    aligned(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.x);
    aligned(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.y);
    aligned(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.y);
    int found = 0;
    check_blas(cublasLtMatmulAlgoGetHeuristic(blas, operation_, w_, x_, y_, y_, preference, 1,
                                              &chosen_, &found),
               "heuristic");
    if (found == 0) throw Failure(Status::unsupported, "cuBLASLt has no algorithm for a product");
  }
  ~Plan() {
    for (cublasLtMatrixLayout_t l : {w_, x_, y_}) {
      if (l != nullptr) cublasLtMatrixLayoutDestroy(l);
    }
    if (operation_ != nullptr) cublasLtMatmulDescDestroy(operation_);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  void run(cublasLtHandle_t blas, const Product& p, void* workspace, cudaStream_t stream) const {
    point_at_bias(p);
    const float one = 1, before = p.accumulate ? 1.0f : 0.0f;
    check_blas(cublasLtMatmul(blas, operation_, &one, p.w, w_, p.x, x_, &before, p.y, y_, p.y, y_,
                              &chosen_.algo, workspace, kWorkspace, stream),
               "product");
  }

 private:
  static cublasLtEpilogue_t epilogue_of(const Product& p) {
    const bool biased = p.bias != nullptr;
    switch (p.function) {
      case Function::relu:
        return biased ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
      case Function::gelu_tanh:  // the library's GELU is this form of it
        return biased ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
      default:
        return biased ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    }
  }

  /// A bias is float32, as y is.
  void point_at_bias(const Product& p) const {
    if (p.bias == nullptr) return;
    check_blas(cublasLtMatmulDescSetAttribute(operation_, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                              &p.bias, sizeof p.bias),
               "bias");
  }

  static void layout(cublasLtMatrixLayout_t& out, cudaDataType_t number, std::int64_t rows,
                     std::int64_t cols, std::int64_t stride) {
    check_blas(
        cublasLtMatrixLayoutCreate(&out, number, std::uint64_t(rows), std::uint64_t(cols), stride),
        "layout");
  }

  static void aligned(cublasLtMatmulPreference_t preference,
                      cublasLtMatmulPreferenceAttributes_t attribute, const void* matrix) {
    const std::uint32_t bytes = alignment_of(matrix);
    check_blas(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &bytes, sizeof bytes),
               "alignment");
  }

  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t w_ = nullptr, x_ = nullptr, y_ = nullptr;
  cublasLtMatmulHeuristicResult_t chosen_{};
};

/// What a plan depends on: sizes, formats and how well the three matrices are aligned.
using Key = std::array<std::int64_t, 13>;

struct Libraries {
  cublasLtHandle_t blas = nullptr;
  void* workspace = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans;
};

}  // namespace

void* open_libraries() {
  auto libraries = std::make_unique<Libraries>();
  check_blas(cublasLtCreate(&libraries->blas), "starting");
  check_cuda(cudaMalloc(&libraries->workspace, kWorkspace), "cuBLASLt's workspace");
  return libraries.release();
}

void close_libraries(void* opened) noexcept {
  const std::unique_ptr<Libraries> libraries(static_cast<Libraries*>(opened));
  libraries->plans.clear();
  cudaFree(libraries->workspace);
  cublasLtDestroy(libraries->blas);
}

void multiply(Session& session, const Product& p) {
  auto& libraries = *static_cast<Libraries*>(session.libraries);
  const Key key{p.rows,
                p.out,
                p.in,
                p.x_stride,
                p.w_stride,
                p.y_stride,
                p.bf16 ? 1 : 0,
                p.accumulate ? 1 : 0,
                p.bias != nullptr ? 1 : 0,
                int(p.function),
                alignment_of(p.x),
                alignment_of(p.w),
                alignment_of(p.y)};
  std::unique_ptr<Plan>& plan = libraries.plans[key];
  if (!plan) plan = std::make_unique<Plan>(libraries.blas, p);
  plan->run(libraries.blas, p, libraries.workspace, stream_of(session));
}

}  // namespace chiasm::device
