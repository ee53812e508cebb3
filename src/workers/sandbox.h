// The walls around an isolate process: what it may ask of the kernel once code of an owner is read.
//
// V8 is software of a million lines, and the version at hand has errors that are known. So the process is built such
// that who takes it over has won the memory of one owner's workers and a socket to the node, and no more: no file, no
// network, no other process. Each wall holds alone: Landlock refuses all files, seccomp refuses the calls that would
// open any; there is no descriptor to anything, and the user is nobody.
//
// Landlock and seccomp are of the kernel, and old or trimmed ones lack them; then the others stand alone, and what is
// lacking is reported. Filters are written here in BPF: a list of numbers needs no library.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace verge::workers {

// For the zygote, once it has read all that it ever reads; what it forks inherits it: no new privileges, no files
// (Landlock), as root becomes nobody first. Gives what the kernel lacks (calls::kLacks…).
// Error: workers.sandbox, where privileges could not be given up.
Result<uint32_t> give_up_files();

// For a process that was just forked, with all its threads: resource limits, and the list of system calls.
// `data_bytes`: of memory that may be written to (RLIMIT_DATA). Gives what the kernel lacks.
uint32_t give_up_system(uint64_t data_bytes, bool may_make_threads = false);

}  // namespace verge::workers
