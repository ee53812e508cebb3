// What the commands below `verge plan` have in common: files in, and answers as JSON, as a table for people, or as a
// picture.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/commands.h"

namespace verge::cli {

struct PlanOutput {
  bool json = false;
  bool explain = false;
  std::string svg;
};

// --json, --explain and --svg.
void add_plan_output(Command& command, PlanOutput& output);

// Whole, of 256 MiB at most. Errors: plan.file.
Result<std::string> read_plan_file(const std::string& path);

// One answer in the form that was asked for; the exit status. `picture` is asked for with --svg only. With --json the
// explanation is left out: the JSON has all of it.
struct PlanAnswer {
  std::string json;         // one line
  std::string table;        // lines
  std::string explanation;  // lines
  std::function<std::string()> picture;
};
int print_plan(const PlanOutput& output, const PlanAnswer& answer);

// Errors go to standard error; the exit status.
int print_plan_failure(const Error& error);

// Columns as wide as they need to be; numbers to the right.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void add(std::vector<std::string> cells);
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// "12.3", "infinite".
std::string shown(double number, int digits = 1);

}  // namespace verge::cli
