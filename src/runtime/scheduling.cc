#include "runtime/scheduling.h"

#include <cerrno>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <sched.h>

namespace verge::runtime {

Result<void> become_realtime(size_t index) {
  const sched_param priority{.sched_priority = sched_get_priority_min(SCHED_FIFO)};
  if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority) != 0) {
    return fail("runtime.realtime", fmt::format("real-time priority is not allowed: {}", std::strerror(errno)),
                "allow it (LimitRTPRIO=1 in the systemd unit, ulimit -r 1, or CAP_SYS_NICE), or set "
                "runtime.scheduling = \"normal\"");
  }
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return {};
  std::vector<size_t> cores;
  for (size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &allowed)) cores.push_back(core);
  }
  if (cores.empty()) return {};
  cpu_set_t own;
  CPU_ZERO(&own);
  CPU_SET(cores[cores.size() - 1 - index % cores.size()], &own);
  sched_setaffinity(0, sizeof(own), &own);
  return {};
}

}  // namespace verge::runtime
