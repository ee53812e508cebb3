// UplinkReceiver: the batches of children that come to one loop, from the request to the answer.
//
// A batch may hold 131,072 records; to decompress and read it takes the time in which thousands of decisions should
// have been made. So the worker does that, and what comes back is stored and then evaluated in slices (event_path.h).
// Few batches are unpacked at a time; others wait as they came, compressed, and beyond a bound are refused: a child
// sends again.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>

#include "model/node_id.h"
#include "net/http_exchange.h"
#include "node/child_store.h"
#include "node/event_path.h"
#include "runtime/loop.h"
#include "spool/batch.h"

namespace verge::node {

class UplinkReceiver {
 public:
  // `self`: the id of this node. All outlive the receiver.
  UplinkReceiver(runtime::Loop& loop, runtime::Loop& worker, EventPath& path, ChildStore& children, const NodeId& self);

  // The body of POST /v1/uplink.
  void receive(Payload body, net::HttpResponder responder);
  // Refuses what is not begun and calls `idle` when what was begun is stored and evaluated. Nothing may come after.
  void drain(std::function<void()> idle);

 private:
  struct Waiting {
    Payload body;
    net::HttpResponder responder;
  };
  // What the worker makes of a batch.
  struct Unpacked {
    ChildBatch batch;
    bool has_circle = false;  // an event came back to where it entered
    std::optional<Error> error;
    int status = 400;  // with the error
  };

  void begin_next();
  static Unpacked unpack(std::string_view body, const NodeId& self);
  void store(uint64_t number, Unpacked batch);
  void end_one();

  runtime::Loop& loop_;
  runtime::Loop& worker_;
  EventPath& path_;
  ChildStore& children_;
  const NodeId self_;
  std::deque<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  std::unordered_map<uint64_t, net::HttpResponder> answering_;
  uint64_t next_number_ = 1;
  size_t in_work_ = 0;
  bool circle_seen_ = false;
  std::function<void()> idle_;
};

}  // namespace verge::node
