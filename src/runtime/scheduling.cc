#include "runtime/scheduling.h"

#include <cstdint>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace verge::runtime {
namespace {

// struct sched_attr of linux/sched/types.h, the part that every kernel knows (SCHED_ATTR_SIZE_VER0); that header
// cannot be included together with sched.h of older C libraries.
struct SchedulingAttributes {
  uint32_t size = sizeof(SchedulingAttributes);
  uint32_t policy = 0;  // SCHED_OTHER
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime_ns = 0;
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

constexpr uint64_t kShortestSliceNs = 100'000;
constexpr int kWorkerNice = 10;

}  // namespace

void prefer_latency() {
  SchedulingAttributes attributes;
  attributes.nice = getpriority(PRIO_PROCESS, 0);
  attributes.runtime_ns = kShortestSliceNs;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void prefer_others() { setpriority(PRIO_PROCESS, 0, kWorkerNice); }

}  // namespace verge::runtime
