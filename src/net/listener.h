// TcpListener: accepts connections on one loop. A port shared by several loops has a listener on each; the kernel
// spreads connections over them.
#pragma once

#include <functional>

#include "net/socket.h"
#include "runtime/loop.h"

namespace verge::net {

// One shared socket a loop, all bound to the same address. The address is first bound without sharing, so that a port
// in use by another program is noticed; port 0 gives all of them the same free port.
Result<std::vector<Socket>> listen_on_loops(const Address& address, size_t loops);

class TcpListener final : private runtime::Watcher {
 public:
  // `accepted` is called with each new connection. When the process is out of descriptors, accepting pauses for a
  // moment and connections wait in the kernel's queue.
  TcpListener(runtime::Loop& loop, Socket socket, std::function<void(Socket)> accepted);
  ~TcpListener() override;

 private:
  void on_ready(uint32_t events) override;

  runtime::Loop& loop_;
  Socket socket_;
  std::function<void(Socket)> accepted_;
  runtime::Timer resume_;
};

}  // namespace verge::net
