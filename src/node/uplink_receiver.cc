#include "node/uplink_receiver.h"

#include <utility>

#include "node/problem.h"

namespace verge::node {

UplinkReceiver::UplinkReceiver(runtime::Loop& loop, runtime::Loop& worker, EventPath& path, ChildStore& children,
                               const NodeId& self)
    : loop_(loop), worker_(worker), path_(path), children_(children), self_(self), reception_(*this) {}

void UplinkReceiver::receive(Payload body, net::HttpResponder responder) {
  const uint64_t number = next_number_++;
  answering_.emplace(number, std::move(responder));
  reception_.receive(number, std::move(body));
}

void UplinkReceiver::drain(std::function<void()> idle) {
  idle_ = std::move(idle);
  reception_.drain();
}

void UplinkReceiver::unpack(uint64_t number, Payload body, bool quick) {
  if (quick) {
    loop_.post([this, number, batch = spool::unpack_batch(body.view(), self_)]() mutable {
      reception_.unpacked(number, std::move(batch));
    });
    return;
  }
  worker_.post([this, number, body = std::move(body)]() mutable {
    spool::UnpackedBatch batch = spool::unpack_batch(body.view(), self_);
    body = {};
    loop_.post([this, number, batch = std::move(batch)]() mutable { reception_.unpacked(number, std::move(batch)); });
  });
}

void UplinkReceiver::store(uint64_t number, ChildBatch batch) {
  path_.climb(
      children_, std::move(batch), [this, number](const ChildBatch& stored) { reception_.stored(number, stored); },
      [this] { reception_.evaluated(); });
}

void UplinkReceiver::answer(uint64_t number, const spool::BatchAnswer& answer) {
  const auto place = answering_.find(number);
  net::HttpResponder responder = std::move(place->second);
  answering_.erase(place);
  if (answer.status != 200) {
    std::vector<net::HttpField> fields;
    if (answer.later) fields.push_back({"Retry-After", "1"});
    return respond_problem(responder, answer.status, answer.problem, std::move(fields));
  }
  responder.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = answer.body});
}

}  // namespace verge::node
