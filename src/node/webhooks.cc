#include "node/webhooks.h"

#include <algorithm>

#include <fmt/format.h>
#include <pthread.h>

#include "base/log.h"
#include "base/random.h"
#include "node/worker_thread.h"

namespace verge::node {
namespace {

constexpr int kRequestTimeout = 408;
constexpr int kTooManyRequests = 429;
constexpr size_t kAnswerBytesMax = 1U << 20;
constexpr uint32_t kDoublingsMax = 16;

bool is_visible(char byte) { return byte > ' ' && byte < '\x7f'; }
// A row is JSON; what a template made of one, or a message, most likely where it begins so.
std::string_view type_of(const WebhookCall& call) {
  const std::string_view body = call.body.view();
  return call.is_json || body.starts_with('{') || body.starts_with('[') ? "application/json"
                                                                        : "application/octet-stream";
}

bool is_worth_another(int status) { return status == kRequestTimeout || status == kTooManyRequests || status >= 500; }

}  // namespace

Webhooks::Webhooks(Duration backoff) : backoff_(backoff), name_(fmt::format("{:016x}", system_seed())) {}

Webhooks::~Webhooks() {
  if (thread_.joinable()) {
    loop_->stop();
    thread_.join();
  }
  if (const uint64_t left = counters_.waiting; left > 0) log_warning("rules", "{} webhook calls were not made", left);
}

void Webhooks::send(WebhookCall call) {
  {
    const std::lock_guard lock(mutex_);
    if (!thread_.joinable()) {
      loop_ = std::make_unique<runtime::Loop>("webhooks");
      thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "webhooks");
        lower_own_priority();
        loop_->run();
      });
    }
  }
  // The mailbox has no bound of its own.
  if (counters_.waiting.fetch_add(1) >= 2 * kWaitingMax) {
    --counters_.waiting;
    ++counters_.dropped;
    return;
  }
  loop_->post([this, call = std::move(call)]() mutable { enter(std::move(call)); });
}

void Webhooks::enter(WebhookCall call) {
  const Result<WebhookUrl> url = parse_webhook_url(call.url);
  if (!url) {
    --counters_.waiting;
    ++counters_.failed;
    return;
  }
  std::unique_ptr<Server>& server = servers_[url->origin()];
  if (!server) server = std::make_unique<Server>(*loop_, *url);
  if (server->waiting.size() >= kWaitingMax || server->waiting_bytes + call.body.size() > kWaitingBytesMax) {
    --counters_.waiting;
    ++counters_.dropped;
    if (const auto others = failures_.due(loop_->tick())) {
      log_warning("rules", "a webhook call to {} is dropped: {} wait already; {} other failures since the last line",
                  server->url.authority, server->waiting.size(), *others);
    }
    return;
  }
  server->waiting_bytes += call.body.size();
  server->waiting.push_back(
      {.call = std::move(call), .target = url->target, .delivery = fmt::format("{}-{}", name_, ++deliveries_)});
  if (server->waiting.size() == 1) begin(*server);
}

// Servers are never taken out, so that what is called back may name them.
void Webhooks::begin(Server& server) {
  if (server.waiting.front().attempts++ > 0) ++counters_.repeated;
  if (server.client) return request(server);
  resolver_.resolve(server.url.authority, AF_UNSPEC, *loop_,
                    [this, &server](const Result<net::Address>& address) { connect(server, address); });
}

void Webhooks::connect(Server& server, const Result<net::Address>& address) {
  if (!address) return try_again(server, address.error().line());
  std::shared_ptr<const net::TlsContext> tls;
  if (server.url.tls) {
    auto context = net::TlsContext::client({.server_name = server.url.host, .ca = {}, .identity = {}, .protocols = {}});
    if (!context) return try_again(server, context.error().line());
    tls = std::move(*context);
  }
  server.client = std::make_unique<net::HttpClient>(
      *loop_, *address, server.url.authority, net::HttpClientLimits{.body_bytes_max = kAnswerBytesMax}, std::move(tls));
  request(server);
}

void Webhooks::request(Server& server) {
  const Waiting& first = server.waiting.front();
  net::HttpCall call{.method = "POST", .target = first.target, .body = first.call.body, .timeout = first.call.timeout};
  call.fields = {{"Content-Type", type_of(first.call)}, {"Verge-Delivery", first.delivery}};
  if (std::ranges::all_of(first.call.rule, is_visible)) call.fields.push_back({"Verge-Rule", first.call.rule});
  server.client->request(call, [this, &server](const Result<net::HttpAnswer>& answer) { answered(server, answer); });
}

void Webhooks::answered(Server& server, const Result<net::HttpAnswer>& answer) {
  if (!answer) {
    server.client.reset();  // the name may stand for another address by then
    return try_again(server, answer.error().line());
  }
  if (answer->status / 100 == 2) {
    ++counters_.delivered;
    return next(server);
  }
  const std::string why = fmt::format("it answered {}", answer->status);
  return is_worth_another(answer->status) ? try_again(server, why) : give_up(server, why);
}

void Webhooks::try_again(Server& server, const std::string& why) {
  const Waiting& first = server.waiting.front();
  if (first.attempts >= first.call.attempts) return give_up(server, why);
  const uint32_t doublings = std::min(first.attempts - 1, kDoublingsMax);
  server.retry.after(std::min<Duration>(backoff_ * (1U << doublings), kBackoffMax), [this, &server] { begin(server); });
}

void Webhooks::give_up(Server& server, const std::string& why) {
  ++counters_.failed;
  if (const auto others = failures_.due(loop_->tick())) {
    log_warning("rules", "the webhook of rule {} to {} is given up: {}; {} other failures since the last line",
                server.waiting.front().call.rule, server.url.authority, why, *others);
  }
  next(server);
}

void Webhooks::next(Server& server) {
  --counters_.waiting;
  server.waiting_bytes -= server.waiting.front().call.body.size();
  server.waiting.pop_front();
  if (!server.waiting.empty()) begin(server);
}

}  // namespace verge::node
