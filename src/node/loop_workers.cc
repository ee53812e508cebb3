#include "node/loop_workers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "net/websocket_messages.h"
#include "node/code_call.h"
#include "node/code_socket.h"
#include "node/queue_consumer.h"

namespace verge::node {
namespace {

constexpr size_t kMessagesACall = 256;
constexpr size_t kMessageBytesMax = 512U << 10;

std::unexpected<Error> unknown_worker(std::string_view name) {
  return fail("workers.unknown", fmt::format("there is no worker {}", json_string(name)),
              "see verge worker list, or [[worker]] in the configuration");
}

}  // namespace

std::shared_ptr<const PlacedWorker> WorkerSet::find(std::string_view name) const {
  const auto found = std::ranges::find_if(workers, [&](const auto& worker) { return worker->name() == name; });
  return found == workers.end() ? nullptr : *found;
}

// --- Requests

class LoopWorkers::Route final : public cache::CodeRoute {
 public:
  Route(LoopWorkers& home, std::shared_ptr<const PlacedWorker> worker) : home_(home), worker_(std::move(worker)) {}

  [[nodiscard]] uint64_t code() const override { return worker_->id; }
  std::unique_ptr<net::UpstreamCall> begin(const Request& request, net::UpstreamObserver& observer) override {
    return std::make_unique<CodeCall>(home_, worker_, request, observer);
  }
  std::unique_ptr<net::UpstreamCall> begin_on_answer(const Request& request, const BeginAnswer& begin_answer,
                                                     net::UpstreamObserver& observer) override {
    return std::make_unique<AnswerCodeCall>(home_, worker_, request, begin_answer, observer);
  }
  void answer_upgrade(const Request& request, const net::HttpRequest& asked, net::HttpResponder responder,
                      std::function<void(net::HttpResponder)> pass_by) override {
    node::answer_upgrade(home_, worker_, request, asked, std::move(responder), std::move(pass_by));
  }

 private:
  LoopWorkers& home_;
  const std::shared_ptr<const PlacedWorker> worker_;
};

// --- Calls that are no requests

class LoopWorkers::Background final : public isolates::CallObserver {
 public:
  Background(LoopWorkers& home, std::shared_ptr<const PlacedWorker> worker) : home_(home), worker_(std::move(worker)) {}
  void begin(const isolates::CallRequest& request) { call_ = home_.pool_->begin(worker_->worker, request, *this); }

 private:
  void on_answer(const calls::Head&, bool) override {}
  void on_body(std::string_view) override {}
  void on_end() override { leave(); }
  void on_failed(const isolates::CallFailure& failure) override {
    home_.event_failures_.add();
    log_warning("workers", "{}", failure.error.line());
    leave();
  }
  void leave() {
    std::erase_if(home_.background_, [this](const auto& one) { return one.get() == this; });
  }

  LoopWorkers& home_;
  const std::shared_ptr<const PlacedWorker> worker_;
  std::unique_ptr<isolates::Call> call_;
};

struct LoopWorkers::Events {
  struct Message {
    std::string topic;
    uint64_t time_ms;
    Payload payload;
  };
  std::shared_ptr<const PlacedWorker> worker;
  std::vector<Message> messages;
};

// --- LoopWorkers

LoopWorkers::LoopWorkers(runtime::Loop& loop, size_t index, cache::Proxy& proxy, const Clock& clock, std::string node)
    : loop_(loop),
      index_(index),
      proxy_(proxy),
      clock_(clock),
      node_(std::move(node)),
      set_(std::make_shared<const WorkerSet>()),
      sending_(loop),
      scheduling_(loop) {}

LoopWorkers::~LoopWorkers() = default;

void LoopWorkers::open(isolates::Zygote& zygote, net::Resolver& resolver, const isolates::PoolOptions& options,
                       const std::function<void(const isolates::ConsoleLine&)>& console) {
  if (pool_) return;
  outbound_ = std::make_unique<CodeOutbound>(*this, resolver, clock_, node_);
  pool_ = std::make_unique<isolates::Pool>(loop_, zygote, *outbound_, options);
  http_calls_ = std::make_unique<isolates::HttpCalls>(*pool_);
  pool_->observe_console(console);
  pool_->warm_up();
}

void LoopWorkers::close_sockets() {
  if (http_calls_) http_calls_->close_sockets(net::websocket::kGoingAway, "the node ends");
}

void LoopWorkers::start(const std::shared_ptr<isolates::Worker>& worker,
                        std::function<void(Result<Duration>)> started) {
  pool_->load(worker, [started = std::move(started), begun = loop_.tick()](const std::optional<Error>& error) {
    if (error) return started(std::unexpected(*error));
    started(std::chrono::steady_clock::now() - begun);
  });
}

void LoopWorkers::change(std::shared_ptr<const WorkerSet> set) {
  set_ = std::move(set);
  routes_.clear();
  for (const std::shared_ptr<const PlacedWorker>& worker : set_->workers) {
    routes_.push_back(std::make_shared<Route>(*this, worker));
  }
  // Requests that nobody's code is for pay nothing.
  proxy_.call_code(set_->routes.empty() ? nullptr : this);
  if (index_ != 0) return;
  const int64_t now = clock_.wall().microseconds / 1'000'000;
  due_.clear();
  for (const std::shared_ptr<const PlacedWorker>& worker : set_->workers) {
    for (const std::string& cron : worker->cron) {
      const Result<CronTimes> times = CronTimes::parse(cron);
      if (times) due_.push_back({.worker = worker, .cron = cron, .times = *times, .at = times->next_after(now)});
    }
  }
  schedule();
  change_consumers();
}

void LoopWorkers::use(queues::QueueStore& queues) {
  queues_ = &queues;
  outbound_->bindings().use(&queues);
}

void LoopWorkers::look_at_queue(std::string_view queue) {
  for (const std::unique_ptr<QueueConsumer>& consumer : consumers_) {
    if (consumer->consumed().queue == queue) consumer->look();
  }
}

// Those that are as they were go on; a batch that is under way is seen to its end.
void LoopWorkers::change_consumers() {
  if (queues_ == nullptr) return;
  std::vector<ConsumedQueue> fresh;
  for (const ConsumedQueue& consumed : set_->consumed) fresh.insert(fresh.end(), consumed.concurrency, consumed);
  for (const std::unique_ptr<QueueConsumer>& consumer : consumers_) {
    const auto same = std::ranges::find(fresh, consumer->consumed());
    if (same == fresh.end()) {
      consumer->retire();
    } else {
      fresh.erase(same);
    }
  }
  std::erase_if(consumers_, [](const auto& consumer) { return consumer->is_over(); });
  for (ConsumedQueue& consumed : fresh) {
    consumers_.push_back(std::make_unique<QueueConsumer>(loop_, clock_, *pool_, *queues_, std::move(consumed)));
    consumers_.back()->look();
  }
}

void LoopWorkers::schedule() {
  // The wall clock may be set meanwhile.
  constexpr Duration kLookAgainAfter = std::chrono::minutes(10);
  const int64_t now_us = clock_.wall().microseconds;
  const int64_t now = now_us / 1'000'000;
  Duration wait = kLookAgainAfter;
  bool any = false;
  for (Due& due : due_) {
    if (due.at && *due.at <= now) {
      begin_background(
          due.worker,
          {.kind = calls::CallKind::kScheduled, .cron = due.cron, .time_ms = static_cast<uint64_t>(*due.at) * 1000});
      due.at = due.times.next_after(now);
    }
    if (!due.at) continue;
    any = true;
    wait = std::min<Duration>(wait, std::chrono::microseconds(*due.at * 1'000'000 - now_us + 1000));
  }
  if (any) scheduling_.after(wait, [this] { schedule(); });
}

std::shared_ptr<cache::CodeRoute> LoopWorkers::find(cache::CodePosition position, std::string_view host,
                                                    std::string_view path) {
  const size_t worker = set_->routes.find(position, host, path);
  return worker == WorkerRoutes::kNone ? nullptr : routes_[worker];
}

bool LoopWorkers::is_site(std::string_view host) const {
  const cache::SiteSet& set = *proxy_.serving().set;
  const size_t site = set.table.find(host);
  if (site == cache::SiteTable::kNone) return false;
  const std::vector<std::string>& hosts = set.sites[site].hosts;
  if (std::ranges::find(hosts, "*") == hosts.end()) return true;
  const std::string name = cache::plain_host(host);
  return std::ranges::any_of(hosts, [&](const std::string& its) {
    return its == name || (its.starts_with("*.") && name.ends_with(std::string_view(its).substr(1)));
  });
}

std::shared_ptr<const PlacedWorker> LoopWorkers::placed(const isolates::Worker& worker) const {
  const auto found = std::ranges::find_if(set_->workers, [&](const auto& one) { return one->worker.get() == &worker; });
  return found == set_->workers.end() ? nullptr : *found;
}

void LoopWorkers::count_answer(const PlacedWorker& worker, bool asked_sites, bool asked_others) const {
  PlacedCounters& counters = worker.counters[index_];
  counters.answers.add();
  if (asked_others) return;
  (asked_sites ? counters.delegated : counters.computed).add();
}

// --- Events and schedules

void LoopWorkers::begin_background(const std::shared_ptr<const PlacedWorker>& worker,
                                   const isolates::CallRequest& request) {
  background_.push_back(std::make_unique<Background>(*this, worker));
  background_.back()->begin(request);
}

Result<void> LoopWorkers::send_event(std::string_view name, std::string_view topic, uint64_t time_ms,
                                     const Payload& payload) {
  const std::shared_ptr<const PlacedWorker> worker = set_->find(name);
  if (!worker) return unknown_worker(name);
  if (topic.size() + payload.size() > kMessageBytesMax) {
    return fail("workers.event", fmt::format("an event of {} bytes is too large for a worker", payload.size()),
                "send 512 KiB at most");
  }
  if (waiting_events_ >= kEventsMax) {
    return fail("workers.busy", fmt::format("{} events wait for workers already", kEventsMax), "send fewer");
  }
  auto its = std::ranges::find_if(events_, [&](const auto& one) { return one->worker == worker; });
  if (its == events_.end()) {
    events_.push_back(std::make_unique<Events>());
    its = std::prev(events_.end());
    (*its)->worker = worker;
  }
  (*its)->messages.push_back({std::string(topic), time_ms, payload});
  ++waiting_events_;
  if (!sending_.pending()) sending_.after(Duration(0), [this] { send_events(); });
  return {};
}

void LoopWorkers::send_events() {
  waiting_events_ = 0;
  for (const std::unique_ptr<Events>& one : std::exchange(events_, {})) {
    std::vector<calls::Message> messages;
    size_t bytes = 0;
    const auto send = [&] {
      begin_background(one->worker, {.kind = calls::CallKind::kEvent, .messages = messages});
      messages.clear();
      bytes = 0;
    };
    for (const Events::Message& message : one->messages) {
      const size_t size = message.topic.size() + message.payload.size();
      if (!messages.empty() && (messages.size() == kMessagesACall || bytes + size > calls::kWindowBytes)) send();
      messages.push_back({message.topic, message.time_ms, message.payload.view()});
      bytes += size;
    }
    send();
  }
}

}  // namespace verge::node
