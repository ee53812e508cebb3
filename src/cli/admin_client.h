// Asks a running node's admin listener, and waits for the answer.
//
// From another machine a node may want one of its admin.tokens: it stands in a file that the environment variable
// VERGE_ADMIN_TOKEN_FILE names.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "net/http_client.h"
#include "runtime/loop.h"

namespace verge::cli {

struct AdminAnswer {
  int status = 0;
  std::string body;
  std::string next;  // the field Verge-Next: where a cut-off answer goes on; empty when it is complete
};

inline constexpr size_t kAdminAnswerMax = 64U << 20;  // bytes; longer ones are refused

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

// Asks again and again on a loop of the caller's, over one connection, and waits for nothing.
class AdminClient {
 public:
  // Called once for each question, on the loop, unless the client is gone by then.
  using Answered = std::move_only_function<void(Result<AdminAnswer>)>;

  // Looks the address up, which may take a while, and reads the token. `loop` outlives the client. Errors: those of
  // net::Address::resolve(), config.secret.
  static Result<AdminClient> create(runtime::Loop& loop, std::string authority);

  // GET; errors as of admin_get(). The time-out counts from now, for questions before it, too.
  void get(std::string_view target, Duration timeout, Answered answered);

 private:
  AdminClient(std::string authority, std::string token) : authority_(std::move(authority)), token_(std::move(token)) {}

  std::string authority_;
  std::string token_;
  std::unique_ptr<net::HttpClient> client_;
};

}  // namespace verge::cli
