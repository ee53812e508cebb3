// The clients of MQTT over HTTP. Each event loop is asked for its own; an answer has at most kRowsMax rows of each.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "model/topic.h"
#include "net/http_message.h"
#include "node/admin_api.h"
#include "node/node.h"
#include "node/problem.h"

namespace verge::node {
namespace {

constexpr std::string_view kClients = "/v1/mqtt/clients";
constexpr size_t kRowsUsual = 1000;
constexpr size_t kRowsMax = 10'000;

// Rows as JSON, with the text by which they are ordered.
using Rows = std::vector<std::pair<std::string, std::string>>;

void add(Rows& rows, const mqtt::ClientView& client) {
  rows.emplace_back(
      client.client_id,
      fmt::format(R"({{"client":{},"user":{},"address":{},"connected":{},"version":"{}","subscriptions":{},)"
                  R"("waiting_bytes":{},"expiry_s":{},"durable":{}}})",
                  json_string(client.client_id), json_string(client.user), json_string(client.address),
                  !client.address.empty(), client.version == mqtt::Version::k5 ? "5.0" : "3.1.1", client.subscriptions,
                  client.waiting_bytes, client.expiry_s, client.is_durable));
}

void add(Rows& rows, const mqtt::SubscriptionView& subscription) {
  const mqtt::SubscriptionOptions& options = subscription.options;
  rows.emplace_back(
      subscription.client_id + '\n' + subscription.filter,
      fmt::format(R"({{"client":{},"filter":{},"qos":{},"no_local":{},"retain_as_published":{},"retain_handling":{}}})",
                  json_string(subscription.client_id), json_string(subscription.filter), options.qos, options.no_local,
                  options.retain_as_published, options.retain_handling));
}

void add(Rows& rows, const mqtt::MessagePointer& message) {
  rows.emplace_back(message->topic, fmt::format(R"({{"topic":{},"bytes":{},"qos":{}}})", json_string(message->topic),
                                                message->payload.size(), message->qos));
}

void add(Rows& rows, const mqtt::Bridge& bridge) {
  const mqtt::BridgeView view = bridge.view();
  const mqtt::BridgeCounters& counters = bridge.counters();
  rows.emplace_back(
      view.name,
      fmt::format(R"({{"bridge":{},"address":{},"connected":{},"problem":{},"waiting_bytes":{},)"
                  R"("connections":{},"out":{},"in":{},"looped":{},"dropped":{}}})",
                  json_string(view.name), json_string(view.address), view.is_connected, json_string(view.problem),
                  view.waiting_bytes, counters.connections.value(), counters.out.value(), counters.in.value(),
                  counters.looped.value(), counters.dropped.value()));
}

// The first `limit` of all, in order; `more`: a loop had more than it gave.
std::string page_json(std::string_view name, std::vector<Rows>& loops, size_t limit, bool more) {
  Rows all;
  for (Rows& rows : loops) {
    all.insert(all.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
  }
  std::ranges::sort(all);
  more |= all.size() > limit;
  if (all.size() > limit) all.resize(limit);
  std::string out = fmt::format(R"({{"{}":[)", name);
  for (const auto& [key, row] : all) out.append(out.ends_with('[') ? "" : ",").append(row);
  return out.append(fmt::format("],\"more\":{}}}\n", more));
}

}  // namespace

void AdminApi::answer_mqtt(const net::HttpRequest& request, net::HttpResponder responder) {
  const std::string_view path = request.path;
  if (path.starts_with(kClients) && path.size() > kClients.size() + 1) {
    return kick(request, path.substr(kClients.size() + 1), std::move(responder));
  }
  const std::string_view what = path.substr(path.rfind('/') + 1);
  if (what != "clients" && what != "subscriptions" && what != "retained" && what != "bridges") {
    return respond_problem(responder, 404,
                           {"http.not-found", fmt::format("nothing is served at {}", path), "see /v1/openapi.json"});
  }
  if (request.method != "GET" && request.method != "HEAD") {
    return respond_problem(responder, 405, {"http.method", "only GET is served here", "use GET"},
                           {{"Allow", "GET, HEAD"}});
  }
  size_t limit = kRowsUsual;
  if (const auto given = net::query_parameter(request.query, "limit")) {
    const auto [end, problem] = std::from_chars(given->data(), given->data() + given->size(), limit);
    if (problem != std::errc{} || end != given->data() + given->size() || limit < 1 || limit > kRowsMax) {
      return respond_problem(responder, 400,
                             {"mqtt.query", fmt::format("?limit={} is not understood", *given),
                              fmt::format("give a number from 1 to {}", kRowsMax)});
    }
  }
  const std::string client = net::query_parameter(request.query, "client").value_or("");
  const std::string filter = net::query_parameter(request.query, "filter").value_or("#");
  if (!is_topic_filter(filter)) {
    return respond_problem(responder, 400,
                           {"mqtt.query", fmt::format("?filter={} is no topic filter", printable(filter)),
                            "give one such as plant/+/oven"});
  }
  struct Gathered {
    std::vector<Rows> loops;  // each written by its own
    std::atomic<bool> more{false};
  };
  auto gathered = std::make_shared<Gathered>();
  gathered->loops.resize(node_.shard_count());
  const auto ask = [this, gathered, limit, client, filter, name = std::string(what)](const mqtt::Broker& broker) {
    Rows& rows = gathered->loops[broker.shard()];
    // One more than is wanted tells that there are more.
    if (name == "clients") {
      for (const mqtt::ClientView& each : broker.clients(client, limit + 1)) add(rows, each);
    } else if (name == "subscriptions") {
      for (const mqtt::SubscriptionView& each : broker.subscriptions(client, limit + 1)) add(rows, each);
    } else if (name == "bridges") {
      for (const auto& each : node_.bridges()) {
        if (&each->home() == &broker) add(rows, *each);
      }
    } else {
      const mqtt::RetainedMessages::Page page = broker.retained(filter, limit);
      for (const mqtt::MessagePointer& each : page.messages) add(rows, each);
      if (!page.complete) gathered->more = true;
    }
  };
  const uint64_t number = next_query_++;
  asking_.emplace(number, std::move(responder));
  node_.ask_brokers(ask, loop_, [this, number, gathered, limit, name = std::string(what)] {
    auto asked = asking_.extract(number);
    if (asked.empty()) return;
    const std::string body = page_json(name, gathered->loops, limit, gathered->more);
    asked.mapped().respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
  });
}

void AdminApi::kick(const net::HttpRequest& request, std::string_view client_id, net::HttpResponder responder) {
  const std::optional<std::string> id = net::percent_decode(client_id);
  if (request.method != "DELETE" || !id || id->empty()) {
    return respond_problem(responder, 405, {"http.method", "a client is closed by DELETE", "use DELETE"},
                           {{"Allow", "DELETE"}});
  }
  const bool with_session = net::query_parameter(request.query, "session") == "end";
  const auto found = std::make_shared<std::atomic<bool>>(false);
  const uint64_t number = next_query_++;
  asking_.emplace(number, std::move(responder));
  const auto ask = [id = *id, with_session, found](mqtt::Broker& broker) {
    if (broker.kick(id, with_session)) *found = true;
  };
  node_.ask_brokers(ask, loop_, [this, number, found, id = *id] {
    auto asked = asking_.extract(number);
    if (asked.empty()) return;
    if (!*found) {
      return respond_problem(asked.mapped(), 404,
                             {"mqtt.unknown-client", fmt::format("no client {} is connected", printable(id)),
                              "see /v1/mqtt/clients; ?session=end is for the session of one that is away"});
    }
    const std::string body = fmt::format("{{\"client\":{},\"kicked\":true}}\n", json_string(id));
    asked.mapped().respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
  });
}

}  // namespace verge::node
