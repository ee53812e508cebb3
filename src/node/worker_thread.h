// Threads beside the event loops: they compress, parse and answer queries, and yield to those that decide.
#pragma once

#include <sys/resource.h>

namespace verge::node {

inline constexpr int kWorkerNice = 10;  // event loops come first

// Of the calling thread alone.
inline void lower_own_priority() { setpriority(PRIO_PROCESS, 0, kWorkerNice); }

}  // namespace verge::node
