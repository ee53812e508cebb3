#include "node/admin_access.h"

#include <fmt/format.h>

#include "net/address.h"
#include "net/http_message.h"
#include "node/dashboard.h"

namespace verge::node {

bool names_no_name(std::string_view host) {
  std::string_view name = host;
  if (const size_t colon = name.rfind(':'); colon != std::string_view::npos && name.find(']', colon) == name.npos) {
    name = name.substr(0, colon);
  }
  if (net::equals_ignoring_case(name, "localhost")) return true;
  return net::Address::parse(std::string(name) + ":1").has_value();
}

std::optional<AdminAccess::Refusal> AdminAccess::refusal(const net::HttpRequest& request) const {
  if (request.path == "/healthz" || request.path == "/readyz") return std::nullopt;
  const std::optional<std::string_view> token = net::bearer_token(request.fields);
  const bool has_token = token && tokens_->accept(*token);
  const bool is_here = request.peer.is_loopback();
  // The page says nothing of the node; it asks for the token.
  const bool is_page = dashboard_file(request.path).has_value();
  if (!has_token && !is_here && !is_page && !tokens_->empty()) {
    return Refusal{401,
                   {"admin.unauthorized", token ? "this token is not known here" : "a token is needed",
                    "show one of admin.tokens: Authorization: Bearer …"}};
  }
  if (!has_token && is_here && !request.host.empty() && !names_no_name(request.host)) {
    return Refusal{403,
                   {"admin.host", fmt::format("{} is a name, and names can be made to point here", request.host),
                    "ask 127.0.0.1 or localhost, or show one of admin.tokens"}};
  }
  const bool reads = request.method == "GET" || request.method == "HEAD";
  const std::optional<std::string_view> origin = request.field("origin");
  if (reads || !origin) return std::nullopt;
  const size_t scheme = origin->find("://");
  const bool is_own = scheme != std::string_view::npos && origin->substr(scheme + 3) == request.host &&
                      (has_token || names_no_name(request.host));
  if (is_own) return std::nullopt;
  return Refusal{403,
                 {"http.from-page", "a web page of elsewhere may not change anything here", "send it without Origin"}};
}

}  // namespace verge::node
