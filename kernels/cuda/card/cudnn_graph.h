#pragma once
/// Attention as a graph of cuDNN's operations, in the form that its fused engines recognize:
/// product, scale, masks, softmax, product.
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "kernels/cuda/card/cudnn.h"
#include "kernels/cuda/library_attention.h"

namespace chiasm::device {

/// Numbers of the tensors that are given at each run; the graph's own are counted from `own` on.
struct CudnnTensor {
  enum Number : std::int64_t {
    q = 1,
    k,
    v,
    out,
    row_counts,
    key_counts,
    row_offsets,
    key_offsets,
    k_table,
    v_table,
    own
  };
};

/// A number of four bytes that the graph reads from the host's memory at each run.
struct CudnnScalar {
  std::int64_t tensor;
  std::array<std::byte, 4> bytes;
};

struct CudnnGraph {
  CudnnDescriptor graph{CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR};
  std::deque<CudnnDescriptor> parts;  // tensors, operations and their kinds, which it refers to
  std::vector<CudnnScalar> scalars;
};

/// `handle` is null where there is no device. Failure where cuDNN refuses a part.
CudnnGraph cudnn_graph(const LibraryShape& shape, cudnnHandle_t handle);

}  // namespace chiasm::device
