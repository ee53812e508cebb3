// The world that is planned for: nodes, users and workloads, read from records and checked.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "planner/geography.h"
#include "planner/record.h"

namespace verge::planner {

// Where something was written, for messages: "plan.toml:12".
struct Origin {
  std::string file;
  size_t line = 0;
  [[nodiscard]] std::string text() const;
};

// The lines of the keys that name something, for messages.
struct KeyLines {
  std::vector<std::pair<std::string, size_t>> lines;
  // That of the key; of the record where it does not have it.
  [[nodiscard]] Origin of(std::string_view key, const Origin& record) const;
};

struct PlanNode {
  std::string name;
  Coordinates at;
  std::string zone;           // failure domain; its name where it is not given
  std::string tier = "edge";  // edge, fog or cloud
  double cpu = 8;
  double memory_gb = 32;
  double bandwidth_mbps = 1000;
  double cost = 0;          // dollars an hour for what it serves
  double opening_cost = 0;  // dollars an hour for being used at all
  double load = 0;          // 0 to 1
  double uptime = 99.9;     // percent
  double storage_cost = 0;  // dollars a month for a replica
  Origin origin;
};

struct PlanUser {
  std::string name;
  Coordinates at;
  double weight = 1;  // requests a second, or people
  Origin origin;
};

struct PlanWorkload {
  std::string name;
  double cpu = 1;
  double memory_gb = 1;
  double bandwidth_mbps = 0;
  double latency_max_ms = 0;  // 0: no limit
  double uptime_min = 0;      // percent
  unsigned replicas = 1;
  bool spread_over_zones = false;
  std::vector<std::string> apart_from;  // workloads on no node with it
  std::vector<std::string> users;       // whom it serves; empty: all
  std::vector<std::string> data;        // nodes that hold what it reads
  std::vector<std::string> current;     // nodes it runs on now
  double move_cost = 1;                 // ms-equivalents of moving a replica
  Origin origin;
  KeyLines keys;
};

struct MeasuredRoundTrip {
  std::string from;
  std::string to;
  double round_trip_ms = 0;
  Origin origin;
  KeyLines keys;
};

struct PlanDocument {
  std::vector<PlanNode> nodes;
  std::vector<PlanUser> users;
  std::vector<PlanWorkload> workloads;
  std::vector<MeasuredRoundTrip> measurements;  // [[measured]] from, to, ms
  std::vector<Record> others;                   // [roi], [advise]: for the commands that know them
  std::string source;                           // the files it was read from, for messages: "plan.toml, nodes.csv"

  [[nodiscard]] std::optional<size_t> node_named(std::string_view name) const;
  [[nodiscard]] std::optional<size_t> user_named(std::string_view name) const;
  // plan.missing: `what` ("a node to place anything on") is in none of the files.
  [[nodiscard]] Error missing(std::string_view what, std::string fix) const;
};

// Errors: plan.unknown-key, plan.kind, plan.value, plan.coordinates, plan.unknown-node, plan.unknown-user,
// plan.name-twice, plan.missing, plan.impossible (a measurement below its floor).
Result<PlanDocument> read_plan(std::span<const Record> records);

// For commands with a table of their own: the field as a number in its range. Errors: plan.value.
Result<double> number_in(const Record& record, const Field& field, double least, double most);

}  // namespace verge::planner
