// Measured round trips as a directory of files, one a source: NAME.dat, or any other ending, with a line a target,
//
//     min/avg/max/stddev:target
//
// in milliseconds; and where the sites are, as CSV (name,lat,lon, in that order or as its header says).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "planner/calibration.h"

namespace verge::planner {

struct RoundTripLine {
  std::string target;
  double mean_ms = 0;
  double least_ms = 0;  // the fastest of what the mean is of
  std::string file;
  size_t line = 0;
};

// `name` is for messages, and the lines' file. Errors: plan.round-trips, also where there is no line at all.
Result<std::vector<RoundTripLine>> parse_round_trip_lines(std::string_view text, std::string_view name);

struct Site {
  std::string name;
  Coordinates at;
};

// Errors: plan.sites, plan.csv.
Result<std::vector<Site>> parse_sites(std::string_view text, std::string_view name);

// A line that says what cannot be.
struct RefusedSample {
  uint32_t from = 0;
  uint32_t to = 0;
  double round_trip_ms = 0;  // the line's fastest
  double floor_ms = 0;
  std::string file;
  size_t line = 0;
};

struct MeasuredSites {
  std::vector<Site> sites;
  std::vector<MeasuredPair> pairs;         // unordered pairs of two sites, the mean of the lines of both directions
  std::vector<RefusedSample> below_floor;  // each by itself, so that none hides in a mean, nor spoils one
  std::vector<std::string> without_place;  // measured, but nobody says where they are
  std::vector<std::string> unused_files;   // none of whose lines about other sites is in a pair; "FILE:LINE: why"

  // The site of that name, whatever its case, or else at just that place.
  [[nodiscard]] std::optional<uint32_t> site_named(std::string_view name) const;
  [[nodiscard]] std::optional<uint32_t> site_at(const Coordinates& at) const;
  [[nodiscard]] std::optional<double> measured_ms(uint32_t a, uint32_t b) const;
};

// Joins sources' lines with places: `sites`, and known places for names that are not among them.
MeasuredSites join_round_trips(const std::map<std::string, std::vector<RoundTripLine>>& lines,
                               const std::vector<Site>& sites);

}  // namespace verge::planner
