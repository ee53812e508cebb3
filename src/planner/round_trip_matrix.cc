#include "planner/round_trip_matrix.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ranges>

#include <fmt/format.h>

#include "base/text.h"
#include "planner/csv.h"
#include "planner/places.h"

namespace verge::planner {

namespace {

bool is_missing(std::string_view cell) {
  const std::string word = lower(cell);
  return word.empty() || word == "-" || word == "?" || word == "na" || word == "n/a";
}

std::unexpected<Error> wrong(std::string_view name, size_t line, const std::string& what, std::string fix) {
  return fail("plan.matrix", fmt::format("{}:{}: {}", name, line, what), std::move(fix));
}

// What light in glass needs there and back; NaN where one of the two is no known place.
double floor_between(std::string_view a, std::string_view b) {
  const Place* const from = find_place(a);
  const Place* const to = find_place(b);
  if (from == nullptr || to == nullptr) return std::nan("");
  return round_trip_floor_ms(great_circle_km(from->at, to->at));
}

// NaN where it was not measured.
Result<double> parse_cell(const std::string& cell, std::string_view name, size_t line, const std::string& site,
                          const std::string& other) {
  const std::string from = printable(site);
  const std::string to = printable(other);
  if (is_missing(cell)) return std::nan("");
  double number = 0;
  if (!parse_number(cell, number)) {
    return wrong(name, line, fmt::format("'{}' from {} to {} is no number", printable(cell), from, to),
                 "write milliseconds, or leave the cell empty where nothing was measured");
  }
  if (number < 0 || number > 60'000) {
    return wrong(name, line, fmt::format("the round trip from {} to {} is {} ms", from, to, number),
                 "it is between 0 and 60000");
  }
  if (site == other) {
    if (number == 0) return number;
    return wrong(name, line, fmt::format("the round trip from {} to itself is {} ms", from, number),
                 "write 0 on the diagonal, or leave it empty; are the columns in the order of the rows?");
  }
  if (number == 0) {
    return wrong(name, line, fmt::format("the round trip from {} to {} is 0 ms", from, to),
                 "leave the cell empty where nothing was measured; give a site once");
  }
  if (const double floor = floor_between(site, other); number < floor) {
    return wrong(name, line,
                 fmt::format("{} ms from {} to {} is faster than light in glass, which needs {:.2f} ms", number, from,
                             to, floor),
                 "correct it, or give sites that are not those places names of their own");
  }
  return number;
}

// Whether each row ends with its diagonal: then the rest is in the rows below.
bool is_triangle(const std::vector<CsvRow>& rows, size_t named) {
  for (size_t i = 1; i < rows.size(); ++i) {
    if (rows[i].cells.size() != i + named) return false;
  }
  return true;
}

}  // namespace

size_t RoundTripMatrix::index_of(std::string_view name) const {
  const auto found = std::ranges::find_if(sites, [&](const std::string& site) { return lower(site) == lower(name); });
  return static_cast<size_t>(found - sites.begin());
}

Result<RoundTripMatrix> parse_round_trip_matrix(std::string_view text, std::string_view name) {
  Result<std::vector<CsvRow>> rows = parse_csv(text, name);
  if (!rows) return std::unexpected(rows.error());
  if (rows->size() < 2)
    return wrong(name, 1, "there is no matrix", "write a header row of site names and a row a site");
  const bool rows_are_named = std::ranges::all_of(*rows | std::views::drop(1), [](const CsvRow& row) {
    double number = 0;
    return !row.cells.front().empty() && !is_missing(row.cells.front()) && !parse_number(row.cells.front(), number);
  });
  RoundTripMatrix matrix;
  matrix.sites = std::move(rows->front().cells);
  const size_t columns = rows->size() - 1;
  if (rows_are_named && matrix.sites.size() == columns + 1) matrix.sites.erase(matrix.sites.begin());
  const size_t n = matrix.sites.size();
  if (n != columns) {
    return wrong(name, rows->back().line, fmt::format("{} sites in the header, {} rows", n, columns),
                 "the matrix is square: a row a site, in the header's order");
  }
  if (n > kSitesMax) return wrong(name, 1, fmt::format("{} sites", n), fmt::format("at most {}", kSitesMax));
  for (size_t i = 0; i < n; ++i) {
    if (matrix.sites[i].empty() || matrix.index_of(matrix.sites[i]) != i) {
      return wrong(name, rows->front().line,
                   fmt::format("site '{}' has no name of its own", printable(matrix.sites[i])), "name each site once");
    }
  }
  const bool has_triangle = is_triangle(*rows, rows_are_named ? 1 : 0);
  std::vector<double> measured(n * n);
  for (size_t from = 0; from < n; ++from) {
    CsvRow& row = (*rows)[from + 1];
    if (rows_are_named) {
      if (lower(row.cells.front()) != lower(matrix.sites[from])) {
        return wrong(name, row.line,
                     fmt::format("the row is of '{}', the header's site is '{}'", printable(row.cells.front()),
                                 printable(matrix.sites[from])),
                     "rows are in the header's order");
      }
      row.cells.erase(row.cells.begin());
    }
    if (row.cells.size() != n && !has_triangle) {
      return wrong(
          name, row.line,
          fmt::format("the row of {} has {} cells for {} sites", printable(matrix.sites[from]), row.cells.size(), n),
          "write a cell a site, empty where nothing was measured");
    }
    row.cells.resize(n);
    for (size_t to = 0; to < n; ++to) {
      const Result<double> cell = parse_cell(row.cells[to], name, row.line, matrix.sites[from], matrix.sites[to]);
      if (!cell) return std::unexpected(cell.error());
      measured[from * n + to] = from == to ? 0 : *cell;
    }
  }
  matrix.milliseconds = measured;
  for (size_t from = 0; from < n; ++from) {
    for (size_t to = 0; to < n; ++to) {
      const double there = measured[from * n + to];
      const double back = measured[to * n + from];
      matrix.milliseconds[from * n + to] = std::isnan(there) ? back : std::isnan(back) ? there : (there + back) / 2;
    }
  }
  if (const auto unknown = fill_missing(matrix)) {
    return wrong(name, (*rows)[1 + unknown->first].line,
                 fmt::format("{} to {} was not measured, and no third site from both",
                             printable(matrix.sites[unknown->first]), printable(matrix.sites[unknown->second])),
                 "measure one of them, or use names of known places: cloud regions, cities, VA, CA, OR, JP, EU");
  }
  return matrix;
}

std::optional<std::pair<size_t, size_t>> fill_missing(RoundTripMatrix& matrix) {
  const size_t n = matrix.sites.size();
  const std::vector<double> measured = matrix.milliseconds;
  matrix.is_modelled.assign(n * n, false);
  const auto floor_with_access = [&](size_t a, size_t b) {
    return floor_between(matrix.sites[a], matrix.sites[b]) + 1;
  };
  // This table's own factor over the distance: the median of what it measured.
  std::vector<double> factors;
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = a + 1; b < n; ++b) {
      const double factor = measured[a * n + b] / floor_with_access(a, b);
      if (std::isfinite(factor)) factors.push_back(factor);
    }
  }
  std::ranges::sort(factors);
  const double usual = factors.empty() ? 1.55 : factors[factors.size() / 2];
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = 0; b < n; ++b) {
      if (a == b || !std::isnan(measured[a * n + b])) continue;
      double most = std::numeric_limits<double>::infinity();
      double least = 0;
      for (size_t over = 0; over < n; ++over) {
        const double first = measured[a * n + over];
        const double second = measured[over * n + b];
        if (over == a || over == b || std::isnan(first) || std::isnan(second)) continue;
        most = std::min(most, first + second);
        least = std::max(least, std::abs(first - second));
      }
      const double by_distance = usual * floor_with_access(a, b);
      if (std::isinf(most) && std::isnan(by_distance)) return std::pair(a, b);
      const double by_detours = std::isinf(most) ? by_distance : (least + most) / 2;
      double estimate = std::isnan(by_distance) ? by_detours : (by_distance + by_detours) / 2;
      if (least <= most) estimate = std::clamp(estimate, least, most);
      if (const double floor = floor_between(matrix.sites[a], matrix.sites[b]); estimate < floor) estimate = floor;
      matrix.milliseconds[a * n + b] = estimate;
      matrix.is_modelled[a * n + b] = true;
    }
  }
  return {};
}

}  // namespace verge::planner
