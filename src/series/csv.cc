#include "series/csv.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::series {

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string cell = "\"";
  for (const char letter : text) {
    if (letter == '"') cell.push_back('"');
    cell.push_back(letter);
  }
  return cell + "\"";
}

std::string CsvColumns::place(size_t column) const { return fmt::format("{}:{}:{}", file_, line_, column); }

// Cells are kept from line to line, so that a row costs no allocation once the longest came.
Result<void> CsvColumns::split(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.size() > kCsvLineBytesMax) {
    return fail("series.csv-line", fmt::format("{}: the line has more than {} bytes", place(1), kCsvLineBytesMax),
                "give a CSV file with a row a reading");
  }
  cell_count_ = 0;
  size_t at = 0;
  while (true) {
    if (cell_count_ == kCsvColumnsMax) {
      return fail("series.csv-line", fmt::format("{}: more than {} columns", place(at + 1), kCsvColumnsMax),
                  "leave out columns");
    }
    if (cell_count_ == cells_.size()) cells_.emplace_back();
    Cell& cell = cells_[cell_count_++];
    cell.text.clear();
    cell.column = at + 1;
    if (at < line.size() && line[at] == '"') {
      for (++at;; ++at) {
        if (at == line.size()) {
          return fail("series.csv-quote", fmt::format("{}: the quote is not closed", place(cell.column)),
                      "end the cell with \"; a quote within one is written \"\"");
        }
        if (line[at] == '"' && (at + 1 == line.size() || line[at + 1] != '"')) break;
        if (line[at] == '"') ++at;
        cell.text.push_back(line[at]);
      }
      ++at;
      if (at < line.size() && line[at] != ',') {
        return fail("series.csv-quote", fmt::format("{}: letters behind the closing quote", place(at + 1)),
                    "put a comma there");
      }
    } else {
      const size_t end = std::min(line.find(',', at), line.size());
      cell.text.assign(line.substr(at, end - at));
      at = end;
    }
    if (at == line.size()) return {};
    ++at;
  }
}

Result<void> CsvColumns::read_header(std::string_view line) {
  ++line_;
  if (line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);  // a byte order mark, as spreadsheets write it
  if (const Result<void> cells = split(line); !cells) return cells;
  names_.clear();
  for (size_t i = 0; i < cell_count_; ++i) {
    const std::string name(trim(cells_[i].text));
    if (std::ranges::find(names_, name) != names_.end()) {
      return fail("series.csv-header",
                  fmt::format("{}: the column \"{}\" is there twice", place(cells_[i].column), name),
                  "give each column a name of its own");
    }
    names_.push_back(name);
  }
  if (names_.size() < 2) {
    return fail("series.csv-header", fmt::format("{}: the header has one column", place(1)),
                "give a file whose first line is timestamp,value");
  }
  return {};
}

Result<void> CsvColumns::choose(const std::vector<std::string>& names) {
  chosen_.clear();
  for (const std::string& name : names) {
    const auto found = std::ranges::find(names_, name);
    if (found == names_.end()) {
      const std::string near = nearest(name, names_);
      return fail("series.column", fmt::format("{}:1: there is no column \"{}\"", file_, name),
                  near.empty() ? fmt::format("there are {}", fmt::join(names_, ", "))
                               : fmt::format("did you mean \"{}\"?", near));
    }
    if (found == names_.begin()) {
      return fail("series.column", fmt::format("{}:1: \"{}\" is the timestamp", file_, name),
                  "name columns with numbers");
    }
    chosen_.push_back(static_cast<size_t>(found - names_.begin()));
  }
  return {};
}

std::vector<std::string> CsvColumns::chosen_names() const {
  std::vector<std::string> names;
  for (const size_t column : chosen_) names.push_back(names_[column]);
  return names;
}

Result<double> CsvColumns::number(const Cell& cell) const {
  std::string_view text = trim(cell.text);
  if (text.empty() || lower(text) == "nan" || lower(text) == "null") return std::numeric_limits<double>::quiet_NaN();
  if (text.front() == '+') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    return fail("series.csv-number", fmt::format("{}: {} is beyond the range of a double", place(cell.column), text),
                "give the values in another unit");
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail("series.csv-number", fmt::format("{}: \"{}\" is no number", place(cell.column), printable(text)),
                "write a number, or leave the cell empty where a value is missing");
  }
  return value;
}

Result<const CsvColumns::Row*> CsvColumns::read_row(std::string_view line) {
  ++line_;
  if (const Result<void> cells = split(line); !cells) return std::unexpected(cells.error());
  if (cell_count_ != names_.size()) {
    return fail("series.csv-row",
                fmt::format("{}: {} cell{}, the header has {}", place(1), cell_count_, cell_count_ == 1 ? "" : "s",
                            names_.size()),
                "give every row as many cells as the header has");
  }
  row_.timestamp = cells_[0].text;
  row_.values.clear();
  for (const size_t column : chosen_) {
    const Result<double> value = number(cells_[column]);
    if (!value) return std::unexpected(value.error());
    row_.values.push_back(*value);
  }
  return &row_;
}

}  // namespace verge::series
