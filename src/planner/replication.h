// Replication protocols and what follows from their quorums: how many answers each waits for, whether it can write with
// some sites gone, what a minority may still do, and who should lead.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "planner/round_trip_matrix.h"

namespace verge::planner {

enum class Protocol { kRaft, kMultiPaxos, kEPaxos, kChain, kQuorum, kPrimaryBackup, kCrdt };

inline constexpr double kReplicationTimeoutMs = 100;

std::optional<Protocol> protocol_named(std::string_view name);
std::string_view protocol_name(Protocol protocol);
std::vector<std::string> protocol_names();
bool has_leader(Protocol protocol);  // raft, multipaxos, primary-backup; and chain, its head

// ⌊n/2⌋ + 1
constexpr size_t majority_of(size_t sites) { return sites / 2 + 1; }
// EPaxos, section 4.4: F + ⌊(F+1)/2⌋ with n = 2F + 1, its command leader among them; for other n, a majority at least.
constexpr size_t fast_quorum_of(size_t sites) {
  const size_t failures = (sites - 1) / 2;
  const size_t quorum = failures + (failures + 1) / 2;
  return quorum < majority_of(sites) ? majority_of(sites) : quorum;
}

// Whether writes commit while only `alive` sites (a bit each) reach each other, without changing the membership.
bool can_write(Protocol protocol, uint64_t alive, size_t sites, size_t leader);
// `takes_out`: a chain's failed sites, and a primary's, are taken out by a majority, so that the others go on.
bool can_elect_and_write(Protocol protocol, uint64_t alive, size_t sites, bool takes_out = false);

struct Availability {
  // With 0, 1, 2… sites gone: the share of such failures through which writes go on once a new leader is elected.
  std::vector<double> share_by_failures;
  double writes = 0;  // probability, each site being up with `site_availability`
};
Availability availability(Protocol protocol, size_t sites, double site_availability, bool takes_out = false);

// "read" | "read, write" and how the minority side of a parted network catches up.
std::string minority_rights(Protocol protocol, bool takes_out = false);

struct LeaderFitness {
  size_t site = 0;
  double mean_ms = 0;  // round trip to the other sites
  double fitness = 0;
};
// .3 · 1/(mean ms + 1) + .3 · activity + .4 · stability, best first. `activity` (0.5 where empty) and `stability` (1
// where empty) are of each site, 0 to 1.
std::vector<LeaderFitness> leaders_by_fitness(const RoundTripMatrix& matrix, std::span<const double> activity,
                                              std::span<const double> stability);

}  // namespace verge::planner
