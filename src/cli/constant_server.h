// ConstantServer: a bare epoll(7) loop that answers every HTTP request with the same bytes: the most that a server on
// one core can do on this machine, with which caches are compared.
//
// It looks for the empty line that ends a head and for nothing else; requests have no bodies. No timers, no limits, no
// bookkeeping: a measure, not a server.
#pragma once

#include <string>

#include "base/error.h"

namespace verge::cli {

// Serves on `listen` until the process ends; `ready_file`, if any, is written once connections are accepted:
// {"http":["HOST:PORT"]}. Errors: those of listening; cli.ready-file.
Result<void> serve_constant(const std::string& listen, size_t body_bytes, const std::string& ready_file);

}  // namespace verge::cli
