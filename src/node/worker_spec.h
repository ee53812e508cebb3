// WorkerSpec: a worker with all that belongs to it: what is configured, or was deployed, with its modules and secrets.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "isolates/worker.h"
#include "node/config_worker.h"

namespace verge::node {

struct WorkerSpec {
  WorkerConfig config;
  std::vector<isolates::ModuleSource> modules;                 // the first is the main one
  std::vector<std::pair<std::string, std::string>> variables;  // of `env`, secrets among them
  uint64_t version = 0;                                        // of a deploy; 0: it is of the configuration
};

// Where the configuration names no compatibility_date, the main module may. Error: workers.compatibility-date.
Result<void> settle_compatibility_date(WorkerSpec& spec);

}  // namespace verge::node
