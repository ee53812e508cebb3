// Scoreboard: what the demonstration has to answer for, and the arithmetic behind it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"

namespace verge::cli {

// A numbered record of a device.
struct PartKey {
  std::string machine;
  uint64_t number = 0;
  auto operator<=>(const PartKey&) const = default;
};

// Counts what the root of the tree stores, as it is read from there, each stored record once.
class StoredRecords {
 public:
  // One line of GET /v1/events.
  void add(std::string_view event);

  [[nodiscard]] bool holds(const PartKey& part) const { return parts_.contains(part); }
  [[nodiscard]] size_t records() const { return records_; }
  [[nodiscard]] size_t parts() const { return parts_.size(); }
  // Acknowledged, but not here.
  [[nodiscard]] uint64_t lost(const std::set<PartKey>& acknowledged) const;
  // Stored more often than said: the same part of a machine again, or the same record of a node again.
  [[nodiscard]] uint64_t duplicated() const { return duplicated_; }
  // The last ten-second values of each machine, as JSON.
  [[nodiscard]] const std::map<std::string, std::string>& machine_values() const { return machine_values_; }
  // Topics that ended in "/10s" and are no machine's.
  [[nodiscard]] const std::map<std::string, std::string>& other_values() const { return other_values_; }

 private:
  size_t records_ = 0;
  uint64_t duplicated_ = 0;
  std::set<PartKey> parts_;
  std::set<std::string> identities_;  // node, stream and sequence at the origin
  std::map<std::string, std::string> machine_values_;
  std::map<std::string, std::string> other_values_;
};

struct Score {
  uint64_t seed = 0;
  double seconds = 0;
  uint64_t messages_in = 0;  // published by devices
  Histogram::Snapshot decision;
  uint64_t bytes_in = 0;    // on the wire, from devices to the edge
  uint64_t bytes_sent = 0;  // on the wire, from the edge to its parent
  uint64_t acknowledged = 0;
  uint64_t lost = 0;
  uint64_t duplicated = 0;
  uint64_t records = 0;     // at the root
  Duration recover_edge{};  // from its restart to the first new acknowledgement
  Duration recover{};       // from the parent's return until the backlog was at the root
  size_t machines = 0;
  std::map<std::string, std::string> machine_values;
  std::map<std::string, std::string> other_values;

  [[nodiscard]] double percent_sent() const;
  // Nothing acknowledged was lost or stored twice, and the root answers for every machine.
  [[nodiscard]] bool passed() const;
};

std::string text_of(const Score& score);
std::string json_of(const Score& score);

}  // namespace verge::cli
