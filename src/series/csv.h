// Series as CSV (RFC 4180): a header with the names of the columns, then a row a reading, the first column its time.
//
// A parser of lines, not of files: whoever has the lines gives them one by one, so that a stream is scored as it comes.
// An error names the place as file:line:column, counted from 1, columns in bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace verge::series {

inline constexpr size_t kCsvLineBytesMax = 1U << 20;
inline constexpr size_t kCsvColumnsMax = 4096;

// As a cell is written: in quotes where it has to be.
std::string csv_cell(std::string_view text);

class CsvColumns {
 public:
  // `file` is for errors.
  explicit CsvColumns(std::string file) : file_(std::move(file)) {}

  // The first line. Needs a timestamp and at least one more column, all with different names.
  Result<void> read_header(std::string_view line);
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

  // Which values a row has, by name; without a call, the second column. Unknown names get a suggestion.
  Result<void> choose(const std::vector<std::string>& names);
  [[nodiscard]] std::vector<std::string> chosen_names() const;

  struct Row {
    std::string timestamp;       // as it stands there
    std::vector<double> values;  // NaN where the cell is empty, "NaN" or "null"
  };
  // The next line. The row stays valid until the next call.
  Result<const Row*> read_row(std::string_view line);
  // An empty line says nothing, but counts.
  void skip_line() { ++line_; }
  [[nodiscard]] uint64_t line() const { return line_; }

 private:
  struct Cell {
    std::string text;
    size_t column = 0;  // where it begins, from 1
  };

  Result<void> split(std::string_view line);
  [[nodiscard]] std::string place(size_t column) const;
  Result<double> number(const Cell& cell) const;

  std::string file_;
  uint64_t line_ = 0;
  std::vector<std::string> names_;
  std::vector<size_t> chosen_{1};
  std::vector<Cell> cells_;
  size_t cell_count_ = 0;
  Row row_;
};

}  // namespace verge::series
