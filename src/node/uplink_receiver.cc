#include "node/uplink_receiver.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "node/problem.h"

namespace verge::node {
namespace {

constexpr size_t kInWorkMax = 4;
constexpr uint64_t kUnpackedHereMax = 16U << 10;
constexpr size_t kWaitingBytesMax = 64U << 20;

Error draining() { return {"node.draining", "the node is shutting down", "send it again soon"}; }

}  // namespace

UplinkReceiver::UplinkReceiver(runtime::Loop& loop, runtime::Loop& worker, EventPath& path, ChildStore& children,
                               const NodeId& self)
    : loop_(loop), worker_(worker), path_(path), children_(children), self_(self) {}

void UplinkReceiver::receive(Payload body, net::HttpResponder responder) {
  if (idle_) return respond_problem(responder, 503, draining(), {{"Retry-After", "1"}});
  if (!waiting_.empty() && waiting_bytes_ + body.size() > kWaitingBytesMax) {
    return respond_problem(responder, 503,
                           {"uplink.busy", "more batches came than this node can unpack", "send it again later"},
                           {{"Retry-After", "1"}});
  }
  waiting_bytes_ += body.size();
  waiting_.push_back({std::move(body), std::move(responder)});
  begin_next();
}

void UplinkReceiver::drain(std::function<void()> idle) {
  idle_ = std::move(idle);
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    respond_problem(waiting.responder, 503, draining(), {{"Retry-After", "1"}});
  }
  waiting_bytes_ = 0;
  if (in_work_ == 0) idle_();
}

void UplinkReceiver::begin_next() {
  while (in_work_ < kInWorkMax && !waiting_.empty()) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= next.body.size();
    ++in_work_;
    const uint64_t number = next_number_++;
    answering_.emplace(number, std::move(next.responder));
    // What unpacks in some µs does not wait behind a backlog.
    if (spool::stated_bytes(next.body.view()).value_or(0) <= kUnpackedHereMax) {
      loop_.post(
          [this, number, batch = unpack(next.body.view(), self_)]() mutable { store(number, std::move(batch)); });
      continue;
    }
    worker_.post([this, number, body = std::move(next.body)]() mutable {
      Unpacked batch = unpack(body.view(), self_);
      body = {};
      loop_.post([this, number, batch = std::move(batch)]() mutable { store(number, std::move(batch)); });
    });
  }
}

UplinkReceiver::Unpacked UplinkReceiver::unpack(std::string_view body, const NodeId& self) {
  Unpacked made;
  const Result<spool::Batch> batch = spool::Batch::parse(body);
  if (!batch) {
    made.error = batch.error();
    return made;
  }
  if (batch->header.node == self) {
    made.error = {"uplink.loop", "the batch comes from this very node", "set parent.url to another node"};
    made.status = 409;
    return made;
  }
  made.batch.header = batch->header;
  for (const spool::Batch::Record& record : batch->records) {
    EventView event = record.event;
    // An event that comes back to where it entered has gone round in a circle of parents: here it ends.
    if (event.has_origin && event.origin_node == self) {
      made.has_circle = true;
      continue;
    }
    if (!event.has_origin) {
      event.has_origin = true;
      event.origin_node = batch->header.node;
      event.origin_name = batch->header.name;
      event.origin_sequence = record.sequence;
    }
    ChildBatch::Record& kept = made.batch.records.emplace_back();
    kept.sequence = record.sequence;
    append_event(kept.event, event);
  }
  return made;
}

void UplinkReceiver::store(uint64_t number, Unpacked batch) {
  const auto place = answering_.find(number);
  auto responder = std::make_shared<net::HttpResponder>(std::move(place->second));  // shared: a function is copied
  answering_.erase(place);
  if (batch.error) {
    respond_problem(*responder, batch.status, *batch.error);
    return end_one();
  }
  if (batch.has_circle && !std::exchange(circle_seen_, true)) {
    log_error("node",
              "events of this node come back from {}: the parents form a circle; set parent.url so that the topmost "
              "node has none",
              batch.batch.header.name);
  }
  const auto answer = [responder](const ChildBatch& stored) {
    size_t fresh = 0;
    size_t known = 0;
    for (const ChildBatch::Fate fate : stored.fates) {
      if (fate == ChildBatch::Fate::kRefused) {
        // What is too large stays so: the child sets it aside, and the rest goes on.
        if (stored.error.code.ends_with(".too-large")) return respond_problem(*responder, 413, stored.error);
        return respond_problem(*responder, 503, stored.error, {{"Retry-After", "1"}});
      }
      (fate == ChildBatch::Fate::kStored ? fresh : known) += 1;
    }
    const std::string body = fmt::format(R"({{"durable":true,"stored":{},"known":{}}})", fresh, known);
    responder->respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
  };
  path_.climb(children_, std::move(batch.batch), answer, [this] { end_one(); });
}

void UplinkReceiver::end_one() {
  --in_work_;
  begin_next();
  if (idle_ && in_work_ == 0) idle_();
}

}  // namespace verge::node
