#pragma once
/// cuDNN's plan for one shape of attention: its graph, and the first of the engines that the
/// library's heuristics name which takes it.
#include <cstdint>
#include <memory>

#include "kernels/cuda/card/cudnn_graph.h"

namespace chiasm::device {

/// What plans are made for: a handle on a device, or the properties of one that need not be there.
struct CudnnTarget {
  cudnnHandle_t handle = nullptr;
  const CudnnDescriptor* properties = nullptr;
};

class CudnnPlan {
 public:
  /// Null where no engine takes the shape. Failure where cuDNN refuses a part of the graph.
  static std::unique_ptr<CudnnPlan> make(const LibraryShape& shape, const CudnnTarget& target);

  std::uint64_t workspace() const { return workspace_; }
  /// On the stream of the handle.
  void run(cudnnHandle_t handle, const LibraryOperands& operands) const;

 private:
  CudnnPlan(CudnnGraph graph, CudnnDescriptor engine, CudnnDescriptor plan);

  CudnnGraph graph_;
  CudnnDescriptor engine_, plan_;
  std::uint64_t workspace_;
};

}  // namespace chiasm::device
