// How the kernel is to schedule the calling thread. Both calls are wishes: where the kernel or the user's rights do
// not grant them, the thread runs as any other, so there is nothing to report.
#pragma once

namespace verge::runtime {

// For threads that decide: they run for some µs at a time, and soon after they wake. Asks for the shortest slice there
// is (100 µs; Linux 6.12 and later, sched_setattr(2): sched_runtime of SCHED_OTHER), so that a thread with a longer one
// is interrupted for them. It gives them no greater share of the CPU.
void prefer_latency();

// For threads that compress and answer queries: yields to those that decide (setpriority(2), +10).
void prefer_others();

}  // namespace verge::runtime
