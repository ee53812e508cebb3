// ReportReceiver: the reports of children that come to one loop (docs/formats/report.md). They are read and kept on the
// loop of the admin listener, of lower priority; here they are only handed on and answered.
//
// Bounds: kWaitingMax of them, of Report::kBytesMax each at most, wait for that loop; beyond, 503.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "net/http_exchange.h"
#include "node/overview.h"
#include "runtime/loop.h"

namespace verge::node {

class ReportReceiver {
 public:
  static constexpr size_t kWaitingMax = 64;

  // All outlive the receiver, and `overview_loop` does not run any more when it goes.
  ReportReceiver(runtime::Loop& loop, runtime::Loop& overview_loop, Overview& overview)
      : loop_(loop), overview_loop_(overview_loop), overview_(overview) {}

  // The body of POST /v1/report.
  void receive(Payload body, net::HttpResponder responder);

 private:
  void answer(uint64_t number, const Result<std::string>& answer);

  runtime::Loop& loop_;
  runtime::Loop& overview_loop_;
  Overview& overview_;
  std::unordered_map<uint64_t, net::HttpResponder> answering_;
  uint64_t next_ = 1;
};

}  // namespace verge::node
