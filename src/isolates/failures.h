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
// What the worker's owner is told: with the code, and what was thrown with its place and stack, which is more than a
// line.
std::string owner_text(const Error& error);
// What anybody is told: what was thrown may have the worker's secrets in it.
std::string public_text(const Error& error, const std::string& worker);
// Over a limit, as opposed to failed by itself.
bool is_limit(const Error& error);

}  // namespace verge::isolates
