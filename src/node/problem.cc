#include "node/problem.h"

#include "base/text.h"

namespace verge::node {

void respond_problem(net::HttpResponder& responder, int status, const Error& error,
                     std::vector<net::HttpField> fields) {
  const std::string body = error_json(error) + "\n";
  responder.respond({.status = status, .content_type = "application/json", .fields = std::move(fields), .body = body});
}

}  // namespace verge::node
