#include "cli/top_layout.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "cli/terminal_text.h"

namespace verge::cli {
namespace {

// As much of a section as is shown.
class Part {
 public:
  Part(const TopSection& section, bool is_first)
      : section_(section), separators_(is_first ? 0 : 1), shown_(at_least(section.least)) {}

  [[nodiscard]] size_t lines() const { return lines_with(shown_) + full_lines_; }

  // Rows until there are `wanted`, as far as there is room for.
  void grow(size_t wanted, size_t& room) {
    const size_t before = lines_with(shown_);
    for (size_t target = at_least(wanted); target > shown_; --target) {
      if (lines_with(target) > before + room) continue;
      room = before + room - lines_with(target);
      shown_ = target;
    }
  }
  // Rows in full, the first ones, as far as there is room for.
  void fill(size_t& room) {
    for (; full_ < shown_; ++full_) {
      const std::vector<TopLine>& whole = section_.rows[full_].whole;
      const size_t lines = whole.empty() ? 0 : whole.size() - 1;
      if (lines > room) return;
      room -= lines;
      full_lines_ += lines;
    }
  }

  void write(std::vector<TopLine>& out) const {
    out.resize(out.size() + separators_);
    out.insert(out.end(), section_.head.begin(), section_.head.end());
    for (size_t i = 0; i < shown_; ++i) {
      const TopRow& row = section_.rows[i];
      if (i < full_ && !row.whole.empty()) {
        out.insert(out.end(), row.whole.begin(), row.whole.end());
      } else {
        out.push_back(row.brief);
      }
    }
    if (has_rest(shown_)) out.push_back({section_.rest(shown_), kFaint});
  }

 private:
  // The last row takes no more room than to say that there is one more.
  [[nodiscard]] size_t at_least(size_t rows) const {
    const size_t all = section_.rows.size();
    return rows + (section_.rest ? 1 : 0) >= all ? all : rows;
  }
  [[nodiscard]] bool has_rest(size_t rows) const { return section_.rest && rows < section_.rows.size(); }
  [[nodiscard]] size_t lines_with(size_t rows) const {
    return separators_ + section_.head.size() + rows + (has_rest(rows) ? 1 : 0);
  }

  const TopSection& section_;
  size_t separators_;
  size_t shown_;
  size_t full_ = 0;        // rows that were asked for in full
  size_t full_lines_ = 0;  // what that takes beyond a line each
};

std::vector<TopLine> chosen(std::span<const TopSection> sections, size_t lines) {
  std::vector<Part> parts;
  size_t room = lines;
  for (const TopSection& section : sections) {
    if (section.rows.empty()) continue;
    Part part(section, parts.empty());
    if (part.lines() > room) break;
    room -= part.lines();
    parts.push_back(part);
  }
  size_t i = 0;
  for (const TopSection& section : sections) {
    if (i == parts.size()) break;
    if (!section.rows.empty()) parts[i++].grow(section.usual, room);
  }
  for (Part& part : parts) part.fill(room);
  for (Part& part : parts) part.grow(std::numeric_limits<size_t>::max() / 2, room);
  for (Part& part : parts) part.fill(room);
  std::vector<TopLine> out;
  for (const Part& part : parts) part.write(out);
  return out;
}

size_t width_of(const TopColumn& column, std::span<const TopCells> rows, size_t at) {
  size_t width = std::max(column.columns_min, columns_of(column.heading));
  for (const TopCells& row : rows) width = std::max(width, columns_of(row.texts[at]));
  return column.is_number ? width : std::min(width, std::max(column.columns_max, column.columns_min));
}

// 0: it is left out.
std::vector<size_t> widths_of(std::span<const TopColumn> columns, std::span<const TopCells> rows, size_t room) {
  std::vector<size_t> widths(columns.size());
  std::vector<size_t> by_rank(columns.size());
  std::iota(by_rank.begin(), by_rank.end(), 0);
  std::ranges::sort(by_rank, {}, [&](size_t i) { return columns[i].rank; });
  // The first is as long as it needs to be once the others have their place.
  constexpr size_t kFirst = 24;
  const size_t first = width_of(columns[0], rows, 0);
  widths[0] = std::min({first, kFirst, room});
  room -= widths[0];
  for (const size_t i : by_rank) {
    if (i == 0) continue;
    const size_t width = width_of(columns[i], rows, i);
    if (width + 1 > room) break;
    widths[i] = width;
    room -= width + 1;
  }
  widths[0] += std::min(room, first - widths[0]);
  return widths;
}

std::string row_of(std::span<const TopColumn> columns, std::span<const size_t> widths, const auto& text_at) {
  std::string out;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (widths[i] == 0) continue;
    if (i > 0) out.push_back(' ');
    if (columns[i].is_number) {
      out.append(widths[i] - std::min(widths[i], columns_of(text_at(i))), ' ').append(text_at(i));
    } else {
      out.append(padded(text_at(i), widths[i]));
    }
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out;
}

}  // namespace

std::string laid_out(std::span<const TopSection> sections, const TopLook& look) {
  constexpr size_t kUnbounded = 1'000'000;
  std::string out;
  for (const TopLine& line : chosen(sections, look.lines == 0 ? kUnbounded : look.lines)) {
    const std::string shown = cut(line.text, look.columns);
    if (look.colours && !line.colour.empty()) {
      fmt::format_to(std::back_inserter(out), "\033[{}m{}\033[0m\n", line.colour, shown);
    } else {
      out.append(shown).push_back('\n');
    }
  }
  return out;
}

TopSection table(std::span<const TopColumn> columns, std::span<const TopCells> rows, const TopLook& look) {
  TopSection made;
  if (rows.empty()) return made;
  const std::vector<size_t> widths = widths_of(columns, rows, look.columns);
  made.head.push_back({row_of(columns, widths, [&](size_t i) { return columns[i].heading; }), kFaint});
  for (const TopCells& row : rows) {
    made.rows.push_back(
        {.brief = {row_of(columns, widths, [&](size_t i) { return std::string_view(row.texts[i]); }), row.colour},
         .whole = {}});
  }
  made.rest = [count = rows.size()](size_t shown) { return fmt::format("and {} more", count - shown); };
  return made;
}

}  // namespace verge::cli
