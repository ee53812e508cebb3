// What EPaxos orders interfering operations by: each site's newest operation on the hot key that each site knows of,
// and when all that an operation depends on, directly and through others, is committed at its own site.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "planner/round_trip_matrix.h"

namespace verge::planner {

inline constexpr uint32_t kNone = UINT32_MAX;
using DependencySet = std::array<uint32_t, kSitesMax>;  // of each site, its newest interfering operation, or kNone

class Dependencies {
 public:
  explicit Dependencies(size_t sites);

  // The operation reaches `site` with `asked`: what the site answers, and it knows the operation from now on.
  DependencySet observe(size_t site, uint32_t operation, size_t owner, const DependencySet& asked);
  [[nodiscard]] static DependencySet none();
  static void unite(DependencySet& into, const DependencySet& other);

  // The operation is committed with these, as `site` learns now. Appends those of the site's own that became
  // executable.
  void commit(size_t site, uint32_t operation, size_t owner, const DependencySet& depends_on);
  void learn(size_t site, uint32_t operation, std::vector<uint32_t>& executable);

 private:
  struct Known {
    DependencySet depends_on{};
    uint64_t committed_at = 0;  // a bit each site
    uint64_t executed_at = 0;
    uint32_t visited = 0;
    uint8_t owner = 0;
    bool is_decided = false;
  };
  Known& known(uint32_t operation);
  bool is_complete(size_t site, uint32_t operation);
  void mark_executed(size_t site);

  size_t sites_;
  std::vector<DependencySet> newest_;
  std::vector<uint32_t> slot_of_;  // operation -> index in known_, kNone: unknown
  std::vector<Known> known_;
  std::vector<std::vector<uint32_t>> waiting_;  // of each site, its own that are committed but not executable
  std::vector<uint32_t> stack_;
  std::vector<uint32_t> seen_;
  uint32_t visit_ = 0;
};

}  // namespace verge::planner
