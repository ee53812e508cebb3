// AdminApi: what the admin listener serves.
//
//   GET /metrics    Prometheus text
//   GET /healthz    200 while the process runs
//   GET /readyz     200 when the node takes work, else 503 and why
//   GET /v1/status  JSON
//   GET /v1/events  NDJSON: ?topic= ?device= ?kind= ?stream= ?since_us= ?until_us= ?limit= ?after=; when there is more,
//                   the field Verge-Next names the position to go on after
#pragma once

#include "net/http_server.h"
#include "runtime/loop.h"

namespace verge::node {

class Node;

class AdminApi {
 public:
  AdminApi(Node& node, runtime::Loop& loop);
  void accept(net::Socket socket) { server_.accept(std::move(socket)); }

 private:
  void receive(const net::HttpRequest& request, net::HttpResponder responder);
  void answer_events(const net::HttpRequest& request, net::HttpResponder& responder);

  Node& node_;
  net::HttpServer server_;
};

}  // namespace verge::node
