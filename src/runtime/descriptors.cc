#include "runtime/descriptors.h"

#include <filesystem>

#include <sys/resource.h>

namespace verge::runtime {

uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return UINT64_MAX;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

uint64_t open_descriptors() {
  std::error_code problem;
  uint64_t count = 0;
  for (auto entry = std::filesystem::directory_iterator("/proc/self/fd", problem);
       !problem && entry != std::filesystem::end(entry); entry.increment(problem)) {
    ++count;
  }
  return count == 0 ? 0 : count - 1;  // without the one that this took
}

}  // namespace verge::runtime
