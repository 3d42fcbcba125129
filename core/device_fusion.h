#pragma once
/// Calls of a device that one call does as well, with fewer kernels: of small models, a step's time
/// goes by between kernels.
#include "core/device_commands.h"

namespace chiasm {

/// The same work in fewer calls, to be made in order:
///   - a norm and the product that alone reads its rows: the product norms them;
///   - turning q, turning k and writing k and v to their pages: one call;
///   - the product that makes q, k and v, and that call: one call.
/// What rows hold afterwards is the same, but for rows between a norm and its product that are
/// written again later in the list without having been read.
DeviceList fused(const DeviceList& list);

}  // namespace chiasm
