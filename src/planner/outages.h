// When sites are down or parted, for the simulation: whether a message gets through, and when a site is there.
//
// A site that is down sends, receives and computes nothing, and goes on where it was. Parted sites reach each other and
// nobody else. Outages may overlap; each ends.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "planner/round_trip_matrix.h"

namespace verge::planner {

struct Outage {
  uint64_t sites = 0;         // a bit each
  bool is_partition = false;  // cut off together; else down
  double from_ms = 0;
  double until_ms = 0;
};

// "VA,CA@10-20": those sites, from second 10 to second 20. Errors: plan.outage, plan.unknown-site.
Result<Outage> parse_outage(std::string_view text, const RoundTripMatrix& matrix, bool is_partition);

// Each site up and down in turns, both exponentially distributed; down for `mean_ms` on average and up for the share
// `availability` of the time.
std::vector<Outage> random_outages(size_t sites, double availability, double mean_ms, double horizon_ms, uint64_t seed);

// How long each site is up between 0 and `until_ms`.
std::vector<double> uptimes(const std::vector<Outage>& outages, size_t sites, double until_ms);

// Instants are asked about in roughly rising order: forget_before() lets go of what is over.
class Connectivity {
 public:
  explicit Connectivity(std::vector<Outage> outages);

  [[nodiscard]] bool is_empty() const { return outages_.empty(); }
  void forget_before(double at_ms);
  [[nodiscard]] bool is_up(size_t site, double at_ms) const;
  [[nodiscard]] bool reaches(size_t from, size_t to, double at_ms) const;
  // The first instant from `at_ms` on at which they reach each other.
  [[nodiscard]] double open_from(size_t from, size_t to, double at_ms) const;
  // The first instant from `at_ms` on at which the site is up.
  [[nodiscard]] double up_from(size_t site, double at_ms) const;
  // The sites, a bit each, that are up and reach `site`, itself among them; none when it is down.
  [[nodiscard]] uint64_t reached_from(size_t site, size_t sites, double at_ms) const;
  // When outages begin or end, in order, each once.
  [[nodiscard]] std::vector<double> changes() const;

 private:
  std::vector<Outage> outages_;  // by their beginning
};

}  // namespace verge::planner
