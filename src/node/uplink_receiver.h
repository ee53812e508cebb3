// UplinkReceiver: the batches of children that come to one loop, from the request to the answer.
//
// What is done in which order, and what waits, a Reception decides (reception.h). This gives it the loop, the worker
// that unpacks, and the event path, which stores and then evaluates in slices (event_path.h).
#pragma once

#include <functional>
#include <unordered_map>

#include "model/node_id.h"
#include "net/http_exchange.h"
#include "node/child_store.h"
#include "node/event_path.h"
#include "runtime/loop.h"
#include "spool/reception.h"

namespace verge::node {

class UplinkReceiver final : private spool::Reception::Effects {
 public:
  // `self`: the id of this node. All outlive the receiver.
  UplinkReceiver(runtime::Loop& loop, runtime::Loop& worker, EventPath& path, ChildStore& children, const NodeId& self);

  // The body of POST /v1/uplink.
  void receive(Payload body, net::HttpResponder responder);
  // Refuses what is not begun and calls `idle` when what was begun is stored and evaluated. Nothing may come after.
  void drain(std::function<void()> idle);

 private:
  void unpack(uint64_t number, Payload body, bool quick) override;
  void store(uint64_t number, ChildBatch batch) override;
  void answer(uint64_t number, const spool::BatchAnswer& answer) override;
  void idle() override { idle_(); }

  runtime::Loop& loop_;
  runtime::Loop& worker_;
  EventPath& path_;
  ChildStore& children_;
  const NodeId self_;
  spool::Reception reception_;
  std::unordered_map<uint64_t, net::HttpResponder> answering_;
  uint64_t next_number_ = 1;
  std::function<void()> idle_;
};

}  // namespace verge::node
