// InspectorServer: where DevTools find workers and debug them: the Chrome DevTools Protocol by WebSocket, and the HTTP
// endpoints that say what there is (/json/list, /json/version). What is said is V8's: this passes it on.
//
// Who reaches it reads and changes all that a worker has. So it is for a loopback address; a Host that is a name is
// refused, since a page's own name may lead here (DNS rebinding); so is an Origin of the web; and the path of a worker
// is random.
//
// One session a worker; while it lasts the limits of the worker's process hold nothing back.
//
// Threading: on its loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "isolates/pool.h"
#include "net/http_server.h"
#include "net/listener.h"

namespace verge::isolates {

class InspectorServer {
 public:
  using Workers = std::function<std::vector<std::shared_ptr<Worker>>()>;
  // `loop` and `pool` outlive it. `address`: where it listens.
  InspectorServer(runtime::Loop& loop, Pool& pool, net::Socket listening, std::string address, Workers workers);
  ~InspectorServer();
  InspectorServer(const InspectorServer&) = delete;
  InspectorServer& operator=(const InspectorServer&) = delete;

  // localhost, or an address of this machine, with or without a port.
  static bool may_ask(std::string_view host);

 private:
  class Session;
  void answer(const net::HttpRequest& request, net::HttpResponder responder);
  void open(const std::shared_ptr<Worker>& worker, const net::HttpRequest& request, net::HttpResponder responder);
  void over(Session& session);
  [[nodiscard]] std::string list();
  const std::string& id_of(const std::shared_ptr<Worker>& worker);

  runtime::Loop& loop_;
  Pool& pool_;
  const std::string address_;
  const Workers workers_;
  // Of workers that are there still: another may come to lie where one was.
  std::map<std::weak_ptr<const Worker>, std::string, std::owner_less<>> ids_;
  std::vector<std::unique_ptr<Session>> sessions_;
  net::HttpServer server_;
  net::TcpListener listener_;
};

}  // namespace verge::isolates
