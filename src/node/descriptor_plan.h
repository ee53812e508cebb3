// DescriptorPlan: what the descriptors of this process are for. A node that accepts connections until there are none
// left cannot open the files of its spool any more, and what it acknowledged goes nowhere.
//
// So some are kept back, for files, the uplink and queries: connections of clients and to origins never get them
// (net::TcpListener, net::UpstreamPool). And the configured numbers of connections are bounded by what is left, in
// proportion, so that neither protocol takes what is meant for the other.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace verge::node {

// What a node is to serve, and what it needs for itself before the first connection comes.
struct DescriptorDemand {
  uint64_t own = 0;
  uint64_t mqtt = 0;  // connections; 0: no listener
  uint64_t http = 0;
};

struct DescriptorPlan {
  uint64_t limit = UINT64_MAX;
  // The lowest number that a descriptor of a connection may not have, and of one to the admin listener.
  uint64_t for_connections = UINT64_MAX;
  uint64_t for_admin = UINT64_MAX;
  uint64_t mqtt = 0;  // connections at most
  uint64_t http = 0;

  // What was bounded, to be logged; empty where all that is configured fits.
  [[nodiscard]] std::string warning(const DescriptorDemand& demand) const;
};

// `limit`: how many this process may have. Error node.descriptors: too few to start with.
Result<DescriptorPlan> plan_descriptors(uint64_t limit, const DescriptorDemand& demand);

}  // namespace verge::node
