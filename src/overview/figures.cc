#include "overview/figures.h"

#include <cmath>
#include <iterator>

#include <fmt/format.h>

namespace verge::overview {

std::optional<Figure> parse_figure(std::string_view name) {
  for (size_t i = 0; i < kFigureCount; ++i) {
    if (kFigureNames[i].name == name) return static_cast<Figure>(i);
  }
  return std::nullopt;
}

void append_number(std::string& out, double value) {
  constexpr double kExact = 9e15;  // whole numbers below are themselves
  if (!std::isfinite(value)) {
    out.append("null");
  } else if (std::abs(value) < kExact && value == std::floor(value)) {
    fmt::format_to(std::back_inserter(out), "{}", static_cast<int64_t>(value));
  } else {
    fmt::format_to(std::back_inserter(out), "{:.6g}", value);
  }
}

void append_figures(std::string& out, const Figures& figures, Absent absent) {
  out.push_back('{');
  bool first = true;
  for (size_t i = 0; i < kFigureCount; ++i) {
    if (absent == Absent::kOmit && !std::isfinite(figures.values[i])) continue;
    fmt::format_to(std::back_inserter(out), "{}\"{}\":", first ? "" : ",", kFigureNames[i].name);
    append_number(out, figures.values[i]);
    first = false;
  }
  out.push_back('}');
}

}  // namespace verge::overview
