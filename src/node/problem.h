// How an Error looks over HTTP: {"error":{"code":…,"what":…,"fix":…}}.
#pragma once

#include <vector>

#include "base/error.h"
#include "net/http_exchange.h"

namespace verge::node {

void respond_problem(net::HttpResponder& responder, int status, const Error& error,
                     std::vector<net::HttpField> fields = {});

}  // namespace verge::node
