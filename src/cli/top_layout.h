// Sections of lines below each other, as many as a terminal has room for.
//
// Each section says with how few rows it is of use. Those that do not fit even so are left out, from the last one up;
// then sections get as many rows as they usually have, then what rows say in full, then all rows: each in order.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verge::cli {

struct TopLook {
  size_t columns = 80;
  size_t lines = 24;  // 0: as many as there are
  bool colours = false;
};

struct TopLine {
  std::string text;
  std::string_view colour;  // as terminals are told it
};

inline constexpr std::string_view kBold = "1";
inline constexpr std::string_view kRed = "31";
inline constexpr std::string_view kYellow = "33";
inline constexpr std::string_view kFaint = "2";

struct TopRow {
  TopLine brief;
  std::vector<TopLine> whole;  // in its place where there is room; none: it says no more
};

struct TopSection {
  std::vector<TopLine> head;
  std::vector<TopRow> rows;
  size_t least = 1;
  size_t usual = 10;
  // The last line, where the first `shown` rows are not all. None: nothing is said.
  std::function<std::string(size_t shown)> rest;
};

// Lines with their ends; none is longer than the columns, and there are no more than `look.lines`. Sections without
// rows are left out; an empty line stands before each but the first.
std::string laid_out(std::span<const TopSection> sections, const TopLook& look);

struct TopColumn {
  std::string_view heading;
  size_t rank = 0;  // where columns lack, those with the highest are left out; the first column never is
  bool is_number = false;
  size_t columns_min = 0;   // it does not change its width with every figure
  size_t columns_max = 12;  // longer texts are cut; numbers never are
};

struct TopCells {
  std::vector<std::string> texts;  // one a column
  std::string_view colour;
};

// Columns that fit, as wide as their texts, and how many rows more there are; none where there are no rows.
TopSection table(std::span<const TopColumn> columns, std::span<const TopCells> rows, const TopLook& look);

}  // namespace verge::cli
