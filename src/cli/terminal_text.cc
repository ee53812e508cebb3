#include "cli/terminal_text.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "base/text.h"

namespace verge::cli {
namespace {

constexpr std::string_view kCutOff = "…";

struct Range {
  char32_t first, last;
};

constexpr Range kWide[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},   {0x23E9, 0x23F3},   {0x25FD, 0x25FE},
    {0x2614, 0x2615},   {0x2648, 0x2653},   {0x267F, 0x26FF},   {0x2705, 0x2705},   {0x270A, 0x270B},
    {0x2728, 0x2728},   {0x274C, 0x2757},   {0x2795, 0x2797},   {0x27B0, 0x27BF},   {0x2B1B, 0x2B1C},
    {0x2B50, 0x2B55},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},   {0xA960, 0xA97F},   {0xAC00, 0xD7A3},
    {0xF900, 0xFAFF},   {0xFE10, 0xFE19},   {0xFE30, 0xFE6F},   {0xFF01, 0xFF60},   {0xFFE0, 0xFFE6},
    {0x16FE0, 0x1B2FF}, {0x1F004, 0x1F004}, {0x1F0CF, 0x1F0CF}, {0x1F18E, 0x1FAFF}, {0x20000, 0x3FFFD}};
constexpr Range kOnTheOneBefore[] = {{0x300, 0x36F},   {0x483, 0x489},   {0x591, 0x5BD},   {0x610, 0x61A},
                                     {0x64B, 0x65F},   {0x1AB0, 0x1ACE}, {0x1DC0, 0x1DFF}, {0x200B, 0x200D},
                                     {0x2060, 0x2060}, {0x20D0, 0x20F0}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}};

template <size_t N>
bool is_in(const Range (&ranges)[N], char32_t value) {
  const Range* const found = std::ranges::lower_bound(ranges, value, {}, &Range::last);
  return found != std::end(ranges) && value >= found->first;
}

// What is shown together, or not at all.
struct Unit {
  size_t bytes = 1;
  size_t columns = 1;
};

// The length of \u{…}, \xff, \n or \t at the front of `text`; 0 where there is none.
size_t escape_length(std::string_view text) {
  if (text.size() < 2 || text[0] != '\\') return 0;
  if (text[1] == 'n' || text[1] == 't') return 2;
  if (text[1] == 'x') return text.size() >= 4 ? 4 : 0;
  constexpr size_t kLongest = 10;
  if (!text.starts_with("\\u{")) return 0;
  const size_t end = text.substr(0, kLongest).find('}');
  return end == std::string_view::npos ? 0 : end + 1;
}

Unit first_unit(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) {
    const size_t escape = escape_length(text);
    // Its bytes are ASCII, unless it is none.
    if (escape > 0 && std::ranges::all_of(text.substr(0, escape), [](char c) { return c >= 0x20; })) {
      return {escape, escape};
    }
    return {};
  }
  const size_t length = std::min<size_t>(text.size(), lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2);
  if (!is_utf8(text.substr(0, length))) return {};
  char32_t value = lead & (0x7FU >> length);
  for (size_t i = 1; i < length; ++i) value = value << 6 | (static_cast<unsigned char>(text[i]) & 0x3FU);
  return {length, is_in(kOnTheOneBefore, value) ? 0U : is_in(kWide, value) ? 2U : 1U};
}

// How many bytes at the front of `text` fit.
size_t bytes_in(std::string_view text, size_t columns) {
  size_t at = 0;
  for (size_t taken = 0; at < text.size();) {
    const Unit unit = first_unit(text.substr(at));
    if (taken + unit.columns > columns) break;
    taken += unit.columns;
    at += unit.bytes;
  }
  return at;
}

}  // namespace

bool wants_colours() {
  const char* const unwanted = std::getenv("NO_COLOR");
  return unwanted == nullptr || *unwanted == '\0';
}

size_t columns_of(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const Unit unit = first_unit(text);
    columns += unit.columns;
    text.remove_prefix(unit.bytes);
  }
  return columns;
}

std::string cut(std::string_view text, size_t columns) {
  const size_t whole = bytes_in(text, columns);
  if (whole == text.size()) return std::string(text);
  if (columns == 0) return {};
  return std::string(text.substr(0, bytes_in(text, columns - 1))).append(kCutOff);
}

std::string padded(std::string_view text, size_t columns) {
  std::string out = cut(text, columns);
  out.append(columns - std::min(columns, columns_of(out)), ' ');
  return out;
}

std::vector<std::string> wrapped(std::string_view text, size_t columns, size_t lines_max) {
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() + 1 < lines_max) {
    size_t end = bytes_in(text, columns);
    if (end == text.size()) break;
    if (const size_t space = text.substr(0, end + 1).rfind(' '); space != std::string_view::npos && space > 0)
      end = space;
    if (end == 0) break;  // not even one character fits
    lines.emplace_back(trim(text.substr(0, end)));
    text = trim(text.substr(end));
  }
  if (!text.empty() && lines_max > 0) lines.push_back(cut(text, columns));
  return lines;
}

}  // namespace verge::cli
