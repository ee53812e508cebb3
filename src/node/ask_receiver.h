// AskReceiver: the questions of children that come to one loop (POST /v1/ask/RULE, docs/formats/ask.md). One that a
// higher level is to decide goes on to the parent; where that is out of reach, it is decided here.
//
// Bounds: kWaitingMax questions wait for the parent; beyond, 503.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/metrics.h"
#include "model/priority.h"
#include "net/http_exchange.h"
#include "node/event_path.h"
#include "node/questions.h"
#include "runtime/loop.h"

namespace verge::node {

class AskReceiver {
 public:
  static constexpr size_t kWaitingMax = 1024;
  static constexpr size_t kBytesMax = 1U << 20;
  static constexpr std::string_view kPath = "/v1/ask/";

  // Readable from any thread.
  struct Counters {
    Counter received;
    Counter answered;  // here
    Counter replaced;  // of these, in place of a level out of reach
    Counter forwarded;
  };

  // `name`: of this node. All outlive the receiver.
  AskReceiver(runtime::Loop& loop, EventPath& path, Questions& questions, Tier own, const std::string& name)
      : loop_(loop), path_(path), questions_(questions), own_(own), name_(name) {}

  // On the loop. Codes of refusals: ask.malformed, ask.busy, rules.unknown.
  void receive(const net::HttpRequest& request, net::HttpResponder responder);
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Answering {
    AskedQuestion question;
    net::HttpResponder responder;
  };

  void decide(const AskedQuestion& question, bool is_replaced, net::HttpResponder& responder);
  void pass_on(uint64_t number, const Outcome& outcome);

  runtime::Loop& loop_;
  EventPath& path_;
  Questions& questions_;
  const Tier own_;
  const std::string& name_;
  std::unordered_map<uint64_t, Answering> answering_;
  uint64_t next_ = 1;
  Counters counters_;
};

}  // namespace verge::node
