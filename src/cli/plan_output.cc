#include "cli/plan_output.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::cli {

namespace {

constexpr std::streamsize kFileMax = 256 << 20;

bool is_number(const std::string& cell) {
  return !cell.empty() &&
         (cell == "infinite" || cell == "-" || cell.find_first_not_of("0123456789.,+-%eE$ ") == std::string::npos);
}

// Names are what somebody wrote into a file: nothing of them is done in a terminal.
void print_lines(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    fmt::print("{}\n", printable(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

void add_plan_output(Command& command, PlanOutput& output) {
  command.add_flag("--json", output.json, "For machines: one JSON object");
  command.add_flag("--explain", output.explain, "Say how the answer came about: formulas, figures, reasons");
  command.add_option("--svg", output.svg, "Draw the answer into this file as well")->type_name("FILE");
}

Result<std::string> read_plan_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail("plan.file", fmt::format("{} cannot be read", path), "give the path of a readable file");
  std::string text;
  std::vector<char> piece(1 << 16);
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())) || file.gcount() > 0) {
    text.append(piece.data(), static_cast<size_t>(file.gcount()));
    if (static_cast<std::streamsize>(text.size()) > kFileMax) {
      return fail("plan.file", fmt::format("{} is larger than 256 MiB", path), "split it");
    }
  }
  if (file.bad()) return fail("plan.file", fmt::format("{} cannot be read", path), "give the path of a readable file");
  return text;
}

int print_plan_failure(const Error& error) {
  fmt::print(stderr, "verge plan: {}\n", error.line());
  return kUsage;
}

int print_plan(const PlanOutput& output, const PlanAnswer& answer) {
  if (!output.svg.empty()) {
    std::ofstream file(output.svg, std::ios::binary | std::ios::trunc);
    file << (answer.picture ? answer.picture() : "");
    file.close();
    if (!file) {
      return print_plan_failure(Error{"plan.svg", fmt::format("{} cannot be written", output.svg),
                                      "name a file in a directory that may be written"});
    }
  }
  if (output.json) {
    fmt::print("{}\n", answer.json);
    return kSuccess;
  }
  print_lines(answer.table);
  if (output.explain && !answer.explanation.empty()) {
    fmt::print("\n");
    print_lines(answer.explanation);
  }
  return kSuccess;
}

void TextTable::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows_[r].size(); ++i) {
      const bool right = is_number(r == 0 && rows_.size() > 1 && i < rows_[1].size() ? rows_[1][i] : rows_[r][i]);
      line += right ? fmt::format("{:>{}}  ", rows_[r][i], widths[i]) : fmt::format("{:<{}}  ", rows_[r][i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string shown(double number, int digits) {
  if (std::isinf(number)) return "infinite";
  if (std::isnan(number)) return "-";
  return fmt::format("{:.{}f}", number, digits);
}

}  // namespace verge::cli
