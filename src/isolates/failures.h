// What is said of calls that fail. The codes are in docs/errors.md.
#pragma once

#include <string>

#include "base/error.h"
#include "calls/messages.h"
#include "isolates/worker.h"

namespace verge::isolates {

Error cpu_error(const std::string& worker, const WorkerLimits& limits);
Error memory_error(const std::string& worker, const WorkerLimits& limits);
Error wall_error(const std::string& worker, const WorkerLimits& limits);
Error subrequests_error(const Worker& worker);
Error answer_error(const Worker& worker);
// Of what an isolate process said.
Error error_of(const calls::Failure& failure, const Worker& worker);
// Over a limit, as opposed to failed by itself.
bool is_limit(const Error& error);

}  // namespace verge::isolates
