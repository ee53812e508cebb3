// Socket: an owned socket descriptor, non-blocking and close-on-exec, that can move from one loop to another. Where TLS
// or WebSocket is spoken over it, its session goes along, so that whoever accepts, moves and keeps sockets need not
// know.
#pragma once

#include <memory>
#include <utility>

#include <unistd.h>

#include "base/error.h"
#include "net/address.h"
#include "net/local_end.h"
#include "net/tls_session.h"
#include "net/websocket_session.h"

namespace verge::net {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)),
        tls_(std::move(other.tls_)),
        websocket_(std::move(other.websocket_)),
        client_(std::move(other.client_)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(tls_, other.tls_);
    std::swap(websocket_, other.websocket_);
    std::swap(client_, other.client_);
    return *this;
  }
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  [[nodiscard]] int descriptor() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }

  // A listening TCP socket. `shared`: several may listen on one port (SO_REUSEPORT), each on a loop of its own.
  static Result<Socket> listen(const Address& address, bool shared);
  // Starts a TCP connection; it stands, or has failed, when the socket becomes writable.
  static Result<Socket> connect(const Address& address, const LocalEnd& from = {});

  // From now on TLS is spoken over it.
  void speak(std::unique_ptr<TlsSession> session) { tls_ = std::move(session); }
  // Null: plain TCP.
  [[nodiscard]] TlsSession* tls() const { return tls_.get(); }

  // The same of WebSocket, within TLS where that is spoken too.
  void speak(std::unique_ptr<WebSocketSession> session) { websocket_ = std::move(session); }
  [[nodiscard]] WebSocketSession* websocket() const { return websocket_.get(); }

  // A proxy is at its other end, and speaks for that client.
  void speak_for(const Address& client) { client_ = std::make_unique<Address>(client); }
  // Who is at its other end: whom the proxy there speaks for, if it says.
  [[nodiscard]] Address peer() const { return client_ ? *client_ : Address::peer_of(descriptor_); }

  // Messages are small and waited for: no Nagle delay.
  void send_at_once() const;
  // 0 or the errno of a failed connection.
  [[nodiscard]] int take_error() const;

 private:
  int descriptor_ = -1;
  std::unique_ptr<TlsSession> tls_;
  std::unique_ptr<WebSocketSession> websocket_;
  std::unique_ptr<Address> client_;
};

}  // namespace verge::net
