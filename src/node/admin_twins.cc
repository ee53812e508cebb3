// Twins of devices over HTTP (mqtt/twin_document.h): what MQTT clients do by topics, GET, PATCH and DELETE do here.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "net/http_message.h"
#include "node/admin_api.h"
#include "node/node.h"
#include "node/problem.h"

namespace verge::node {
namespace {

constexpr std::string_view kTwins = "/v1/twins";
constexpr size_t kRowsUsual = 1000;
constexpr size_t kRowsMax = 10'000;

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

void AdminApi::answer_twins(const net::HttpRequest& request, net::HttpResponder responder) {
  std::string_view rest = std::string_view(request.path).substr(kTwins.size());
  const bool is_reading = request.method == "GET" || request.method == "HEAD";
  if (rest.empty() && is_reading) return list_twins(request, std::move(responder));
  if (rest.starts_with('/')) rest.remove_prefix(1);
  const std::optional<std::string> device = net::percent_decode(rest);
  const bool is_known = is_reading || request.method == "PATCH" || request.method == "DELETE";
  if (!is_known || rest.empty()) {
    return respond_problem(responder, 405,
                           {"http.method", fmt::format("{} is not served at {}", request.method, request.path),
                            "GET /v1/twins; GET, PATCH and DELETE /v1/twins/DEVICE"},
                           {{"Allow", rest.empty() ? "GET, HEAD" : "GET, HEAD, PATCH, DELETE"}});
  }
  if (!device || !mqtt::is_twin_device(*device)) {
    return respond_problem(responder, 400,
                           {"twin.device", fmt::format("{} can be no device", printable(std::string(rest))),
                            "a device has 1 to 256 bytes of UTF-8 without '/', '+' and '#'"});
  }
  mqtt::TwinRequest twin{.operation = mqtt::TwinOperation::kGet, .device = *device};
  std::string body;
  if (request.method == "PATCH") {
    twin.operation = mqtt::TwinOperation::kSet;
    body = request.body.view();
  } else if (request.method == "DELETE") {
    twin.operation = mqtt::TwinOperation::kDelete;
    if (const auto version = net::query_parameter(request.query, "version")) {
      if (!number_of(*version)) {
        return respond_problem(responder, 400,
                               {"twin.request", fmt::format("?version={} is no number", printable(*version)),
                                "give the version of the twin that is to go"});
      }
      body = fmt::format(R"({{"version":{}}})", *version);
    }
  }
  const uint64_t number = next_query_++;
  asking_.emplace(number, std::move(responder));
  mqtt::Broker& broker = node_.broker_of_twin(*device);
  broker.loop().post([this, &broker, number, twin = std::move(twin), body = std::move(body)] {
    broker.ask_twin(twin, body, [this, number, device = twin.device](const mqtt::Broker::TwinAnswer& answer) {
      loop_.post([this, number, device, answer] {
        auto asked = asking_.extract(number);
        if (asked.empty()) return;
        if (answer.error) return respond_problem(asked.mapped(), mqtt::twin_status(answer.error->code), *answer.error);
        const std::string text = mqtt::twin_accepted(device, answer.document, {}) + "\n";
        asked.mapped().respond({.status = 200, .content_type = "application/json", .fields = {}, .body = text});
      });
    });
  });
}

// In order of the devices; the next page begins behind the last device of this one.
void AdminApi::list_twins(const net::HttpRequest& request, net::HttpResponder responder) {
  size_t limit = kRowsUsual;
  if (const auto given = net::query_parameter(request.query, "limit")) {
    const std::optional<uint64_t> number = number_of(*given);
    if (!number || *number < 1 || *number > kRowsMax) {
      return respond_problem(responder, 400,
                             {"twin.request", fmt::format("?limit={} is not understood", printable(*given)),
                              fmt::format("give a number from 1 to {}", kRowsMax)});
    }
    limit = *number;
  }
  std::string after = net::query_parameter(request.query, "after").value_or("");
  if (!after.empty()) after = mqtt::twin_topic(after, "document");
  using Rows = std::vector<mqtt::MessagePointer>;
  auto gathered = std::make_shared<std::vector<Rows>>(node_.shard_count());  // each written by its own loop
  const auto ask = [gathered, limit, after](const mqtt::Broker& broker) {
    (*gathered)[broker.shard()] = broker.retained(mqtt::twin_topic("+", "document"), limit + 1, after).messages;
  };
  const uint64_t number = next_query_++;
  asking_.emplace(number, std::move(responder));
  node_.ask_brokers(ask, loop_, [this, number, gathered, limit] {
    auto asked = asking_.extract(number);
    if (asked.empty()) return;
    Rows all;
    for (Rows& rows : *gathered) all.insert(all.end(), rows.begin(), rows.end());
    std::ranges::sort(all, {},
                      [](const mqtt::MessagePointer& message) -> const std::string& { return message->topic; });
    const bool more = all.size() > limit;
    if (more) all.resize(limit);
    std::string body = R"({"twins":[)";
    for (const mqtt::MessagePointer& each : all) {
      body.append(body.ends_with('[') ? "" : ",").append(each->payload.view());
    }
    body.append(fmt::format("],\"more\":{}}}\n", more));
    asked.mapped().respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
  });
}

}  // namespace verge::node
