#pragma once
/// One call whose requests run on several engines: a thread drives each, the caller's hears them.
#include <functional>
#include <span>

#include "runtime/request.h"

namespace chiasm {

/// Runs a part of a call to its end, as Engine::wait does: leaves early when `poll` says so, and
/// tells how many of its own requests are done.
using Driver = std::function<void(const Poll& poll, const OnDone& on_done)>;

/// Runs each on a thread of its own. `poll` and `on_done`, which hears of the requests of all, are
/// called on this thread. Throws the first error once all have left, which they are told to at
/// once; Interrupted by `poll`.
void drive_all(std::span<const Driver> drivers, const Poll& poll, const OnDone& on_done);

}  // namespace chiasm
