#pragma once
/// An emulated device that fails, as a card does that was lost: for tests of what goes on without
/// it. The plug-in exports `chiasm_emulation_fail(index, why)`: from then on every function of that
/// device fails with the text `why`, until one is given that is null.

namespace chiasm::device::emulation {

using FailFunction = void (*)(int index, const char* why);
inline constexpr const char* kFailSymbol = "chiasm_emulation_fail";

}  // namespace chiasm::device::emulation
