// HttpCalls: HTTP requests that workers answer, on one loop: a request becomes a call, the call's answer the answer.
//
// The answer streams at the pace of the client. A failure before the answer is 503 where a limit was passed and 500
// where the worker failed by itself, with a line of text and the field Verge-Worker-Error; later, it breaks the
// connection. An answer with status 101 becomes a WebSocket (ClientSocket), which a failure closes with 1011.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "isolates/call.h"
#include "isolates/pool.h"
#include "net/http_exchange.h"

namespace verge::isolates {

class HttpCalls {
 public:
  // Where a client is, as a JSON object; empty: not known.
  using PlaceOf = std::function<std::string(const net::Address& client)>;
  // `pool` outlives it.
  explicit HttpCalls(Pool& pool, PlaceOf place_of = {});
  // What is under way is dropped.
  ~HttpCalls();

  void answer(const std::shared_ptr<Worker>& worker, const net::HttpRequest& request, net::HttpResponder responder);

  // A request that asks for a WebSocket, as a node puts it to a worker.
  struct Upgrade {
    CallRequest call;
    // Who answers what the worker fetches; see CallObserver::begin_subrequest().
    std::function<std::unique_ptr<Subrequest>(const calls::Request&, bool ends, SubrequestObserver&)> subrequest;
    // Goes on as though there were no worker: where that fetches what was asked for, or fails so that `falls_back`.
    std::function<void(net::HttpResponder)> pass_by;
    std::function<bool(const CallFailure&)> falls_back;
  };
  void answer(const std::shared_ptr<Worker>& worker, const net::HttpRequest& request, net::HttpResponder responder,
              Upgrade upgrade);
  // Closes all WebSockets, with that code; they end when their clients have answered.
  void close_sockets(uint16_t code, std::string_view reason);

 private:
  class Exchange;
  void over(Exchange& exchange);
  Exchange& fresh_exchange();

  Pool& pool_;
  const PlaceOf place_of_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<std::unique_ptr<Exchange>> spare_;
  std::string url_;  // scratch, as the next
  std::vector<calls::Field> fields_;
};

// The status of an answer that says so: 503 or 500.
int status_of(const Error& error);
// Of Verge-Worker-Error: the code, and the worker as a parameter.
std::string error_field(const Error& error, const std::string& worker);

}  // namespace verge::isolates
