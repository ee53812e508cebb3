// `verge demo`: the whole main job on one machine. Three nodes, a plant of machines, and what usually goes wrong: the
// parent cut off, the edge killed. Then it counts.
#pragma once

#include <cstdint>
#include <string>

namespace verge::cli {

struct DemoOptions {
  std::string directory;  // empty: a temporary one, removed unless something failed
  std::string replay;     // CSV file, or empty
  double seconds = 40;    // of the phases before the drain; at least 12
  uint64_t seed = 1;
  bool hold = false;
  bool json = false;
};

inline constexpr double kDemoSecondsMin = 12;
inline constexpr double kDemoSecondsMax = 86'400;

// The exit status.
int run_demo(const DemoOptions& options);

}  // namespace verge::cli
