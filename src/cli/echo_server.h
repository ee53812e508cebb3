// EchoServer: the smallest thing that answers like a broker with one rule, as the baseline of `verge bench decide`:
// what it takes is what the network, the loop and the measuring program take.
//
// It accepts CONNECT and SUBSCRIBE; every PUBLISH is answered at once with the command, at the publish's QoS (0 or 1),
// to the connection that sent it if that has subscribed, on the topic it subscribed, and otherwise to the connection
// that subscribed last. No session, no matching, no keep-alive.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "mqtt/packet.h"
#include "net/listener.h"
#include "net/stream.h"

namespace verge::cli {

class EchoServer {
 public:
  EchoServer(runtime::Loop& loop, net::Socket listening, std::string command);
  ~EchoServer();

 private:
  class Connection;
  void accept(net::Socket socket);
  void closed(Connection& connection);

  runtime::Loop& loop_;
  const std::string command_;
  net::TcpListener listener_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  Connection* subscriber_ = nullptr;  // the last that subscribed
};

// Serves on `listen` until the process ends; `ready_file`, if any, is written once connections are accepted.
Result<void> serve_echo(const std::string& listen, const std::string& command, const std::string& ready_file);

}  // namespace verge::cli
