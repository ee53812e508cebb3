// AdminAccess: who may use the admin listener.
//
// Who is on this machine may, and others where admin.tokens is empty (then node.allow_anonymous opened the listener to
// them) or they show one of these tokens. Health, and the pages of the dashboard, are anybody's.
//
// A browser on this machine is a way in for every page that it shows: a page of elsewhere can have its own name
// resolved to 127.0.0.1 and then reads what is here as its own (DNS rebinding). So a request from this machine has to
// name an address or localhost as its Host, unless it shows a token. What changes something is refused to pages of
// elsewhere by its Origin.
//
// Threading: on the loop of the admin listener.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "net/bearer_tokens.h"
#include "net/http_exchange.h"

namespace verge::node {

// "127.0.0.1:9180", "[::1]", "localhost:9180": what no name server can be made to point elsewhere.
bool names_no_name(std::string_view host);

class AdminAccess {
 public:
  explicit AdminAccess(std::shared_ptr<const net::BearerTokens> tokens) : tokens_(std::move(tokens)) {}
  // Whether others are admitted from now on.
  bool replace(std::shared_ptr<const net::BearerTokens> tokens) {
    const bool are_others = *tokens != *tokens_;
    tokens_ = std::move(tokens);
    return are_others;
  }

  struct Refusal {
    int status = 0;
    Error error;
  };
  // Nothing: the request is admitted. Codes: admin.unauthorized, admin.host, http.from-page.
  [[nodiscard]] std::optional<Refusal> refusal(const net::HttpRequest& request) const;

 private:
  std::shared_ptr<const net::BearerTokens> tokens_;
};

}  // namespace verge::node
