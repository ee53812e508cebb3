#include "planner/record.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "planner/csv.h"

namespace verge::planner {

namespace {

// A cell: a number, a list where it has semicolons, text otherwise.
FieldValue value_of_cell(const std::string& key, const std::string& cell) {
  if (key == "name") return cell;
  double number = 0;
  if (parse_number(cell, number)) return number;
  if (lower(cell) == "true" || lower(cell) == "false") return lower(cell) == "true";
  if (cell.find(';') == std::string::npos) return cell;
  std::vector<std::string> list;
  for (size_t at = 0; at <= cell.size();) {
    const size_t end = std::min(cell.find(';', at), cell.size());
    const std::string_view item = trim(std::string_view(cell).substr(at, end - at));
    if (!item.empty()) list.emplace_back(item);
    at = end + 1;
  }
  return list;
}

}  // namespace

Result<std::vector<Record>> parse_csv_records(std::string_view text, const std::string& file, std::string_view kind) {
  Result<std::vector<CsvRow>> rows = parse_csv(text, file);
  if (!rows) return std::unexpected(rows.error());
  std::vector<Record> records;
  if (rows->empty()) return records;
  std::vector<std::string> keys;
  for (const std::string& cell : rows->front().cells) {
    keys.push_back(lower(cell));
    if (keys.back().empty() || std::ranges::count(keys, keys.back()) == 1) continue;
    return fail("plan.csv", fmt::format("{}:{}: two columns '{}'", file, rows->front().line, printable(keys.back())),
                "name each column once");
  }
  for (size_t i = 1; i < rows->size(); ++i) {
    const CsvRow& row = (*rows)[i];
    if (row.cells.size() > keys.size()) {
      return fail(
          "plan.csv",
          fmt::format("{}:{}: {} cells, but {} columns in the header", file, row.line, row.cells.size(), keys.size()),
          "put cells with commas in quotes");
    }
    Record record{.kind = std::string(kind), .file = file, .line = row.line, .fields = {}};
    for (size_t cell = 0; cell < row.cells.size(); ++cell) {
      if (row.cells[cell].empty()) continue;
      if (keys[cell] == "kind") {
        record.kind = lower(row.cells[cell]);
      } else {
        record.fields.push_back({keys[cell], value_of_cell(keys[cell], row.cells[cell]), row.line});
      }
    }
    if (record.kind.empty()) {
      return fail("plan.csv", fmt::format("{}:{}: nothing says what the row is", file, row.line),
                  "add a column 'kind' (node, user, workload), or give the file to --nodes, --users or --workloads");
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace verge::planner
