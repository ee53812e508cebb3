// Asks a running node's admin listener, and waits for the answer.
//
// From another machine a node may want one of its admin.tokens: it stands in a file that the environment variable
// VERGE_ADMIN_TOKEN_FILE names.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace verge::cli {

struct AdminAnswer {
  int status = 0;
  std::string body;
  std::string next;  // the field Verge-Next: where a cut-off answer goes on; empty when it is complete
};

// GET http://`authority`/`target`. Errors: those of net::HttpClient, net.address, config.secret, and admin.unauthorized
// where the node wants a token, or another.
Result<AdminAnswer> admin_get(std::string_view authority, std::string_view target,
                              Duration timeout = std::chrono::seconds(10));
// POST, likewise.
Result<AdminAnswer> admin_post(std::string_view authority, std::string_view target, std::string_view body,
                               Duration timeout = std::chrono::seconds(10));
// The same with a method, and with this bearer token unless that is empty.
Result<AdminAnswer> admin_request(std::string_view authority, std::string_view method, std::string_view target,
                                  std::string_view body, std::string_view token,
                                  Duration timeout = std::chrono::seconds(10));

}  // namespace verge::cli
