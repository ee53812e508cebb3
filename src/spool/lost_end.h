// What is missing at the end of a log. A frame there that became zeros leaves nothing to see: the log seems to end
// before it. But a snapshot of the ledger says up to which sequence all was durable when it was made, which a clean
// stop does; and the cursors say which of them the parent has, or will never come.
#pragma once

#include <vector>

#include "base/interval_set.h"
#include "storage/segmented_log.h"

namespace verge::spool {

// What is damaged below `covered` is no write that was cut off: it was durable. Adds to what is known to be damaged the
// sequences below `covered` that should be behind `end` and are not there. None of them where the log has no end,
// because it has no files.
void add_lost_at_end(std::vector<storage::DamagedRange>& damaged, const std::optional<storage::LogEnd>& end,
                     uint64_t covered, IntervalSet delivered);

}  // namespace verge::spool
