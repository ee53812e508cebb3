// The day as of which a worker's platform behaves: of its configuration, else of a comment in the first lines of its
// main module, such as
//
//   // compatibility_date = "2026-11-30"
//
// (quotes are optional, and ":" is as good as "="). What it selects is in docs/workers.md.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace verge::isolates {

// A day that there is, as YYYY-MM-DD.
bool is_compatibility_date(std::string_view text);

// What a module says of itself in its first kilobyte; empty: nothing. Error: workers.compatibility-date.
Result<std::string> stated_compatibility_date(std::string_view source);

}  // namespace verge::isolates
