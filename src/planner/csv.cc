#include "planner/csv.h"

#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::planner {

namespace {

constexpr size_t kRowsMax = 4'000'000;

}  // namespace

Result<std::vector<CsvRow>> parse_csv(std::string_view text, std::string_view name) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<CsvRow> rows;
  size_t line = 1;
  size_t at = 0;
  while (at < text.size()) {
    if (rows.size() == kRowsMax) {
      return fail("plan.csv", fmt::format("{}:{}: more than {} rows", name, line, kRowsMax), "split the file");
    }
    CsvRow row{.line = line, .cells = {}};
    const size_t begin = at;
    while (true) {  // a cell
      const size_t first = std::min(text.find_first_not_of(" \t", at), text.size());
      if (first < text.size() && text[first] == '"') {
        std::string cell;
        at = first + 1;
        while (true) {
          if (at >= text.size()) {
            return fail("plan.csv", fmt::format("{}:{}: a quote is not closed", name, row.line),
                        "close it, or write \"\" for a quote inside quotes");
          }
          if (text[at] == '"') {
            if (at + 1 < text.size() && text[at + 1] == '"') {
              ++at;
            } else {
              break;
            }
          }
          line += text[at] == '\n' ? 1 : 0;
          cell.push_back(text[at++]);
        }
        row.cells.push_back(std::move(cell));
        at = std::min(text.find_first_of(",\n", at + 1), text.size());
      } else {
        const size_t end = std::min(text.find_first_of(",\n", at), text.size());
        row.cells.emplace_back(trim(text.substr(at, end - at)));
        at = end;
      }
      if (at >= text.size() || text[at] == '\n') break;
      ++at;
    }
    const bool is_blank = row.cells.size() == 1 && row.cells.front().empty();
    const bool is_comment = text[begin] == '#';
    if (!is_blank && !is_comment) rows.push_back(std::move(row));
    ++at;
    ++line;
  }
  return rows;
}

bool parse_number(std::string_view text, double& number) {
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  return problem == std::errc() && rest == text.data() + text.size() && std::isfinite(number);
}

}  // namespace verge::planner
