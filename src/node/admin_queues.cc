// Queues of workers over HTTP: what `verge queue` asks.
#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "net/http_message.h"
#include "node/admin_api.h"
#include "node/node.h"
#include "node/problem.h"

namespace verge::node {
namespace {

constexpr std::string_view kQueues = "/v1/queues";
constexpr size_t kPeekUsual = 10;
constexpr size_t kPeekMax = 1000;
constexpr size_t kPeekBytes = 8U << 20;  // no further message is shown after so many
constexpr std::array<std::string_view, 3> kKinds = {"json", "text", "bytes"};

std::string totals_json(const queues::QueueTotals& queue) {
  return fmt::format(
      R"({{"name":{},"messages":{},"bytes":{},"bytes_max":{},"sent":{},"acknowledged":{},"retried":{},"dead":{},"refused":{},"oldest_ms":{}}})",
      json_string(queue.name), queue.messages, queue.bytes, queue.bytes_max, queue.sent, queue.acknowledged,
      queue.retried, queue.dead, queue.refused, queue.oldest_ms);
}

std::string message_json(const queues::Message& message) {
  const bool is_text = is_utf8(*message.body);
  return fmt::format(R"({{"id":"{:016x}","sent_ms":{},"due_ms":{},"attempts":{},"content_type":"{}","{}":{}}})",
                     message.id, message.sent_ms, message.due_ms, message.attempts,
                     kKinds[static_cast<size_t>(message.kind)], is_text ? "body" : "base64",
                     json_string(is_text ? *message.body : base64(*message.body)));
}

}  // namespace

void AdminApi::answer_queues(const net::HttpRequest& request, net::HttpResponder responder) {
  std::string_view rest = std::string_view(request.path).substr(kQueues.size());
  if (rest.starts_with('/')) rest.remove_prefix(1);
  const size_t slash = rest.find('/');
  const std::optional<std::string> name = net::percent_decode(rest.substr(0, slash));
  const std::string_view action = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  const bool is_reading = request.method == "GET" || request.method == "HEAD";
  queues::QueueStore* store = node_.queues();
  const std::vector<queues::QueueTotals> all = store ? store->totals() : std::vector<queues::QueueTotals>();
  const auto is_there = [&](const std::string& queue) {
    return std::ranges::find(all, queue, &queues::QueueTotals::name) != all.end();
  };
  const auto answer = [&](const std::string& body) {
    responder.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body + "\n"});
  };
  if (!action.empty() && action != "retry") {
    return respond_problem(responder, 404,
                           {"http.not-found", fmt::format("nothing is served at {}", request.path),
                            "see /v1/queues, /v1/queues/NAME, /v1/queues/NAME/retry"});
  }
  if (action.empty() ? !is_reading : request.method != "POST") {
    return respond_problem(responder, 405,
                           {"http.method", fmt::format("{} is not served at {}", request.method, request.path),
                            "GET /v1/queues, GET /v1/queues/NAME, POST /v1/queues/NAME/retry"},
                           {{"Allow", action.empty() ? "GET, HEAD" : "POST"}});
  }
  if (rest.empty()) {
    std::string body = R"({"queues":[)";
    for (const queues::QueueTotals& queue : all) {
      body.append(body.ends_with('[') ? "" : ",").append(totals_json(queue));
    }
    return answer(body + "]}");
  }
  if (!name || !is_there(*name)) {
    return respond_problem(responder, 404,
                           {"queues.unknown", fmt::format("there is no queue {}", printable(name.value_or(""))),
                            "see GET /v1/queues; a worker that names a [[queue]] makes it"});
  }
  if (action.empty()) {
    size_t limit = kPeekUsual;
    const std::string given = net::query_parameter(request.query, "limit").value_or("");
    if (!given.empty()) {
      const auto [end, problem] = std::from_chars(given.data(), given.data() + given.size(), limit);
      if (problem != std::errc{} || end != given.data() + given.size() || limit == 0 || limit > kPeekMax) {
        return respond_wrong_parameter(responder, "limit", given, fmt::format("give a number from 1 to {}", kPeekMax));
      }
    }
    std::string body = R"({"messages":[)";
    for (const queues::Message& message : store->peek(*name, limit)) {
      if (body.size() > kPeekBytes) break;
      body.append(body.ends_with('[') ? "" : ",").append(message_json(message));
    }
    return answer(body + "]}");
  }
  if (!authorize_deploy(request, responder)) return;
  const std::string to = net::query_parameter(request.query, "to").value_or("");
  if (!is_there(to) || to == *name) {
    return respond_problem(responder, 404,
                           {"queues.unknown", fmt::format("there is no other queue {}", printable(to)),
                            "name with ?to= the queue that the messages are to go to"});
  }
  store->move_all(*name, to, when_store_answers<size_t>(std::move(responder), [](auto& its, size_t moved) {
    const std::string body = fmt::format("{{\"moved\":{}}}\n", moved);
    its.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
  }));
}

}  // namespace verge::node
