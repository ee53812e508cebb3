#include "node/problem.h"

#include <fmt/format.h>

#include "base/text.h"

namespace verge::node {

void respond_problem(net::HttpResponder& responder, int status, const Error& error,
                     std::vector<net::HttpField> fields) {
  const std::string body = fmt::format("{{\"error\":{{\"code\":{},\"what\":{},\"fix\":{}}}}}\n",
                                       json_string(error.code), json_string(error.what), json_string(error.fix));
  responder.respond({.status = status, .content_type = "application/json", .fields = std::move(fields), .body = body});
}

}  // namespace verge::node
