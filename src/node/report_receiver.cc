#include "node/report_receiver.h"

#include <utility>

#include "node/problem.h"

namespace verge::node {

void ReportReceiver::receive(Payload body, net::HttpResponder responder) {
  if (answering_.size() >= kWaitingMax) {
    return respond_problem(responder, 503, {"report.busy", "too many reports wait", "send the next one"},
                           {{"Retry-After", "1"}});
  }
  const uint64_t number = next_++;
  answering_.emplace(number, std::move(responder));
  overview_loop_.post([this, number, body = std::move(body)] {
    loop_.post([this, number, answered = overview_.receive(body.view())] { answer(number, answered); });
  });
}

void ReportReceiver::answer(uint64_t number, const Result<std::string>& answer) {
  const auto place = answering_.find(number);
  net::HttpResponder responder = std::move(place->second);
  answering_.erase(place);
  if (!answer) return respond_problem(responder, answer.error().code == "report.loop" ? 409 : 400, answer.error());
  responder.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = *answer});
}

}  // namespace verge::node
