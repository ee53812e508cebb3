#include "planner/outages.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/random.h"
#include "base/text.h"

namespace verge::planner {

namespace {

constexpr double kSecondsMax = 1e7;
constexpr size_t kOutagesMax = 100'000;

std::unexpected<Error> malformed(std::string_view text) {
  return fail("plan.outage", fmt::format("'{}' is no outage", printable(text)),
              "write sites, @ and two seconds in order: VA,CA@10-20");
}

bool covers(const Outage& outage, double at_ms) { return outage.from_ms <= at_ms && at_ms < outage.until_ms; }
bool concerns(const Outage& outage, size_t site) { return (outage.sites >> site & 1U) != 0; }

}  // namespace

Result<Outage> parse_outage(std::string_view text, const RoundTripMatrix& matrix, bool is_partition) {
  Outage outage{.is_partition = is_partition};
  const size_t sign = text.rfind('@');
  if (sign == std::string_view::npos || sign == 0) return malformed(text);
  const std::string_view span = text.substr(sign + 1);
  double from = 0;
  double until = 0;
  const char* const end = span.data() + span.size();
  const auto first = std::from_chars(span.data(), end, from, std::chars_format::fixed);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') return malformed(text);
  const auto second = std::from_chars(first.ptr + 1, end, until, std::chars_format::fixed);
  if (second.ec != std::errc() || second.ptr != end) return malformed(text);
  if (!(from >= 0 && from < until && until <= kSecondsMax)) return malformed(text);
  outage.from_ms = from * 1000;
  outage.until_ms = until * 1000;
  std::string_view names = text.substr(0, sign);
  while (!names.empty()) {
    const size_t comma = std::min(names.find(','), names.size());
    const std::string_view name = names.substr(0, comma);
    names.remove_prefix(std::min(comma + 1, names.size()));
    const size_t site = matrix.index_of(name);
    if (site == matrix.sites.size()) {
      const std::string guess = nearest(std::string(name), matrix.sites);
      return fail("plan.unknown-site", fmt::format("there is no site '{}' that could fail", printable(name)),
                  guess.empty() ? fmt::format("it is one of {}", fmt::join(matrix.sites, ", "))
                                : fmt::format("did you mean '{}'?", guess));
    }
    outage.sites |= uint64_t{1} << site;
  }
  return outage;
}

std::vector<Outage> random_outages(size_t sites, double availability, double mean_ms, double horizon_ms,
                                   uint64_t seed) {
  std::vector<Outage> outages;
  if (availability >= 1) return outages;
  Random random(seed);
  const auto exponential = [&](double mean) { return -mean * std::log(1 - random.unit()); };
  const double up_ms = mean_ms * availability / (1 - availability);
  for (size_t site = 0; site < sites; ++site) {
    double at = random.chance(availability) ? exponential(up_ms) : 0;
    while (at < horizon_ms && outages.size() < kOutagesMax) {
      const double until = at + exponential(mean_ms);
      outages.push_back({.sites = uint64_t{1} << site, .from_ms = at, .until_ms = until});
      at = until + exponential(up_ms);
    }
  }
  return outages;
}

std::vector<double> uptimes(const std::vector<Outage>& outages, size_t sites, double until_ms) {
  std::vector<Outage> sorted = outages;
  std::ranges::sort(sorted, {}, &Outage::from_ms);
  std::vector<double> up(sites, until_ms);
  for (size_t site = 0; site < sites; ++site) {
    double counted = 0;  // all before it is
    for (const Outage& outage : sorted) {
      if (outage.is_partition || !concerns(outage, site)) continue;
      const double from = std::max(counted, outage.from_ms);
      const double until = std::min(outage.until_ms, until_ms);
      if (until <= from) continue;
      up[site] -= until - from;
      counted = until;
    }
  }
  return up;
}

Connectivity::Connectivity(std::vector<Outage> outages) : outages_(std::move(outages)) {
  std::ranges::sort(outages_, {}, &Outage::from_ms);
}

void Connectivity::forget_before(double at_ms) {
  // Only from the front, where most end first.
  const auto live = std::ranges::find_if(outages_, [&](const Outage& outage) { return outage.until_ms > at_ms; });
  outages_.erase(outages_.begin(), live);
}

bool Connectivity::is_up(size_t site, double at_ms) const {
  for (const Outage& outage : outages_) {
    if (outage.from_ms > at_ms) break;
    if (!outage.is_partition && concerns(outage, site) && covers(outage, at_ms)) return false;
  }
  return true;
}

bool Connectivity::reaches(size_t from, size_t to, double at_ms) const { return open_from(from, to, at_ms) == at_ms; }

double Connectivity::open_from(size_t from, size_t to, double at_ms) const {
  for (const Outage& outage : outages_) {
    if (outage.from_ms > at_ms) break;
    if (!covers(outage, at_ms)) continue;
    const bool one = concerns(outage, from);
    const bool other = concerns(outage, to);
    if (outage.is_partition ? one != other : one || other) at_ms = outage.until_ms;
  }
  return at_ms;
}

double Connectivity::up_from(size_t site, double at_ms) const {
  for (const Outage& outage : outages_) {
    if (outage.from_ms > at_ms) break;
    if (!outage.is_partition && concerns(outage, site) && covers(outage, at_ms)) at_ms = outage.until_ms;
  }
  return at_ms;
}

uint64_t Connectivity::reached_from(size_t site, size_t sites, double at_ms) const {
  uint64_t reached = 0;
  for (size_t other = 0; other < sites; ++other) {
    if (reaches(site, other, at_ms)) reached |= uint64_t{1} << other;
  }
  return is_up(site, at_ms) ? reached : 0;
}

std::vector<double> Connectivity::changes() const {
  std::vector<double> changes;
  for (const Outage& outage : outages_) {
    changes.push_back(outage.from_ms);
    changes.push_back(outage.until_ms);
  }
  std::ranges::sort(changes);
  const auto repeated = std::ranges::unique(changes);
  changes.erase(repeated.begin(), repeated.end());
  return changes;
}

}  // namespace verge::planner
