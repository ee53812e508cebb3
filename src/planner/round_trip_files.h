// Measured round trips as a directory of files, one a source: NAME.dat, or any other ending, with a line a target,
//
//     min/avg/max/stddev:target
//
// in milliseconds; and where the sites are, as CSV (name,lat,lon, in that order or as its header says).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "planner/calibration.h"

namespace verge::planner {

struct RoundTripLine {
  std::string target;
  double mean_ms = 0;
};

// Errors: plan.round-trips.
Result<std::vector<RoundTripLine>> parse_round_trip_lines(std::string_view text, std::string_view name);

struct Site {
  std::string name;
  Coordinates at;
};

// Errors: plan.sites, plan.csv.
Result<std::vector<Site>> parse_sites(std::string_view text, std::string_view name);

struct MeasuredSites {
  std::vector<Site> sites;
  std::vector<MeasuredPair> pairs;         // unordered pairs of two sites, the mean of both directions
  std::vector<MeasuredPair> below_floor;   // refused: faster than light in glass
  std::vector<std::string> without_place;  // measured, but nobody says where they are
};

// Joins sources' lines with places: `sites`, and known places for names that are not among them.
MeasuredSites join_round_trips(const std::map<std::string, std::vector<RoundTripLine>>& lines,
                               const std::vector<Site>& sites);

}  // namespace verge::planner
