#include "spool/lost_end.h"

#include <utility>

namespace verge::spool {

void add_lost_at_end(std::vector<storage::DamagedRange>& damaged, const std::optional<storage::LogEnd>& end,
                     uint64_t covered, IntervalSet delivered) {
  if (!end) return;
  storage::DamagedRange place{.path = end->path, .offset = end->offset};
  for (const storage::DamagedRange& range : damaged) {
    if (range.first_sequence < range.end_sequence) delivered.insert({range.first_sequence, range.end_sequence});
  }
  bool is_first = true;
  for (uint64_t from = end->sequence; from < covered; from = place.end_sequence) {
    const IntervalSet::Interval gap = delivered.first_gap(from, covered);
    if (gap.begin >= gap.end) break;
    // What seemed to have cost nothing is where they were.
    if (std::exchange(is_first, false) && !damaged.empty()) {
      const storage::DamagedRange& last = damaged.back();
      if (last.may_be_unfinished && last.first_sequence == last.end_sequence) {
        place.path = last.path;
        place.offset = last.offset;
        damaged.pop_back();
      }
    }
    place.first_sequence = gap.begin;
    place.end_sequence = gap.end;
    damaged.push_back(place);
  }
}

}  // namespace verge::spool
