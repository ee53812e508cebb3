// Comma-separated values (RFC 4180): quotes, doubled quotes, line ends inside quotes; blank lines and lines that begin
// with # are skipped. Cells are trimmed unless quoted.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace verge::planner {

struct CsvRow {
  size_t line = 0;  // of its first character, from 1
  std::vector<std::string> cells;
};

// `name` is for messages. Errors: plan.csv (a quote that is not closed, more than 4,000,000 rows).
Result<std::vector<CsvRow>> parse_csv(std::string_view text, std::string_view name);

// A whole finite number; nothing otherwise.
bool parse_number(std::string_view text, double& number);

}  // namespace verge::planner
