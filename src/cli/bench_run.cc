#include "cli/bench_run.h"

#include <cmath>

#include <fmt/format.h>
#include <unistd.h>

#include "runtime/descriptors.h"

namespace verge::cli {
namespace {

// A broker's queue of new connections may be short.
constexpr size_t kConnectingMax = 32;
constexpr Duration kConnectTimeout = std::chrono::seconds(20);
constexpr Duration kDrainTimeout = std::chrono::seconds(5);
// Packet identifiers are 16 bits wide.
constexpr size_t kWindowMax = 60'000;
constexpr Duration kResumeInterval = std::chrono::milliseconds(1);
constexpr Duration kBeforeStart = std::chrono::milliseconds(20);

}  // namespace

std::string numbered(std::string_view text, size_t number) {
  std::string out(text);
  const std::string digits = std::to_string(number);
  for (size_t at = 0; (at = out.find("%d", at)) != std::string::npos; at += digits.size()) out.replace(at, 2, digits);
  return out;
}

BenchRun::BenchRun(const Load& load)
    : load_(load),
      pacer_(loop_, [this](uint64_t index, MonotonicTime due) { write(index, due); }),
      timeout_(loop_),
      resume_(loop_) {}

Result<void> BenchRun::run() {
  Result<net::Address> address = net::Address::resolve(load_.target);
  if (!address) return std::unexpected(address.error());
  address_ = *address;
  runtime::raise_descriptor_limit();
  for (size_t i = 0; i < load_.publishers + (extra_subscriber_ ? 1 : 0); ++i) {
    connections_.push_back(std::make_unique<Connection>(*this, i));
  }
  timeout_.after(kConnectTimeout, [this] {
    fail_with({"bench.connect",
               fmt::format("{} of {} connections to {} stood after {}s", ready_, connections_.size(), load_.target,
                           kConnectTimeout / std::chrono::seconds(1)),
               "check that an MQTT broker listens there"});
  });
  connect_more();
  loop_.run();
  for (const auto& connection : connections_) {
    if (result_ && connection->client) connection->client->disconnect();
  }
  return result_;
}

void BenchRun::connect_more() {
  const mqtt::Version version = load_.mqtt_version == 5 ? mqtt::Version::k5 : mqtt::Version::k311;
  while (!ended_ && connecting_ < kConnectingMax && ready_ + connecting_ < connections_.size()) {
    Connection& connection = *connections_[ready_ + connecting_];
    const std::string client_id = fmt::format("verge-bench-{}-{}", getpid(), connection.number);
    Result<std::unique_ptr<mqtt::Client>> client = mqtt::Client::open(
        loop_, address_, {.version = version, .keep_alive_s = 60, .client_id = client_id}, connection);
    if (!client) return fail_with(client.error());
    connection.client = std::move(*client);
    ++connecting_;
  }
}

void BenchRun::Connection::on_connected(const mqtt::Connack& connack) {
  if (number < run.load_.publishers) {
    const size_t window = std::min<size_t>(connack.properties.receive_maximum.value_or(kWindowMax), kWindowMax);
    publisher =
        std::make_unique<Publisher>(*client, run.topic_of(number), window,
                                    [this](const Publisher::Message& message) { return run.compose(number, message); });
  }
  for (const std::string& filter : run.filters_of(number)) {
    client->subscribe(filter, static_cast<uint8_t>(run.load_.qos));
    ++subscriptions_open;
  }
  if (subscriptions_open == 0) run.ready(*this);
}

void BenchRun::Connection::on_subscribed(const mqtt::Suback& suback) {
  for (const uint8_t code : suback.codes) {
    if (code >= 0x80) {
      return run.fail_with({"bench.subscribe", fmt::format("the broker refused a subscription with code {:#x}", code),
                            "check the topic and the broker's access rules"});
    }
  }
  if (--subscriptions_open == 0) run.ready(*this);
}

void BenchRun::Connection::on_acknowledged(const mqtt::Acknowledgement& acknowledgement) {
  const std::optional<Publisher::Message> message = publisher->acknowledge(acknowledgement.packet_id);
  if (message) run.on_acknowledged(*message, acknowledgement.reason);
}

void BenchRun::Connection::on_disconnected(std::string_view reason) {
  run.fail_with({"bench.disconnected", fmt::format("connection {} to {}: {}", number, run.load_.target, reason),
                 "check that an MQTT broker listens there, and its log"});
}

void BenchRun::ready(Connection&) {
  --connecting_;
  ++ready_;
  if (ready_ < connections_.size()) return connect_more();
  timeout_.cancel();
  start();
}

void BenchRun::start() {
  const auto batch = static_cast<double>(load_.batch);
  const Duration interval(std::max<int64_t>(1, std::llround(1e9 * batch / load_.rate)));
  const auto writes = [&](double seconds) { return static_cast<uint64_t>(std::ceil(seconds * load_.rate / batch)); };
  const uint64_t warmup = writes(load_.warmup_seconds);
  const uint64_t counted = std::max<uint64_t>(1, writes(load_.seconds));
  first_counted_ = warmup * load_.batch;
  messages_ = (warmup + counted) * load_.batch;
  pacer_.start(loop_.tick() + kBeforeStart, interval, warmup + counted, [this] { drain(); });
}

void BenchRun::write(uint64_t index, MonotonicTime due) {
  const size_t publisher = index % load_.publishers;
  if (index * load_.batch == first_counted_) on_counting();
  for (uint64_t number = index * load_.batch; number < (index + 1) * load_.batch; ++number) {
    Publisher::Message message{number, due, static_cast<uint8_t>(load_.qos)};
    on_due(message, publisher);
    connections_[publisher]->publisher->publish(message);
  }
}

void BenchRun::drain() {
  draining_ = true;
  timeout_.after(kDrainTimeout, [this] {
    ended_ = true;
    loop_.stop();
  });
  resume_while_waiting();
  end_if_drained();
}

void BenchRun::resume_while_waiting() {
  for (const auto& connection : connections_) {
    if (connection->publisher) connection->publisher->resume();
  }
  end_if_drained();
  resume_.after(kResumeInterval, [this] { resume_while_waiting(); });
}

void BenchRun::end_if_drained() {
  if (!draining_ || ended_ || !drained()) return;
  ended_ = true;
  loop_.stop();
}

void BenchRun::fail_with(Error error) {
  if (ended_) return;
  ended_ = true;
  pacer_.stop();
  result_ = std::unexpected(std::move(error));
  loop_.stop();
}

bool BenchRun::publishers_idle() const {
  return std::ranges::all_of(connections_, [](const auto& c) { return !c->publisher || c->publisher->idle(); });
}

uint64_t BenchRun::sent() const {
  uint64_t sum = 0;
  for (const auto& connection : connections_) sum += connection->publisher ? connection->publisher->sent() : 0;
  return sum;
}

}  // namespace verge::cli
