#pragma once
/// Which code runs: so that what one version computed is not taken for another's.
#include "core/hash.h"

namespace chiasm {

/// Of the program or library that Chiasm is linked into, as it was loaded, and of the shared
/// libraries that it names: the same for the same files in any process, another once one of them is
/// built anew. A file is known by its build id, the linker's hash of its content, or where it has
/// none by the bytes that it maps read-only.
ContentHash program_hash();

}  // namespace chiasm
