// Webhooks: what rules send to other servers by HTTP POST, apart from everything else: a thread of their own, so that a
// server that is slow, or a name that is not to be had, holds up no event.
//
// Calls to one server are made one after the other, in the order of the rows. One that brings no answer, 408, 429 or
// 5xx is made again, after a second at first and twice as long each time, kBackoffMax at most, until it was made as
// often as the rule says; what the server has then is unknown, so that each carries a name by which it knows one that
// it had (Verge-Delivery). Any other answer but 2xx ends it. Nothing of this is durable: what waits is lost with the
// process.
//
// Bounds: kWaitingMax calls and kWaitingBytesMax of bodies a server; what comes beyond is dropped, and counted.
//
// Threading: send() and counters from any thread. The thread begins with the first call.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/payload.h"
#include "base/seldom_line.h"
#include "net/http_client.h"
#include "net/resolver.h"
#include "node/config_address.h"
#include "runtime/loop.h"

namespace verge::node {

struct WebhookCall {
  std::string rule;
  std::string url;  // as parse_webhook_url() takes it
  Payload body;
  bool is_json = true;
  Duration timeout = std::chrono::seconds(5);
  uint32_t attempts = 1;
};

class Webhooks {
 public:
  static constexpr size_t kWaitingMax = 1024;
  static constexpr size_t kWaitingBytesMax = 16U << 20;
  static constexpr Duration kBackoffMax = std::chrono::seconds(60);

  struct Counters {
    std::atomic<uint64_t> delivered{0};
    std::atomic<uint64_t> repeated{0};  // attempts after the first
    std::atomic<uint64_t> failed{0};    // given up
    std::atomic<uint64_t> dropped{0};   // for want of room
    std::atomic<uint64_t> waiting{0};   // now, with those under way
  };

  // `backoff`: before the second attempt.
  explicit Webhooks(Duration backoff = std::chrono::seconds(1));
  // What waits is lost; how much is said in the log.
  ~Webhooks();
  Webhooks(const Webhooks&) = delete;
  Webhooks& operator=(const Webhooks&) = delete;

  void send(WebhookCall call);
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Waiting {
    WebhookCall call;
    std::string target;
    std::string delivery;
    uint32_t attempts = 0;  // made
  };
  struct Server {
    Server(runtime::Loop& loop, WebhookUrl its_url) : url(std::move(its_url)), retry(loop) {}
    WebhookUrl url;
    std::unique_ptr<net::HttpClient> client;
    std::deque<Waiting> waiting;  // the first is under way
    size_t waiting_bytes = 0;
    runtime::Timer retry;
  };

  void enter(WebhookCall call);
  void begin(Server& server);
  void connect(Server& server, const Result<net::Address>& address);
  void request(Server& server);
  void answered(Server& server, const Result<net::HttpAnswer>& answer);
  void try_again(Server& server, const std::string& why);
  void give_up(Server& server, const std::string& why);
  void next(Server& server);

  const Duration backoff_;
  const std::string name_;  // of this process's deliveries
  uint64_t deliveries_ = 0;
  Counters counters_;
  SeldomLine failures_{std::chrono::seconds(10)};
  std::unique_ptr<runtime::Loop> loop_;                     // with the thread
  std::map<std::string, std::unique_ptr<Server>> servers_;  // by scheme and authority
  net::Resolver resolver_{"resolver-hooks"};

  std::mutex mutex_;  // guards loop_ and thread_ as they begin
  std::thread thread_;
};

}  // namespace verge::node
