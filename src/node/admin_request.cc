// A request that a node makes of itself, with its trace: what `verge request` asks for.
#include <fmt/format.h>

#include "node/admin_api.h"
#include "node/node.h"
#include "node/problem.h"
#include "node/request_runs.h"

namespace verge::node {

void AdminApi::answer_request(const net::HttpRequest& request, net::HttpResponder responder) {
  if (request.method != "POST") {
    return respond_problem(responder, 405, {"http.method", "a request is posted", "use POST"}, {{"Allow", "POST"}});
  }
  if (node_.sites() == nullptr) {
    return respond_problem(responder, 404,
                           {"http.not-found", "this node has no site", "add a [[site]] to its configuration"});
  }
  Result<RequestRuns::Request> asked = read_run_request(request.body.view());
  if (!asked) return respond_problem(responder, 400, asked.error());
  const uint64_t number = next_query_++;
  asking_.emplace(number, std::move(responder));
  // The loops are the node's: this may be gone before they have answered.
  node_.run_request(*std::move(asked), [this, &loop = loop_, number](Result<RequestRuns::Answer> answer) {
    loop.post([this, number, answer = std::move(answer)] {
      auto waiting = asking_.extract(number);
      if (waiting.empty()) return;
      if (!answer) {
        return respond_problem(waiting.mapped(), answer.error().code == "http.busy" ? 503 : 400, answer.error());
      }
      waiting.mapped().respond(
          {.status = 200, .content_type = "application/json", .fields = {}, .body = json_of(*answer) + "\n"});
    });
  });
}

}  // namespace verge::node
