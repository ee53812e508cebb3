// TlsListener: accepts connections on one loop and hands them on when TLS is agreed.
//
// A handshake costs up to a millisecond of signing, more than an event loop may be held up, and thousands come at once
// when a line is back. So the handshakes have a loop of their own, which may run at a lower priority, and the sockets
// go on to the event loops with their sessions. (To interleave signing with the messages of an event loop was the
// alternative: each would still be held up for as long as one signature takes, and all of them together.)
//
// Bounds: `pending_max` connections may be in their handshake. One more closes the one that has been at it the
// longest: peers that mean it are done in two round trips, those that stall are not.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "base/metrics.h"
#include "net/listener.h"
#include "net/network.h"
#include "net/tls_context.h"
#include "net/tls_handshake.h"

namespace verge::net {

struct TlsListenerLimits {
  Duration handshake_timeout = std::chrono::seconds(10);
  size_t pending_max = 1024;
  uint64_t descriptors_max = UINT64_MAX;  // as TcpListener's
};

// Written on the listener's loop, readable anywhere.
struct TlsListenerCounters {
  Counter accepted;  // TLS was agreed
  Counter resumed;   // of these, with a ticket instead of certificates
  Counter failed;
};

class TlsListener final : private runtime::TurnEnd {
 public:
  // `client`: whom a proxy speaks for, as its PROXY header says.
  using Accepted = std::function<void(Socket, const std::optional<Address>& client)>;
  // `accepted` is called with each connection that speaks TLS, on `loop`, which outlives the listener. `name` stands in
  // the log.
  TlsListener(runtime::Loop& loop, std::string name, Socket socket, std::shared_ptr<const TlsContext> context,
              const TlsListenerLimits& limits, Accepted accepted);
  ~TlsListener() override;

  // Accepts no more and breaks off the handshakes under way. On the loop.
  void stop();
  // Connections of these begin with a PROXY header from now on; none: nobody's. On the loop.
  void expect_proxies(std::vector<Network> proxies) { proxies_ = std::move(proxies); }
  // For connections from now on. On the loop.
  void replace(std::shared_ptr<const TlsContext> context) { context_ = std::move(context); }

  [[nodiscard]] const TlsListenerCounters& counters() const { return counters_; }  // any thread
  [[nodiscard]] size_t pending() const { return pending_.size() - ended_.size(); }

 private:
  using Pending = std::list<std::unique_ptr<TlsHandshake>>;
  void begin(Socket socket);
  void end(Pending::iterator handshake, Result<Socket> result);
  void note_failure(const Address& peer, const Error& error);
  void on_turn_end() override;

  runtime::Loop& loop_;
  const std::string name_;
  std::shared_ptr<const TlsContext> context_;
  const TlsListenerLimits limits_;
  Accepted accepted_;
  std::vector<Network> proxies_;
  Pending pending_;                       // oldest first
  std::vector<Pending::iterator> ended_;  // destroyed at the end of the turn
  TlsListenerCounters counters_;
  SeldomLine failures_;
  std::unique_ptr<TcpListener> listener_;
};

}  // namespace verge::net
