// Connecting: a connection to a server that does not stand yet, TLS included.
//
// Errors: http.connect-refused, http.connect-failed, http.connect-timeout; of TLS: net.tls-untrusted,
// net.tls-handshake.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "net/socket.h"
#include "net/tls_context.h"
#include "net/tls_handshake.h"
#include "runtime/loop.h"

namespace verge::net {

class Connecting final : private runtime::Watcher {
 public:
  // Called once, in a later turn of the loop; it may destroy this object.
  using Done = std::function<void(Result<Socket>)>;

  // `host`: for messages about TLS. `tls`: none for plain TCP. `time_max`: for TCP, and again for TLS. Descriptors from
  // `descriptors_max` on are kept for others: then it fails. `loop` outlives this object.
  Connecting(runtime::Loop& loop, const Address& address, std::string host, std::shared_ptr<const TlsContext> tls,
             Duration time_max, Done done, const LocalEnd& from = {}, uint64_t descriptors_max = UINT64_MAX);
  ~Connecting() override;

 private:
  void on_ready(uint32_t events) override;
  void agree_on_tls();
  void finish(Result<Socket> result);

  runtime::Loop& loop_;
  const Address address_;
  const std::string host_;
  const std::shared_ptr<const TlsContext> tls_;
  const Duration time_max_;
  Done done_;
  Socket socket_;
  runtime::Timer timer_;
  std::unique_ptr<TlsHandshake> handshake_;
};

}  // namespace verge::net
