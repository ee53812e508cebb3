#include "spool/lost_end.h"

namespace verge::spool {

std::vector<storage::DamagedRange> lost_at_end(const std::optional<storage::LogEnd>& end, uint64_t covered,
                                               const IntervalSet& delivered) {
  std::vector<storage::DamagedRange> lost;
  if (!end) return lost;
  for (uint64_t from = end->sequence; from < covered;) {
    const IntervalSet::Interval gap = delivered.first_gap(from, covered);
    if (gap.begin >= gap.end) break;
    lost.push_back({end->path, end->offset, gap.begin, gap.end});
    from = gap.end;
  }
  return lost;
}

}  // namespace verge::spool
