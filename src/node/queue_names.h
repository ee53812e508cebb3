// Which queues a configuration and its workers name, and what is wrong with that.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "node/config.h"

namespace verge::node {

// A name that no queue has; what it may have been meant for is in the error. Code: queues.unknown.
Error unknown_queue(std::string_view name, const std::vector<QueueConfig>& queues);

// Two queues of one name, a queue that would take its own dead letters, names of queues that there are not, and a queue
// that two workers would consume (config.value), of a configuration that reads well.
ConfigProblems check_queues(const Config& config);

}  // namespace verge::node
