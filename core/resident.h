#pragma once
/// Memory of this process as the system sees it.
#include <cstdint>

namespace chiasm {

/// Resident bytes; 0 where the system does not tell.
std::int64_t resident_bytes();
/// Has the allocator give freed memory back to the system, where it can.
void trim_heap();

}  // namespace chiasm
