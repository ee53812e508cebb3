#include "node/problem.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::node {

void respond_problem(net::HttpResponder& responder, int status, const Error& error,
                     std::vector<net::HttpField> fields) {
  const std::string body = error_json(error) + "\n";
  responder.respond({.status = status, .content_type = "application/json", .fields = std::move(fields), .body = body});
}

void respond_wrong_parameter(net::HttpResponder& responder, std::string_view name, std::string_view value,
                             std::string fix) {
  respond_problem(responder, 400,
                  {"http.parameter", fmt::format("?{}={} is not understood", name, printable(value)), std::move(fix)});
}

}  // namespace verge::node
