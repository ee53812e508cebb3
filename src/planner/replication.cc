#include "planner/replication.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace verge::planner {

namespace {

constexpr std::array kAll = {Protocol::kRaft,   Protocol::kMultiPaxos,    Protocol::kEPaxos, Protocol::kChain,
                             Protocol::kQuorum, Protocol::kPrimaryBackup, Protocol::kCrdt};

constexpr double kLatencyWeight = 0.3;
constexpr double kActivityWeight = 0.3;
constexpr double kStabilityWeight = 0.4;
constexpr double kUsualActivity = 0.5;

double choose(size_t n, size_t k) {
  double ways = 1;
  for (size_t i = 0; i < k; ++i) ways = ways * static_cast<double>(n - i) / static_cast<double>(i + 1);
  return ways;
}

}  // namespace

std::string_view protocol_name(Protocol protocol) {
  switch (protocol) {
    case Protocol::kRaft:
      return "raft";
    case Protocol::kMultiPaxos:
      return "multipaxos";
    case Protocol::kEPaxos:
      return "epaxos";
    case Protocol::kChain:
      return "chain";
    case Protocol::kQuorum:
      return "quorum";
    case Protocol::kPrimaryBackup:
      return "primary-backup";
    case Protocol::kCrdt:
      break;
  }
  return "crdt";
}

std::optional<Protocol> protocol_named(std::string_view name) {
  const auto* const found = std::ranges::find(kAll, name, protocol_name);
  return found == kAll.end() ? std::nullopt : std::optional(*found);
}

std::vector<std::string> protocol_names() {
  std::vector<std::string> names;
  for (const Protocol protocol : kAll) names.emplace_back(protocol_name(protocol));
  return names;
}

bool has_leader(Protocol protocol) {
  return protocol == Protocol::kRaft || protocol == Protocol::kMultiPaxos || protocol == Protocol::kPrimaryBackup ||
         protocol == Protocol::kChain;
}

bool can_elect_and_write(Protocol protocol, uint64_t alive, size_t sites, bool takes_out) {
  const auto up = static_cast<size_t>(std::popcount(alive));
  switch (protocol) {
    case Protocol::kChain:
    case Protocol::kPrimaryBackup:
      return takes_out ? up >= majority_of(sites) : up == sites;
    case Protocol::kCrdt:
      return up > 0;
    default:
      return up >= majority_of(sites);
  }
}

bool can_write(Protocol protocol, uint64_t alive, size_t sites, size_t leader) {
  const bool leads = (alive >> leader & 1U) != 0;
  return can_elect_and_write(protocol, alive, sites) && (!has_leader(protocol) || leads);
}

Availability availability(Protocol protocol, size_t sites, double site_availability, bool takes_out) {
  Availability answer;
  for (size_t failures = 0; failures <= sites; ++failures) {
    // Every protocol here asks how many are up, not which.
    const size_t up = sites - failures;
    const uint64_t alive = up == 64 ? ~uint64_t{0} : (uint64_t{1} << up) - 1;
    const double share = can_elect_and_write(protocol, alive, sites, takes_out) ? 1 : 0;
    answer.share_by_failures.push_back(share);
    answer.writes += share * choose(sites, failures) * std::pow(site_availability, static_cast<double>(up)) *
                     std::pow(1 - site_availability, static_cast<double>(failures));
  }
  answer.writes = std::clamp(answer.writes, 0.0, 1.0);
  return answer;
}

std::string minority_rights(Protocol protocol, bool takes_out) {
  switch (protocol) {
    case Protocol::kCrdt:
      return "read and write; both sides merge when they meet again";
    case Protocol::kChain:
    case Protocol::kPrimaryBackup:
      if (takes_out)
        return "read what it has, which may be old; no writes; it is taken out, and in again when it is back";
      return "read what it has, which may be old; nobody writes until the missing sites are taken out";
    default:
      return "read what it has, which may be old; no writes; it synchronises eventually, when it is rejoined";
  }
}

std::vector<LeaderFitness> leaders_by_fitness(const RoundTripMatrix& matrix, std::span<const double> activity,
                                              std::span<const double> stability) {
  const size_t n = matrix.sites.size();
  std::vector<LeaderFitness> leaders;
  for (size_t site = 0; site < n; ++site) {
    double sum = 0;
    for (size_t other = 0; other < n; ++other) sum += matrix.between(site, other);
    const double mean = n > 1 ? sum / static_cast<double>(n - 1) : 0;
    const double active = site < activity.size() ? activity[site] : kUsualActivity;
    const double stable = site < stability.size() ? stability[site] : 1;
    leaders.push_back({site, mean, kLatencyWeight / (mean + 1) + kActivityWeight * active + kStabilityWeight * stable});
  }
  std::ranges::sort(leaders, [](const auto& a, const auto& b) {
    return a.fitness != b.fitness ? a.fitness > b.fitness : a.site < b.site;
  });
  return leaders;
}

}  // namespace verge::planner
