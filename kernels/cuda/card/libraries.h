#pragma once
/// What a session keeps of CUDA's libraries.
namespace chiasm::device {

/// A cuBLASLt handle with its workspace.
void* open_libraries();
void close_libraries(void* libraries) noexcept;

}  // namespace chiasm::device
