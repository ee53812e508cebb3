// What EPaxos orders interfering operations by: each site's newest operation on the hot key that each site knows of,
// and when all that an operation depends on, directly and through others, is committed at its own site.
//
// The problem: under conflict the operations that wait for each other grow into one web, and to walk it anew for each
// commit takes time that grows with its cube. But an operation depends on all earlier ones of its own leader, so that
// what it reaches is a position in each leader's order: a vector, which only grows and is kept from one look to the
// next.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "planner/round_trip_matrix.h"

namespace verge::planner {

inline constexpr uint32_t kNone = UINT32_MAX;
// Of each site as leader, the position of its newest interfering operation in its own order, or kNone.
using DependencySet = std::array<uint32_t, kSitesMax>;

class Dependencies {
 public:
  explicit Dependencies(size_t sites);

  // The operation reaches `site` with `asked`: what the site answers, and it knows the operation from now on. It
  // reaches its leader, `owner`, first.
  DependencySet observe(size_t site, uint32_t operation, size_t owner, const DependencySet& asked);
  [[nodiscard]] static DependencySet none();
  static void unite(DependencySet& into, const DependencySet& other);

  // The operation is committed with these.
  void commit(uint32_t operation, size_t owner, const DependencySet& depends_on);
  // `site` learns that it is. Appends those of the site's own that became executable.
  void learn(size_t site, uint32_t operation, size_t owner, std::vector<uint32_t>& executable);

 private:
  // The operations that one site leads, by position.
  struct Order {
    std::vector<uint32_t> operations;
    std::vector<DependencySet> reached;  // below `decided`: by it and all before it; else, by it alone
    std::vector<bool> is_decided;
    size_t decided = 0;  // all before this position are
  };
  // What one site knows of the others' orders.
  struct Known {
    std::vector<std::vector<bool>> is_committed;  // by leader and position
    std::vector<size_t> committed;                // of each leader, all before this position are
    size_t executed = 0;                          // of its own
    DependencySet reach{};                        // of its own next one, as far as it was followed
  };

  uint32_t position_of(uint32_t operation, size_t owner);
  bool is_complete(size_t site);

  size_t sites_;
  std::vector<DependencySet> newest_;
  std::vector<uint32_t> positions_;  // by operation; kNone: unknown
  std::vector<Order> orders_;
  std::vector<Known> known_;
};

}  // namespace verge::planner
