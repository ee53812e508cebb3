// TcpOutbound: TCP connections that the code of one loop's workers opens: a request whose method is CONNECT and whose
// URL is a host and a port, with the field `secure` (off, on, starttls). Its bodies are records (tcp_records.h): an
// answer of 200, with the fields `remote-address` and `local-address`, begins the connection; the end of the answer's
// body is that of the connection, in both directions. The end of the request's body closes it when all before has been
// sent.
//
// A worker reaches only what its code's rules list (connect_rule.h): decided by the name that was asked for and by the
// address that it resolved to, which is the one that is connected to. Bounded: connections of a worker on a loop;
// output, by the window of the request's body; input, which is read at the pace of the worker; time without a byte.
//
// Errors: workers.connect (not allowed, refused, cut, idle), workers.busy (too many), those of the network.
//
// Threading: on its loop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "isolates/http_outbound.h"
#include "isolates/outbound.h"
#include "net/tls_context.h"
#include "runtime/loop.h"

namespace verge::isolates {

class TcpOutbound {
 public:
  struct Options {
    size_t connections_max = 256;  // of a worker
    Duration connect_max = std::chrono::seconds(10);
    Duration idle_max = std::chrono::minutes(10);
  };

  // All outlive it.
  TcpOutbound(runtime::Loop& loop, net::Resolver& resolver, const Options& options);
  TcpOutbound(runtime::Loop& loop, net::Resolver& resolver) : TcpOutbound(loop, resolver, Options{}) {}

  [[nodiscard]] static bool is_for(const calls::Request& request);
  // As of an Outbound, of such requests.
  std::unique_ptr<Subrequest> begin(const Worker& worker, const calls::Request& request, bool ends,
                                    SubrequestObserver& observer);

 private:
  class Connection;
  Result<std::shared_ptr<const net::TlsContext>> context_for(const std::string& name);

  runtime::Loop& loop_;
  net::Resolver& resolver_;
  const Options options_;
  std::unordered_map<const Worker*, size_t> open_;
  std::map<std::string, std::shared_ptr<const net::TlsContext>> contexts_;  // by the name of the server
};

}  // namespace verge::isolates
