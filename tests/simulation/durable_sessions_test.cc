// Exactly once at QoS 2, whenever the power is cut: real brokers on two loops and their journal, over a disk that loses
// what was not synced; clients that follow the protocol to the letter, remember what they must, and reuse packet
// identifiers as soon as they may. The power goes at a random moment of the journal, with a random part of the next
// write done.
//
// VERGE_SEED repeats the choices of a run; what the threads make of them may differ.

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <future>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "mqtt/broker.h"
#include "mqtt/encode.h"
#include "net/listener.h"
#include "net/stream.h"
#include "tests/support/simulated_disk.h"

namespace verge::mqtt {
namespace {

constexpr size_t kLoops = 2;
constexpr uint16_t kIdentifiers = 6;  // of a publisher: used again and again
constexpr int kLives = 12;
constexpr size_t kMessagesAfterwards = 30;

uint64_t seed_of_run() {
  const char* given = std::getenv("VERGE_SEED");
  const uint64_t seed = given == nullptr ? system_seed() : std::strtoull(given, nullptr, 10);
  fmt::print("VERGE_SEED={}\n", seed);
  return seed;
}

struct TakesAll final : Intake {
  Verdict take(const Incoming&, const AckTicket&) override { return Verdict::kAccepted; }
};

// The brokers of a node, from the start to the cut.
class Life {
 public:
  Life(tests::SimulatedDisk& disk, const Clock& clock) : disk_(disk) {
    auto opened = SessionJournal::open(disk, "sessions", keys_, clock, /*log_bytes_min=*/32U << 10);
    EXPECT_TRUE(opened.has_value()) << opened.error().line();
    journal_ = std::move(*opened);
    std::vector<net::Socket> sockets = *net::listen_on_loops(*net::Address::parse("127.0.0.1:0"), kLoops);
    address_ = net::Address::local_of(sockets[0].descriptor());
    std::vector<Broker*> shards;
    for (size_t i = 0; i < kLoops; ++i) {
      loops_.push_back(std::make_unique<runtime::Loop>("broker"));
      brokers_.push_back(std::make_unique<Broker>(*loops_[i], i, Limits{}, intake_));
      shards.push_back(brokers_.back().get());
      listeners_.push_back(std::make_unique<net::TcpListener>(
          *loops_[i], std::move(sockets[i]), [broker = shards[i]](net::Socket s) { broker->accept(std::move(s)); }));
    }
    for (Broker* shard : shards) shard->join(shards);
    for (Broker* shard : shards) shard->record_in(*journal_, clock, {});
    const Clocks now{.wall_us = clock.wall().microseconds, .monotonic = clock.monotonic()};
    for (const auto& [name, session] : journal_->image().sessions()) {
      shards[Broker::shard_of(session.client_id, kLoops)]->restore(session, now);
    }
    for (const MessagePointer& message : journal_->image().retained()) {
      shards[Broker::retaining_shard_of(message->topic, kLoops)]->restore_retained(message);
      retained_[message->topic] = message->payload.view();
    }
    journal_->start();
    for (auto& loop : loops_) threads_.emplace_back([&loop] { loop->run(); });
  }

  // While the journal stands still, `cut` is called, which ends the connections; from then on the disk fails.
  void end(uint64_t operations_left, const std::function<void()>& cut) {
    std::promise<void> reached;
    std::promise<void> released;
    journal_->submit({.records = {}, .messages = {}, .is_awaited = true},
                     [&reached, go_on = released.get_future().share()](bool) {
                       reached.set_value();
                       go_on.wait();
                     });
    reached.get_future().wait();
    disk_.fail_operation(1 + operations_left, "storage.io", /*sticky=*/true);
    cut();
    released.set_value();
    for (auto& loop : loops_) loop->stop();
    for (std::thread& thread : threads_) thread.join();
    journal_->stop();
    listeners_.clear();
    brokers_.clear();
    journal_.reset();
    loops_.clear();
    disk_.crash();
    disk_.heal();
  }

  [[nodiscard]] const net::Address& address() const { return address_; }
  // What was retained there at the start; empty: nothing.
  [[nodiscard]] std::string retained(const std::string& topic) const {
    const auto found = retained_.find(topic);
    return found == retained_.end() ? std::string() : found->second;
  }

 private:
  tests::SimulatedDisk& disk_;
  storage::KeyRing keys_;
  TakesAll intake_;
  std::unique_ptr<SessionJournal> journal_;
  std::vector<std::unique_ptr<runtime::Loop>> loops_;
  std::vector<std::unique_ptr<Broker>> brokers_;
  std::vector<std::unique_ptr<net::TcpListener>> listeners_;
  std::vector<std::thread> threads_;
  std::map<std::string, std::string> retained_;
  net::Address address_;
};

// One client over many connections.
class StrictClient : public net::StreamObserver {
 public:
  StrictClient(runtime::Loop& loop, std::string id, std::function<void()> happened)
      : loop_(loop), id_(std::move(id)), happened_(std::move(happened)) {}

  void connect(const net::Address& address) {
    input_ = {};
    stream_ = std::make_unique<net::TcpStream>(loop_, std::move(*net::Socket::connect(address)), *this);
    Connect connect{.version = Version::k5, .clean_start = false, .client_id = id_};
    connect.properties.session_expiry_s = 1000;
    append_connect(stream_->output(), connect);
  }
  void cut() { stream_.reset(); }

 protected:
  virtual void on_connected(bool session_present) = 0;
  virtual void on_packet(const Frame& frame) = 0;
  std::string& output() { return stream_->output(); }
  void answer(PacketType type, uint16_t packet_id) {
    append_acknowledgement(output(), type, {packet_id, Reason::kSuccess}, Version::k5);
  }

 private:
  void on_bytes(std::string_view bytes) override {
    bytes = input_.begin(bytes);
    Frame frame;
    Violation problem;
    while (next_frame(bytes, 1U << 20, frame, problem) == Framing::kFrame) {
      if (frame.type == PacketType::kConnack) {
        const Parsed<Connack> connack = parse_connack(frame, Version::k5);
        ASSERT_TRUE(connack && connack->reason == Reason::kSuccess);
        on_connected(connack->session_present);
      } else {
        on_packet(frame);
      }
      happened_();
    }
    input_.keep(bytes);
  }
  void on_closed(std::string_view) override { happened_(); }

  runtime::Loop& loop_;
  const std::string id_;
  std::function<void()> happened_;
  std::unique_ptr<net::TcpStream> stream_;
  FrameInput input_;
};

class Publisher final : public StrictClient {
 public:
  Publisher(runtime::Loop& loop, const std::string& id, std::function<void()> happened)
      : StrictClient(loop, id, std::move(happened)), topic_("t/" + id) {
    for (uint16_t i = 1; i <= kIdentifiers; ++i) free_.push_back(i);
  }
  [[nodiscard]] const std::string& topic() const { return topic_; }
  [[nodiscard]] size_t completed() const { return completed_; }
  [[nodiscard]] size_t sent() const { return next_; }
  void stop_at(size_t count) { last_ = count; }
  // How many were acknowledged, at least.
  [[nodiscard]] size_t acknowledged() const { return acknowledged_; }

 private:
  struct InFlight {
    uint16_t packet_id;
    size_t number;
    bool is_released = false;
  };
  void on_connected(bool session_present) override {
    for (const InFlight& each : flight_) {
      EXPECT_TRUE(session_present || !each.is_released) << "a session whose publish was taken is lost";
      if (each.is_released) {
        answer(PacketType::kPubrel, each.packet_id);
      } else {
        send(each, /*again=*/true);
      }
    }
    publish();
  }
  void on_packet(const Frame& frame) override {
    const Parsed<Acknowledgement> ack = parse_acknowledgement(frame, Version::k5);
    if (!ack) return;
    const auto found = std::ranges::find(flight_, ack->packet_id, &InFlight::packet_id);
    if (found == flight_.end()) return;
    if (frame.type == PacketType::kPubrec) {
      EXPECT_FALSE(is_failure(ack->reason)) << static_cast<int>(ack->reason);
      found->is_released = true;
      acknowledged_ = std::max(acknowledged_, found->number + 1);
      answer(PacketType::kPubrel, ack->packet_id);
    } else if (frame.type == PacketType::kPubcomp) {
      ++completed_;
      free_.push_front(ack->packet_id);
      flight_.erase(found);
      publish();
    }
  }
  void publish() {
    while (!free_.empty() && next_ < last_) {
      flight_.push_back({.packet_id = free_.front(), .number = next_++});
      free_.pop_front();
      send(flight_.back(), /*again=*/false);
    }
  }
  void send(const InFlight& each, bool again) {
    const std::string payload = std::to_string(each.number);
    append_publish(output(),
                   {.duplicate = again,
                    .qos = 2,
                    .retain = true,
                    .topic = topic_,
                    .packet_id = each.packet_id,
                    .properties = {},
                    .payload = payload},
                   Version::k5, {});
  }

  const std::string topic_;
  std::deque<uint16_t> free_;
  std::deque<InFlight> flight_;
  size_t next_ = 0;
  size_t last_ = SIZE_MAX;
  size_t completed_ = 0;
  size_t acknowledged_ = 0;
};

class Subscriber final : public StrictClient {
 public:
  using StrictClient::StrictClient;
  std::map<std::string, std::vector<std::string>> messages;  // payloads by topic
  [[nodiscard]] bool is_subscribed() const { return subscribed_; }

 private:
  void on_connected(bool session_present) override {
    EXPECT_TRUE(session_present || !subscribed_) << "a session that was subscribed is lost";
    if (subscribed_) return;
    received_.clear();
    Subscribe request{.packet_id = 1, .properties = {}, .requests = {{"t/#", {.qos = 2}}}};
    append_subscribe(output(), request, Version::k5);
  }
  void on_packet(const Frame& frame) override {
    if (frame.type == PacketType::kSuback) {
      subscribed_ = true;
    } else if (frame.type == PacketType::kPublish) {
      const Parsed<Publish> publish = parse_publish(frame, Version::k5);
      ASSERT_TRUE(publish.has_value());
      ASSERT_EQ(publish->qos, 2);
      if (received_.insert(publish->packet_id).second) {
        messages[std::string(publish->topic)].emplace_back(publish->payload);
      }
      answer(PacketType::kPubrec, publish->packet_id);
    } else if (frame.type == PacketType::kPubrel) {
      const Parsed<Acknowledgement> ack = parse_acknowledgement(frame, Version::k5);
      ASSERT_TRUE(ack.has_value());
      received_.erase(ack->packet_id);
      answer(PacketType::kPubcomp, ack->packet_id);
    }
  }
  std::set<uint16_t> received_;
  bool subscribed_ = false;
};

TEST(DurableSessions, ExactlyOnceThroughPowerCuts) {
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE(seed);
  Random random(seed);
  tests::SimulatedDisk disk(random.next());
  SystemClock clock;
  runtime::Loop loop("clients");
  std::function<bool()> is_done;
  const auto happened = [&] {
    if (is_done && is_done()) loop.stop();
  };
  const auto until = [&](std::function<bool()> condition) {
    is_done = std::move(condition);
    while (!is_done()) loop.run();
    is_done = nullptr;
  };
  std::vector<std::unique_ptr<Publisher>> publishers;
  std::vector<std::unique_ptr<Subscriber>> subscribers;
  for (int i = 0; i < 3; ++i) {
    publishers.push_back(std::make_unique<Publisher>(loop, fmt::format("publisher-{}", i), happened));
    subscribers.push_back(std::make_unique<Subscriber>(loop, fmt::format("subscriber-{}", i), happened));
  }
  const auto all = [&](const auto& each_of) {
    for (auto& each : subscribers) each_of(*each);
    for (auto& each : publishers) each_of(*each);
  };
  // Publishers begin once there is somebody to take it.
  bool is_begun = false;
  for (int number = 0; number < kLives; ++number) {
    Life life(disk, clock);
    for (auto& each : publishers) {
      const std::string retained = life.retained(each->topic());
      EXPECT_GE(retained.empty() ? 0 : std::stoul(retained) + 1, each->acknowledged()) << each->topic();
    }
    for (auto& each : subscribers) each->connect(life.address());
    if (!is_begun) until([&] { return std::ranges::all_of(subscribers, &Subscriber::is_subscribed); });
    is_begun = true;
    for (auto& each : publishers) each->connect(life.address());
    size_t before = 0;
    for (auto& each : publishers) before += each->completed();
    const size_t some = random.below(60);
    until([&] {
      size_t now = 0;
      for (auto& each : publishers) now += each->completed();
      return now >= before + some;
    });
    life.end(random.below(5), [&] { all([](StrictClient& client) { client.cut(); }); });
  }
  Life last(disk, clock);
  for (auto& each : publishers) each->stop_at(each->sent() + kMessagesAfterwards);
  all([&](StrictClient& client) { client.connect(last.address()); });
  until([&] {
    return std::ranges::all_of(publishers, [&](const auto& publisher) {
      return publisher->completed() == publisher->sent() && std::ranges::all_of(subscribers, [&](const auto& each) {
               return each->messages[publisher->topic()].size() >= publisher->sent();
             });
    });
  });
  for (const auto& publisher : publishers) {
    EXPECT_GT(publisher->acknowledged(), 0U);
    std::vector<std::string> expected;
    for (size_t i = 0; i < publisher->sent(); ++i) expected.push_back(std::to_string(i));
    for (const auto& each : subscribers) EXPECT_EQ(each->messages[publisher->topic()], expected);
  }
  last.end(0, [&] { all([](StrictClient& client) { client.cut(); }); });
}

}  // namespace
}  // namespace verge::mqtt
