// What the names of streams and tables in a statement stand for: puts plain fields and calls of lookup() in their
// place.
#pragma once

#include <optional>

#include "rules/fault.h"
#include "rules/statement.h"
#include "rules/table.h"

namespace verge::rules {

// A fault where a table or one of its columns is not there. Names of the streams of a join stay: CaptureScope knows
// them.
std::optional<Fault> resolve_names(Statement& statement, const Tables& tables);

}  // namespace verge::rules
