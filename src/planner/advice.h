// Edge or cloud, from six factors, and the usual mistakes of plans.
#pragma once

#include <string>
#include <vector>

namespace verge::planner {

struct AdviceInput {
  double latency_ms = 50;                   // that is needed
  double bandwidth_mbps = 10;               // that a site produces
  double gigabytes_per_day = 10;            // that a site produces
  bool is_private = false;                  // data must stay where it arises
  double line_availability_percent = 99.9;  // of the line to the cloud
  bool must_run_offline = false;
  std::string computing = "general";  // realtime, inference, general, batch, training
  // What the plan says of itself.
  double edge_utilisation = 0.5;  // 0 to 1
  double estimated_edge_nodes = 1;
  double operators = 1;           // people who run them
  bool has_security_plan = true;  // encryption, identities, updates
  bool has_offline_strategy = true;
  double services = 2;  // the workload's parts that can be placed apart
};

struct Factor {
  std::string name;
  double weight = 0;  // towards the edge; negative: towards the cloud; 0: no matter
  std::string reason;
};

struct Mistake {
  std::string name;
  std::string evidence;
  std::string remedy;
};

struct Advice {
  std::string where;  // edge, cloud or both
  double score = 0;   // the sum of the weights
  std::vector<Factor> factors;
  std::vector<Mistake> mistakes;
};

Advice advise(const AdviceInput& input);

}  // namespace verge::planner
