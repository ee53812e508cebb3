// EdgeCode: people's code in the flow of requests, as the proxy of one loop calls it. What it runs in, and how, is not
// the cache's: node/ connects it to the isolates.
//
// Code is routed to URLs at one position. An answer that it makes comes as an origin's does, through an UpstreamCall.
//
// Threading: on the loop of its proxy.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "base/payload.h"
#include "cache/code_position.h"
#include "cache/composition.h"
#include "net/address.h"
#include "net/http_exchange.h"
#include "net/upstream.h"

namespace verge::cache {

// Code that a URL is routed to.
class CodeRoute {
 public:
  // Views are good until begin() returns.
  struct Request {
    std::string_view method;
    std::string_view url;                    // as the client asked, with scheme and host
    std::span<const net::HttpField> fields;  // without Host
    Payload body;
    const net::Address* client = nullptr;
    Nesting nesting;             // of the request that it answers
    bool may_fall_back = false;  // there is something to be asked instead
  };
  // Begins what the code is given the answer of.
  using BeginAnswer = std::function<std::unique_ptr<net::UpstreamCall>(net::UpstreamObserver&)>;

  virtual ~CodeRoute() = default;
  // Which code it is, whichever table of routes it was found in; not 0.
  [[nodiscard]] virtual uint64_t code() const = 0;
  // Where it fails, its call answers with the error itself, unless what it stands for is to be asked instead: then, and
  // before a head only, on_failed() says so.
  [[nodiscard]] virtual std::unique_ptr<net::UpstreamCall> begin(const Request& request,
                                                                 net::UpstreamObserver& observer) = 0;
  // The code is called when the head of that answer is there, and gets it when it fetches the request's own URL. An
  // answer that fails before its head fails the call as it failed, and 304 is passed on without the code.
  [[nodiscard]] virtual std::unique_ptr<net::UpstreamCall> begin_on_answer(const Request& request,
                                                                           const BeginAnswer& begin_answer,
                                                                           net::UpstreamObserver& observer) = 0;
  // A client's request that asks for a WebSocket: the code answers it, with one or otherwise; or `pass_by` is called
  // with the responder, in a later turn, to go on as though there were no code.
  virtual void answer_upgrade(const Request& request, const net::HttpRequest& asked, net::HttpResponder responder,
                              std::function<void(net::HttpResponder)> pass_by) {
    static_cast<void>(request), static_cast<void>(asked);
    pass_by(std::move(responder));
  }
};

class EdgeCode {
 public:
  virtual ~EdgeCode() = default;
  // The code for a URL at that position; null: none. Shared: it stays until what it answers is over.
  [[nodiscard]] virtual std::shared_ptr<CodeRoute> find(CodePosition position, std::string_view host,
                                                        std::string_view path) = 0;
};

}  // namespace verge::cache
