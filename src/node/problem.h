// How an Error looks over HTTP: {"error":{"code":…,"what":…,"fix":…}}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http_exchange.h"

namespace verge::node {

void respond_problem(net::HttpResponder& responder, int status, const Error& error,
                     std::vector<net::HttpField> fields = {});
// 400 http.parameter: what a parameter of the query says is not understood.
void respond_wrong_parameter(net::HttpResponder& responder, std::string_view name, std::string_view value,
                             std::string fix);

}  // namespace verge::node
