#include "planner/round_trip_files.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "planner/csv.h"
#include "planner/places.h"

namespace verge::planner {

namespace {

constexpr size_t kMeasuredSitesMax = 2000;

std::unexpected<Error> wrong_site(std::string_view name, size_t line, const std::string& what, std::string fix) {
  return fail("plan.sites", fmt::format("{}:{}: {}", name, line, what), std::move(fix));
}

struct Columns {
  size_t name = 0;
  size_t latitude = 1;
  size_t longitude = 2;
};

// Whether the row is a header; the columns it names.
bool read_header(const CsvRow& row, Columns& columns) {
  double number = 0;
  if (row.cells.size() >= 3 && parse_number(row.cells[1], number) && parse_number(row.cells[2], number)) return false;
  for (size_t i = 0; i < row.cells.size(); ++i) {
    const std::string word = lower(row.cells[i]);
    if (word == "name" || word == "site" || word == "region" || word == "code") columns.name = i;
    if (word == "lat" || word == "latitude") columns.latitude = i;
    if (word == "lon" || word == "lng" || word == "long" || word == "longitude") columns.longitude = i;
  }
  return true;
}

}  // namespace

Result<std::vector<RoundTripLine>> parse_round_trip_lines(std::string_view text, std::string_view name) {
  std::vector<RoundTripLine> lines;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    const auto wrong = [&](std::string_view what) {
      return fail("plan.round-trips", fmt::format("{}:{}: {}", name, number, what),
                  "write min/avg/max/stddev:target, in milliseconds");
    };
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return wrong("there is no colon before a target");
    const std::string_view numbers = line.substr(0, colon);
    const std::string_view target = trim(line.substr(colon + 1));
    if (target.empty()) return wrong("there is no target after the colon");
    std::vector<double> values;
    for (size_t at = 0; at <= numbers.size();) {
      const size_t slash = std::min(numbers.find('/', at), numbers.size());
      double value = 0;
      if (!parse_number(trim(numbers.substr(at, slash - at)), value) || value < 0) {
        return wrong(fmt::format("'{}' is no time", printable(numbers.substr(at, slash - at))));
      }
      values.push_back(value);
      at = slash + 1;
    }
    if (values.size() != 1 && values.size() < 3) return wrong("two numbers: which is the mean?");
    const double mean = values.size() == 1 ? values[0] : values[1];
    if (values.size() > 1 && !(values[0] <= mean && mean <= values[2])) {
      return wrong(fmt::format("the mean, {} ms, is not between the least and the most", mean));
    }
    lines.push_back({std::string(target), mean, values[0], std::string(name), number});
  }
  if (lines.empty()) {
    return fail("plan.round-trips", fmt::format("{}:1: there is no measurement in it", name),
                "write lines min/avg/max/stddev:target, or take the file out of the directory");
  }
  return lines;
}

Result<std::vector<Site>> parse_sites(std::string_view text, std::string_view name) {
  const Result<std::vector<CsvRow>> rows = parse_csv(text, name);
  if (!rows) return std::unexpected(rows.error());
  std::vector<Site> sites;
  Columns columns;
  for (size_t i = 0; i < rows->size(); ++i) {
    const CsvRow& row = (*rows)[i];
    if (i == 0 && read_header(row, columns)) continue;
    if (row.cells.size() <= std::max({columns.name, columns.latitude, columns.longitude})) {
      return wrong_site(name, row.line, fmt::format("{} cells", row.cells.size()), "write name,lat,lon");
    }
    Site site{.name = row.cells[columns.name], .at = {}};
    if (site.name.empty()) return wrong_site(name, row.line, "a site has no name", "write name,lat,lon");
    if (!parse_number(row.cells[columns.latitude], site.at.latitude) ||
        !parse_number(row.cells[columns.longitude], site.at.longitude)) {
      return wrong_site(name, row.line, fmt::format("the coordinates of '{}' are no numbers", printable(site.name)),
                        "write degrees, such as -33.92,18.42");
    }
    if (!is_on_earth(site.at)) {
      return wrong_site(name, row.line,
                        fmt::format("'{}' is at {}, {}", printable(site.name), site.at.latitude, site.at.longitude),
                        "latitudes are from -90 to 90, longitudes from -180 to 180; are they the right way round?");
    }
    if (std::ranges::any_of(sites, [&](const Site& other) { return other.name == site.name; })) {
      return wrong_site(name, row.line, fmt::format("'{}' is there twice", printable(site.name)),
                        "name each site once");
    }
    if (sites.size() == kMeasuredSitesMax) {
      return wrong_site(name, row.line, fmt::format("more than {} sites", kMeasuredSitesMax), "split the file");
    }
    sites.push_back(std::move(site));
  }
  return sites;
}

MeasuredSites join_round_trips(const std::map<std::string, std::vector<RoundTripLine>>& lines,
                               const std::vector<Site>& sites) {
  MeasuredSites joined;
  std::map<std::string, uint32_t> index;
  const auto find = [&](const std::string& name) -> std::optional<uint32_t> {
    if (const auto known = index.find(name); known != index.end()) return known->second;
    std::optional<Coordinates> at;
    if (const auto given = std::ranges::find(sites, name, &Site::name); given != sites.end()) {
      at = given->at;
    } else if (const Place* const place = find_place(name); place != nullptr) {
      at = place->at;
    }
    if (!at) {
      if (std::ranges::find(joined.without_place, name) == joined.without_place.end())
        joined.without_place.push_back(name);
      return {};
    }
    const auto fresh = static_cast<uint32_t>(joined.sites.size());
    joined.sites.push_back({name, *at});
    index.emplace(name, fresh);
    return fresh;
  };
  struct Sum {
    double milliseconds = 0;
    double samples = 0;
  };
  std::map<std::pair<uint32_t, uint32_t>, Sum> times;
  for (const auto& [source, targets] : lines) {
    const std::optional<uint32_t> from = find(source);
    bool is_used = false;
    const RoundTripLine* refused = nullptr;
    const RoundTripLine* unknown = nullptr;
    for (const RoundTripLine& line : targets) {
      const std::optional<uint32_t> to = find(line.target);
      if (!from || !to) unknown = unknown == nullptr ? &line : unknown;
      if (!from || !to || *from == *to) continue;
      const double floor = round_trip_floor_ms(great_circle_km(joined.sites[*from].at, joined.sites[*to].at));
      if (line.least_ms <= 0 || line.least_ms < floor) {
        refused = refused == nullptr ? &line : refused;
        joined.below_floor.push_back({*from, *to, line.least_ms, floor, line.file, line.line});
        continue;
      }
      Sum& sum = times[std::minmax(*from, *to)];
      sum.milliseconds += line.mean_ms;
      ++sum.samples;
      is_used = true;
    }
    if (is_used) continue;
    if (refused != nullptr) {
      joined.unused_files.push_back(
          fmt::format("{}:{}: every sample is faster than light in glass", refused->file, refused->line));
    } else if (unknown != nullptr) {
      joined.unused_files.push_back(fmt::format("{}:{}: nobody says where '{}' is", unknown->file, unknown->line,
                                                printable(from ? unknown->target : source)));
    }
  }
  for (const auto& [pair, sum] : times) {
    joined.pairs.push_back({pair.first, pair.second, sum.milliseconds / sum.samples});
  }
  return joined;
}

std::optional<uint32_t> MeasuredSites::site_named(std::string_view name) const {
  const auto found = std::ranges::find_if(sites, [&](const Site& site) { return lower(site.name) == lower(name); });
  return found == sites.end() ? std::nullopt : std::optional(static_cast<uint32_t>(found - sites.begin()));
}

std::optional<uint32_t> MeasuredSites::site_at(const Coordinates& at) const {
  const auto found = std::ranges::find_if(
      sites, [&](const Site& site) { return site.at.latitude == at.latitude && site.at.longitude == at.longitude; });
  return found == sites.end() ? std::nullopt : std::optional(static_cast<uint32_t>(found - sites.begin()));
}

std::optional<double> MeasuredSites::measured_ms(uint32_t a, uint32_t b) const {
  const auto found = std::ranges::find_if(
      pairs, [&](const MeasuredPair& pair) { return std::minmax(pair.from, pair.to) == std::minmax(a, b); });
  return found == pairs.end() ? std::nullopt : std::optional(found->round_trip_ms);
}

}  // namespace verge::planner
