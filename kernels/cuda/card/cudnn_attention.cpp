// cuDNN as the library of library_attention.h: a handle and a plan for each shape. Plans are built
// and compiled without a device by tests/cuda/cudnn_plans.py; it has never run on a GPU.
#include <map>
#include <memory>
#include <string>

#include "kernels/cuda/card/check.h"
#include "kernels/cuda/card/cudnn_plan.h"

namespace chiasm::device {

namespace {

struct Library {
  cudnnHandle_t handle = nullptr;
  std::map<LibraryShape, std::unique_ptr<CudnnPlan>> plans;  // null: no engine takes the shape
  std::size_t exact = 0;                                     // of them
};

Library& library_of(const Session& session) {
  return *static_cast<Library*>(session.library_attention);
}

}  // namespace

void open_library_attention(Session& session) {
  if (session.library_attention != nullptr) return;
  auto library = std::make_unique<Library>();
  check_cudnn(cudnn().create(&library->handle), "starting");
  session.library_attention = library.release();
  check_cudnn(cudnn().set_stream(library_of(session).handle, stream_of(session)), "its stream");
}

void close_library_attention(Session& session) noexcept {
  if (session.library_attention == nullptr) return;
  const std::unique_ptr<Library> library(&library_of(session));
  session.library_attention = nullptr;
  library->plans.clear();
  cudnn().destroy(library->handle);
}

std::optional<std::uint64_t> library_workspace(Session& session, const LibraryShape& shape) {
  Library& library = library_of(session);
  auto known = library.plans.find(shape);
  if (known == library.plans.end()) {
    if (library.plans.size() >= kMostShapes) return {};
    if (!shape.packed && library.exact >= kMostExactShapes) return {};
    if (session.recording != nullptr) {
      throw Failure(Status::failed, "cuDNN: a plan is made while a graph is recorded");
    }
    known = library.plans.emplace(shape, CudnnPlan::make(shape, {library.handle})).first;
    library.exact += shape.packed ? 0 : 1;
  }
  if (known->second == nullptr) return {};
  return known->second->workspace();
}

void library_attend(Session& session, const LibraryShape& shape, const LibraryOperands& operands) {
  const Library& library = library_of(session);
  library.plans.at(shape)->run(library.handle, operands);
}

}  // namespace chiasm::device
