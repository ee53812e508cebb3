#include "spool/lost_end.h"

namespace verge::spool {

void add_lost_at_end(std::vector<storage::DamagedRange>& damaged, const std::optional<storage::LogEnd>& end,
                     uint64_t covered, IntervalSet delivered) {
  for (size_t i = 0; i < damaged.size(); ++i) {
    if (!damaged[i].may_be_unfinished || damaged[i].first_sequence >= covered) continue;
    storage::DamagedRange rest = damaged[i];
    damaged[i].may_be_unfinished = false;
    if (rest.end_sequence <= covered) continue;
    damaged[i].end_sequence = covered;
    rest.first_sequence = covered;
    damaged.push_back(std::move(rest));
  }
  if (!end) return;
  storage::DamagedRange place{.path = end->path, .offset = end->offset};
  for (const storage::DamagedRange& range : damaged) {
    if (range.first_sequence < range.end_sequence) delivered.insert({range.first_sequence, range.end_sequence});
  }
  for (uint64_t from = end->sequence; from < covered; from = place.end_sequence) {
    const IntervalSet::Interval gap = delivered.first_gap(from, covered);
    if (gap.begin >= gap.end) break;
    place.first_sequence = gap.begin;
    place.end_sequence = gap.end;
    damaged.push_back(place);
  }
}

}  // namespace verge::spool
