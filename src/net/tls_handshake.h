// TlsHandshake: agrees on TLS over a connected socket, on one loop. What comes out is a socket that speaks TLS, to be
// given to a TcpStream, on this loop or another.
//
// When it fails, the peer is told why (an alert) and its input is read and thrown away for a moment: closing over
// unread input would reset the connection and could destroy the alert on its way.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "net/socket.h"
#include "runtime/loop.h"

namespace verge::net {

class TlsHandshake final : private runtime::Watcher {
 public:
  // Called once, never from within start(), with the socket or the failure: the session's (see TlsSession), or
  // net.tls-handshake when the peer leaves or is not done after `time_max`. It may destroy this object.
  using Done = std::function<void(Result<Socket>)>;

  // `socket` is connected and has its session. `loop` outlives this object. `proxied`: a PROXY header comes first.
  TlsHandshake(runtime::Loop& loop, Socket socket, Duration time_max, Done done, bool proxied = false);
  ~TlsHandshake() override;

  // A client speaks first.
  void start();
  [[nodiscard]] const Address& peer() const { return peer_; }
  // Whom the peer speaks for, as its PROXY header says.
  [[nodiscard]] const std::optional<Address>& client() const { return client_; }

 private:
  void on_ready(uint32_t events) override;
  void read();
  void read_header(std::string_view bytes);
  void go_on(std::string_view bytes);
  // False when the connection broke.
  bool send();
  void watch_for_output(bool wanted);
  void begin_to_fail(Error error);
  void finish(Result<Socket> result);

  runtime::Loop& loop_;
  Socket socket_;
  const Address peer_;
  Done done_;
  bool proxied_;        // the PROXY header has not come yet
  std::string header_;  // what came of it
  std::optional<Address> client_;
  runtime::Timer timer_;
  uint32_t interest_ = 0;
  Error failure_;
  bool failing_ = false;  // the alert is sent; input is thrown away until the peer leaves
};

}  // namespace verge::net
