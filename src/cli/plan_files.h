// The plan that a command line names: files of any of the formats, and built-in tables.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "planner/plan_document.h"

namespace verge::cli {

struct PlanFiles {
  std::vector<std::string> plans;  // each says what its records are
  std::string nodes;
  std::string users;
  std::string workloads;
};

// PLAN…, --nodes, --users and, where asked for, --workloads.
void add_plan_files(Command& command, PlanFiles& files, bool has_workloads);

// Errors: those of reading, parsing and checking (planner/plan_document.h).
Result<planner::PlanDocument> read_plan_files(const PlanFiles& files);

}  // namespace verge::cli
