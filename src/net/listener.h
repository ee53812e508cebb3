// TcpListener: accepts connections on one loop. A port shared by several loops has a listener on each; the kernel
// spreads connections over them.
#pragma once

#include <cstdint>
#include <functional>

#include "base/seldom_line.h"
#include "net/socket.h"
#include "runtime/loop.h"

namespace verge::net {

// One shared socket a loop, all bound to the same address. The address is first bound without sharing, so that a port
// in use by another program is noticed; port 0 gives all of them the same free port.
Result<std::vector<Socket>> listen_on_loops(const Address& address, size_t loops);

class TcpListener final : private runtime::Watcher {
 public:
  // `accepted` is called with each new connection. When the process is out of descriptors, accepting pauses for a
  // moment and connections wait in the kernel's queue. A connection whose descriptor is `descriptors_max` or above is
  // closed at once: those are kept back (runtime/descriptors.h). The log has a line of either every 10 s at most.
  TcpListener(runtime::Loop& loop, Socket socket, std::function<void(Socket)> accepted,
              uint64_t descriptors_max = UINT64_MAX);
  ~TcpListener() override;

 private:
  void on_ready(uint32_t events) override;
  void note_failure(std::string_view what);

  runtime::Loop& loop_;
  Socket socket_;
  std::function<void(Socket)> accepted_;
  const uint64_t descriptors_max_;
  SeldomLine failures_;
  runtime::Timer resume_;
};

}  // namespace verge::net
