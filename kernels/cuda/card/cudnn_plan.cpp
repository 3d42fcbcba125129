#include "kernels/cuda/card/cudnn_plan.h"

#include <deque>
#include <utility>
#include <vector>

namespace chiasm::device {

namespace {

/// What the heuristics name for a graph, the most promising first; empty where there is nothing.
std::deque<CudnnDescriptor> engines_for(const CudnnGraph& graph, const CudnnTarget& target) {
  CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                 graph.graph.get());
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A);
  if (target.properties != nullptr) {
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                   target.properties->get());
  }
  std::deque<CudnnDescriptor> out;
  if (!heuristics.try_finalize()) return out;
  const auto results = [&](std::int64_t room, void* to) {
    std::int64_t count = 0;
    check_cudnn(cudnn().get_attribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, room, &count, to),
                "choosing an engine");
    return count;
  };
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = results(0, nullptr); i > 0; i--) {
    raw.push_back(out.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
  }
  const std::int64_t given = raw.empty() ? 0 : results(std::int64_t(raw.size()), raw.data());
  while (std::int64_t(out.size()) > given) out.pop_back();
  return out;
}

}  // namespace

CudnnPlan::CudnnPlan(CudnnGraph graph, CudnnDescriptor engine, CudnnDescriptor plan)
    : graph_(std::move(graph)),
      engine_(std::move(engine)),
      plan_(std::move(plan)),
      workspace_(std::uint64_t(plan_.number(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE))) {}

std::unique_ptr<CudnnPlan> CudnnPlan::make(const LibraryShape& shape, const CudnnTarget& target) {
  CudnnGraph graph = cudnn_graph(shape, target.handle);
  for (CudnnDescriptor& engine : engines_for(graph, target)) {
    CudnnDescriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, engine.get());
    if (target.handle != nullptr) {
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, target.handle);
    }
    if (target.properties != nullptr) {
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR,
               target.properties->get());
    }
    if (!plan.try_finalize()) continue;
    return std::unique_ptr<CudnnPlan>(
        new CudnnPlan(std::move(graph), std::move(engine), std::move(plan)));
  }
  return nullptr;
}

void CudnnPlan::run(cudnnHandle_t handle, const LibraryOperands& o) const {
  std::vector<std::int64_t> numbers;
  std::vector<const void*> addresses;
  const auto give = [&](std::int64_t number, const void* address) {
    if (address == nullptr) return;
    numbers.push_back(number);
    addresses.push_back(address);
  };
  give(CudnnTensor::q, o.q);
  give(CudnnTensor::k, o.k);
  give(CudnnTensor::v, o.v);
  give(CudnnTensor::out, o.out);
  give(CudnnTensor::row_counts, o.row_counts);
  give(CudnnTensor::key_counts, o.key_counts);
  give(CudnnTensor::row_offsets, o.row_offsets);
  give(CudnnTensor::key_offsets, o.key_offsets);
  give(CudnnTensor::k_table, o.page_table);
  give(CudnnTensor::v_table, o.page_table);
  for (const CudnnScalar& scalar : graph_.scalars) give(scalar.tensor, scalar.bytes.data());
  CudnnDescriptor operands(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  operands.set_all(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, numbers);
  operands.set_all(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, addresses);
  operands.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, o.workspace);
  operands.finalize("attention's operands");
  check_cudnn(cudnn().execute(handle, plan_.get(), operands.get()), "attention");
}

}  // namespace chiasm::device
