// AdminApi: what the admin listener serves. docs/openapi.json describes all of it; a test compares the two.
//
//   GET /           the dashboard (dashboard.h), which asks for the rest
//   GET /metrics    Prometheus text
//   GET /healthz    200 while the process runs
//   GET /readyz     200 when the node takes work, else 503 and why
//   GET /v1/…       JSON: status, now, tree, history, insights, goals, requests, latency, cache, rules, openapi.json
//   GET /v1/mqtt/clients, /v1/mqtt/subscriptions, /v1/mqtt/retained, DELETE /v1/mqtt/clients/ID
//   GET /v1/stream, /v1/tail      server-sent events (live_streams.h)
//   POST /v1/purge
//   POST /v1/rules, DELETE /v1/rules/NAME, POST /v1/rules/NAME/stop and …/start
//   GET, POST /v1/workers         all workers; deploys one, given as a bundle (docs/formats/worker-bundle.md)
//   GET, DELETE /v1/workers/NAME  one worker with its counts and limits; takes a deployed one away
//   POST /v1/workers/NAME/rollback    to the version before, or ?version=
//   GET /v1/workers/NAME/console  NDJSON of what it said: ?after=; the field Verge-Next has the number of the last line
//   GET /v1/kv, GET, POST /v1/kv/NAMESPACE, GET, PUT, DELETE /v1/kv/NAMESPACE/KEY
//   GET /v1/queues, /v1/queues/NAME, POST /v1/queues/NAME/retry?to=
//   GET /v1/events  NDJSON: ?topic= ?device= ?kind= ?stream= ?since_us= ?until_us= ?limit= ?after=; when there is more,
//                   the field Verge-Next names the position to go on after
//
// Who may ask: admin_access.h.
//
// A query reads the disk for as long as it takes, while health and metrics are to be answered at once: queries run one
// after the other on a thread of their own, begun with the first. An answer has at most kPageBytes (or one event), and
// kQueriesMax of them are under way or wait for their clients to take them; that bounds the memory. Where all places
// are taken, an answer that has not been taken for kTakingTime gives way.
//
// Threading: on its loop, but for read_page().
#pragma once

#include <map>
#include <optional>
#include <string>
#include <thread>

#include "kv/key_value_store.h"
#include "net/http_server.h"
#include "node/admin_access.h"
#include "node/event_query.h"
#include "node/live_streams.h"
#include "runtime/loop.h"

namespace verge::node {

class Node;

class AdminApi {
 public:
  static constexpr size_t kPageBytes = 8U << 20;
  static constexpr size_t kQueriesMax = 8;
  static constexpr Duration kTakingTime = std::chrono::seconds(15);

  // All outlive it.
  AdminApi(Node& node, runtime::Loop& loop, Overview& overview, EventTail& tail,
           std::shared_ptr<const net::BearerTokens> tokens);
  // Once the loop has stopped.
  ~AdminApi();
  void accept(net::Socket socket) { server_.accept(std::move(socket)); }
  // Streams end where others are admitted then: who still is begins anew.
  void replace_tokens(std::shared_ptr<const net::BearerTokens> tokens) {
    if (access_.replace(std::move(tokens))) streams_.end_all();
  }

 private:
  struct Page {
    std::string body;
    std::string next;  // empty: there is no more
    std::optional<Error> error;
  };

  void receive(const net::HttpRequest& request, net::HttpResponder responder);
  void answer_purge(const net::HttpRequest& request, net::HttpResponder responder);
  // Clients of MQTT, their subscriptions, what is retained; DELETE of a client closes its connection.
  void answer_mqtt(const net::HttpRequest& request, net::HttpResponder responder);
  void kick(const net::HttpRequest& request, std::string_view client_id, net::HttpResponder responder);
  void answer_twins(const net::HttpRequest& request, net::HttpResponder responder);
  void list_twins(const net::HttpRequest& request, net::HttpResponder responder);
  void answer_rules(const net::HttpRequest& request, net::HttpResponder responder);
  void answer_trace(const std::string& rule, const net::HttpRequest& request, net::HttpResponder& responder);
  // What of the overview is served; false: something else was asked for.
  bool answer_overview(const net::HttpRequest& request, net::HttpResponder& responder);
  // Likewise a file of the dashboard.
  static bool answer_dashboard(const net::HttpRequest& request, net::HttpResponder& responder);
  void answer_history(const net::HttpRequest& request, net::HttpResponder& responder);
  void answer_latency(const net::HttpRequest& request, net::HttpResponder& responder);
  void answer_tail(const net::HttpRequest& request, net::HttpResponder& responder);
  void answer_workers(const net::HttpRequest& request, net::HttpResponder responder);
  void answer_kv(const net::HttpRequest& request, net::HttpResponder responder);
  void answer_queues(const net::HttpRequest& request, net::HttpResponder responder);
  void list_spaces(net::HttpResponder responder);
  void list_keys(const std::string& space, const net::HttpRequest& request, net::HttpResponder responder);
  void import_keys(const std::string& space, const net::HttpRequest& request, net::HttpResponder responder);
  void answer_key(const std::string& space, const std::string& key, const net::HttpRequest& request,
                  net::HttpResponder responder);
  // What a store is given to answer to: `tell` makes the answer of it, on this loop; what it refuses is told.
  template <class T, class Tell>
  std::move_only_function<void(Result<T>)> when_store_answers(net::HttpResponder responder, Tell tell);
  static void respond_refused(net::HttpResponder& responder, const Error& error);
  [[nodiscard]] bool shows_deploy_token(const net::HttpRequest& request) const;
  // Whether who asks may change workers; answers it if not.
  bool authorize_deploy(const net::HttpRequest& request, net::HttpResponder& responder) const;
  // Whether who asks may not use the listener; answers it then.
  bool refuse_stranger(const net::HttpRequest& request, net::HttpResponder& responder) const;
  std::optional<net::BodyLimit> admit(const net::HttpRequest& head, net::HttpResponder& responder) const;
  void answer_request(const net::HttpRequest& request, net::HttpResponder responder);
  void answer_explain(const net::HttpRequest& request, net::HttpResponder responder);
  void answer_events(const net::HttpRequest& request, net::HttpResponder responder);
  [[nodiscard]] Page read_page(const EventQuery& query) const;
  void send_page(uint64_t number, const Page& page);
  bool end_slow_query();

  Node& node_;
  runtime::Loop& loop_;
  Overview& overview_;
  AdminAccess access_;
  net::HttpServer server_;
  LiveStreams streams_;
  struct Query {
    net::HttpResponder responder;
    std::optional<MonotonicTime> sent;  // when its answer was ready to be taken
  };
  std::map<uint64_t, Query> queries_;              // until the client has its answer
  std::map<uint64_t, net::HttpResponder> asking_;  // until all event loops have answered
  uint64_t next_query_ = 1;
  runtime::Loop query_loop_{"query"};
  std::thread query_thread_;
};

template <class T, class Tell>
std::move_only_function<void(Result<T>)> AdminApi::when_store_answers(net::HttpResponder responder, Tell tell) {
  const uint64_t number = next_query_++;
  asking_.emplace(number, std::move(responder));
  // The loop is the node's: this may be gone before the store is.
  return [this, &loop = loop_, number, tell = std::move(tell)](Result<T> result) mutable {
    loop.post([this, number, tell = std::move(tell), result = std::move(result)]() mutable {
      auto asked = asking_.extract(number);
      if (asked.empty()) return;
      if (!result) return respond_refused(asked.mapped(), result.error());
      tell(asked.mapped(), *std::move(result));
    });
  };
}

}  // namespace verge::node
