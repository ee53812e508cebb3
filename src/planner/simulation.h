// A discrete-event simulation of a replication protocol over a map of round trips.
//
// Clients live at the sites and issue the next operation as soon as the last is answered. A message takes half a round
// trip, give or take a fiftieth; messages between two sites arrive in the order they left. The operation is
//
//   raft, multipaxos  client -> leader -> all; a majority answers -> client
//   epaxos            the client's site asks all and waits for a fast quorum; where their dependencies differ, it asks
//   a
//                     majority to accept their union (Moraru, Andersen and Kaminsky, SOSP 2013, section 4)
//   chain             client -> head -> … -> tail -> client (van Renesse and Schneider, OSDI 2004)
//   quorum            the client's site asks all and waits for a majority
//   primary-backup    client -> primary -> all; all answer -> client
//   crdt              the client's site answers at once and tells the others
//
// Operations interfere when they are about one key: a share `conflict` of them is about a hot one, all others have
// their own. An operation is executed where its client is when all that it depends on is known there. The same seed
// gives the same answer.
//
// Outages are acted out. A message that does not get through is sent again every 100 ms, the replication timeout, until
// it does, so that nothing is lost and a site that was cut off catches up when it is back. A leader of raft or
// multipaxos that reached no majority for a second is replaced by the site of the majority that is nearest to it, and
// what was under way goes to the new one. EPaxos's owner takes the slow path where its fast quorum does not answer
// within the timeout. Where failed sites are taken out, whoever directs a chain or a primary and its backups does so
// when a site was out of the majority's reach for a second: the chain closes, or the site that is nearest to the
// primary takes over, what was under way begins anew, and a site that is back for a second stands at the chain's end
// again, or is a backup. An operation is late when it takes longer than any would without outages; the time beyond that
// is time in which its client could not write.
//
// A share `loss` of the messages is lost for good; what a lost one said is sent again after the timeout, and what
// follows on that link waits for it, as on a connection.
#pragma once

#include <cstdint>
#include <vector>

#include "planner/outages.h"
#include "planner/replication.h"

namespace verge::planner {

struct SimulationOptions {
  Protocol protocol = Protocol::kRaft;
  size_t leader = 0;
  double conflict = 0;  // 0 to 1
  uint64_t operations = 100'000;
  unsigned clients_per_site = 10;
  double payload_bytes = 1024;
  uint64_t seed = 1;
  std::vector<Outage> outages;
  double loss = 0;         // of the messages, 0 to 0.9
  bool takes_out = false;  // chain, primary-backup: sites that failed
};

struct SiteLatency {
  double commit_p50_ms = 0;
  double commit_p99_ms = 0;
  double execute_p50_ms = 0;
  double execute_p99_ms = 0;
  uint64_t operations = 0;
  double write_availability = 1;  // share of the time in which its clients could write
};

struct SimulationAnswer {
  std::vector<SiteLatency> sites;
  double messages_per_operation = 0;
  double bytes_per_operation = 0;
  double slow_share = 0;          // of EPaxos's operations that took the slow path
  double convergence_p99_ms = 0;  // crdt: until every site has it
  uint64_t operations = 0;
  double duration_ms = 0;
  double write_availability = 1;  // mean of the sites'
  double read_availability = 1;   // share of the time in which a site was up: what it has may be read there, old or not
  double timed_out_share = 0;     // of the operations: took more than the replication timeout
  uint64_t elections = 0;         // or, where sites are taken out, how often that or their return happened
  uint64_t messages_lost = 0;
  uint64_t messages_again = 0;  // sent again because they did not get through
  double synchronised_ms = 0;   // after the end of an outage: until the last message that it held up arrived
};

SimulationAnswer simulate(const RoundTripMatrix& matrix, const SimulationOptions& options);

}  // namespace verge::planner
