#include "node/descriptor_plan.h"

#include <algorithm>

#include <fmt/format.h>

namespace verge::node {
namespace {

// The spool has five logs, each with a file that is written and up to three that are read; then snapshots, the disk
// tier of the cache, lanes and paths of the uplink, queries, names that are resolved.
constexpr uint64_t kKeptBackMax = 256;
constexpr uint64_t kKeptBackMin = 32;
constexpr uint64_t kConnectionsMin = 8;

}  // namespace

Result<DescriptorPlan> plan_descriptors(uint64_t limit, const DescriptorDemand& demand) {
  const uint64_t kept_back = std::clamp(limit / 8, kKeptBackMin, kKeptBackMax);
  const uint64_t needed = demand.own + kept_back + kConnectionsMin;
  if (limit < needed) {
    return fail("node.descriptors",
                fmt::format("this process may have {} descriptors and needs {} at least", limit, needed),
                "raise the limit: LimitNOFILE= in the systemd unit, or ulimit -n");
  }
  const uint64_t left = limit - kept_back - demand.own;
  DescriptorPlan plan{.limit = limit,
                      .for_connections = limit - kept_back,
                      .for_admin = limit - kept_back / 2,
                      .mqtt = demand.mqtt,
                      .http = demand.http};
  const uint64_t wanted = demand.mqtt + demand.http;
  if (wanted <= left) return plan;
  const auto part = [&](uint64_t each) {
    const double share = static_cast<double>(each) / static_cast<double>(wanted);
    return each == 0 ? 0 : std::max<uint64_t>(1, static_cast<uint64_t>(share * static_cast<double>(left)));
  };
  plan.mqtt = part(demand.mqtt);
  plan.http = part(demand.http);
  return plan;
}

std::string DescriptorPlan::warning(const DescriptorDemand& demand) const {
  std::string bounded;
  const auto note = [&](std::string_view key, uint64_t from, uint64_t to) {
    if (from == to) return;
    fmt::format_to(std::back_inserter(bounded), "{}{} is {} instead of {}", bounded.empty() ? "" : ", ", key, to, from);
  };
  note("mqtt.connections_max", demand.mqtt, mqtt);
  note("http.connections_max", demand.http, http);
  if (bounded.empty()) return bounded;
  return fmt::format(
      "{}: this process may have {} descriptors, of which {} are for its own files and the uplink; for more raise "
      "LimitNOFILE= in the systemd unit (ulimit -Hn), or set the keys lower",
      bounded, limit, limit - (mqtt + http));
}

}  // namespace verge::node
