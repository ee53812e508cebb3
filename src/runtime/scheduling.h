// How a thread competes for the processor.
//
// An event loop that sleeps for a message is woken when it comes, and then still waits for whatever runs on its core:
// up to a few milliseconds under the ordinary scheduler, as often as the machine has something else to do. A thread
// with real-time priority waits for none of it.
//
// sched(7): SCHED_FIFO, with the lowest of its priorities, so that what the kernel itself runs so (its watchdog,
// interrupt threads) stays above. A loop that never sleeps is held to 95 % of its core by the kernel's own limit
// (sched_rt_runtime_us). Threads and processes that a real-time thread starts are ordinary ones.
#pragma once

#include <cstddef>

#include "base/error.h"

namespace verge::runtime {

// The calling thread runs before all ordinary ones from now on, and on one core only: of those that this process may
// use, the `index`-th from the last, round and round (the first core serves most interrupts).
// Error: runtime.realtime, where the process is not allowed to; the thread is an ordinary one then, on any core.
Result<void> become_realtime(size_t index);

}  // namespace verge::runtime
