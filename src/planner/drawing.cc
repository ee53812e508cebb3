#include "planner/drawing.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::planner {

namespace {

constexpr double kWidth = 1080;
constexpr double kHeight = 540;
constexpr double kTitleHeight = 30;
constexpr std::array kColours = {"#1f5fa8", "#c8452d", "#2f8f5b", "#8a5bb5", "#b8860b", "#4a4a4a"};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {  // what is not UTF-8 is no XML
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
    }
  }
  return out;
}

const char* colour(int group) { return kColours[static_cast<size_t>(std::abs(group)) % kColours.size()]; }

std::string opening(double height, std::string_view title) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" font-size=\"11\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n<text x=\"10\" y=\"20\" font-size=\"15\">{2}</text>\n",
      kWidth, height, escaped(title));
}

double x_of(const Coordinates& point) { return (point.longitude + 180) / 360 * kWidth; }
double y_of(const Coordinates& point) { return kTitleHeight + (90 - point.latitude) / 180 * kHeight; }

}  // namespace

std::string draw_map(std::string_view title, const std::vector<MapPoint>& points, const std::vector<MapLine>& lines) {
  std::string svg = opening(kHeight + kTitleHeight, title);
  for (int degrees = -180; degrees <= 180; degrees += 30) {
    svg += fmt::format("<line x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\" stroke=\"#e4e8ee\"/>\n",
                       x_of({0, static_cast<double>(degrees)}), kTitleHeight, kTitleHeight + kHeight);
    if (std::abs(degrees) > 90) continue;
    svg += fmt::format("<line x1=\"0\" y1=\"{0:.1f}\" x2=\"{1}\" y2=\"{0:.1f}\" stroke=\"{2}\"/>\n",
                       y_of({static_cast<double>(degrees), 0}), kWidth, degrees == 0 ? "#b9c2cf" : "#e4e8ee");
  }
  for (const MapLine& line : lines) {
    svg += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-opacity=\"0.5\"/>\n",
        x_of(line.from), y_of(line.from), x_of(line.to), y_of(line.to), colour(line.group));
  }
  for (const MapPoint& point : points) {
    svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\" fill=\"{}\"/>\n", x_of(point.at),
                       y_of(point.at), point.radius, colour(point.group));
    if (point.label.empty()) continue;
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", x_of(point.at) + point.radius + 2,
                       y_of(point.at) + 4, escaped(point.label));
  }
  return svg + "</svg>\n";
}

std::string draw_bars(std::string_view title, std::string_view unit, const std::vector<Bar>& bars) {
  constexpr double kRow = 24;
  constexpr double kLabel = 260;
  constexpr double kRoom = kWidth - kLabel - 120;
  double most = 0;
  for (const Bar& bar : bars) most = std::isfinite(bar.value) ? std::max(most, std::abs(bar.value)) : most;
  std::string svg = opening(kTitleHeight + kRow * static_cast<double>(bars.size()) + 10, title);
  double y = kTitleHeight;
  for (const Bar& bar : bars) {
    const double length = !std::isfinite(bar.value) ? kRoom : most > 0 ? std::abs(bar.value) / most * kRoom : 0;
    svg += fmt::format(
        "<text x=\"10\" y=\"{:.1f}\">{}</text>\n<rect x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"16\" "
        "fill=\"{}\"/>\n",
        y + 14, escaped(bar.label), kLabel, y + 3, length, colour(bar.group));
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", kLabel + length + 6, y + 14,
                       std::isfinite(bar.value) ? fmt::format("{:.6g} {}", bar.value, unit) : "infinite");
    y += kRow;
  }
  return svg + "</svg>\n";
}

}  // namespace verge::planner
