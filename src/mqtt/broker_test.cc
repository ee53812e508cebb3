#include "mqtt/broker.h"

#include <algorithm>
#include <future>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "mqtt/client.h"
#include "mqtt/encode.h"
#include "net/listener.h"

namespace verge::mqtt {
namespace {

// Takes everything; acknowledges what is published to "later/..." only when told.
struct TestIntake final : Intake {
  Verdict take(const Incoming& incoming, const AckTicket& ticket) override {
    const std::lock_guard lock(mutex);
    taken.emplace_back(incoming.payload.view());
    if (!incoming.topic.starts_with("later/")) return Verdict::kAccepted;
    tickets.push_back(ticket);
    return Verdict::kPending;
  }
  std::mutex mutex;
  std::vector<std::string> taken;  // payloads
  std::vector<AckTicket> tickets;
};

std::string publish_at_2(std::string_view topic, std::string_view payload, uint16_t packet_id, bool duplicate = false) {
  std::string bytes;
  append_publish(
      bytes,
      {.duplicate = duplicate, .qos = 2, .topic = topic, .packet_id = packet_id, .properties = {}, .payload = payload},
      Version::k5, {});
  return bytes;
}

// Two loops on threads of their own with a broker each, and a loop for clients on the test's thread.
class BrokerTest : public testing::Test {
 protected:
  void SetUp() override { start({}); }

  void start(const Limits& limits) {
    std::vector<net::Socket> sockets = *net::listen_on_loops(*net::Address::parse("127.0.0.1:0"), 2);
    address_ = net::Address::local_of(sockets[0].descriptor());
    std::vector<Broker*> shards;
    for (size_t i = 0; i < 2; ++i) {
      loops_.push_back(std::make_unique<runtime::Loop>("broker"));
      brokers_.push_back(std::make_unique<Broker>(*loops_[i], i, limits, intake_));
      shards.push_back(brokers_.back().get());
      listeners_.push_back(std::make_unique<net::TcpListener>(
          *loops_[i], std::move(sockets[i]),
          [broker = shards.back()](net::Socket s) { broker->accept(std::move(s)); }));
    }
    for (Broker* shard : shards) shard->join(shards);
    for (auto& loop : loops_) threads_.emplace_back([&loop] { loop->run(); });
  }

  void stop() {
    for (auto& loop : loops_) loop->stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    listeners_.clear();
    brokers_.clear();
    loops_.clear();
  }
  void TearDown() override { stop(); }

  struct Device final : ClientObserver {
    Device(BrokerTest& test, Connect connect) : test(test) {
      client = std::move(*Client::open(test.client_loop_, test.address_, connect, *this));
    }
    void on_connected(const Connack& ack) override {
      connected = true;
      session_present = ack.session_present;
      test.check();
    }
    void on_subscribed(const Suback& ack) override {
      subscribed.insert(subscribed.end(), ack.codes.begin(), ack.codes.end());
      test.check();
    }
    void on_message(const Publish& publish) override {
      messages.push_back(std::string(publish.topic) + "=" + std::string(publish.payload) +
                         (publish.retain ? " r" : ""));
      test.check();
    }
    void on_acknowledged(const Acknowledgement& ack) override {
      acknowledged.push_back(ack.packet_id);
      test.check();
    }
    void on_disconnected(std::string_view) override {
      disconnected = true;
      test.check();
    }
    BrokerTest& test;
    std::unique_ptr<Client> client;
    bool connected = false;
    bool session_present = false;
    bool disconnected = false;
    std::vector<uint8_t> subscribed;
    std::vector<uint16_t> acknowledged;
    std::vector<std::string> messages;
  };

  std::unique_ptr<Device> device(const std::string& id, bool clean = true) {
    auto made = std::make_unique<Device>(
        *this, Connect{.version = Version::k311, .clean_start = clean, .keep_alive_s = 60, .client_id = id});
    until([&] { return made->connected; });
    return made;
  }

  // A client that sends what it is told, packet by packet, with a session that is kept.
  struct RawDevice final : net::StreamObserver {
    RawDevice(BrokerTest& test, std::string_view client_id, const Properties& wishes = {})
        : test(test), stream(test.client_loop_, std::move(*net::Socket::connect(test.address_)), *this) {
      std::string bytes;
      Connect connect{.version = Version::k5, .clean_start = false, .client_id = client_id};
      connect.properties = wishes;
      connect.properties.session_expiry_s = 1000;
      append_connect(bytes, connect);
      stream.write(bytes);
      test.until([&] { return !received.empty(); });
    }
    void on_bytes(std::string_view bytes) override {
      bytes = input.begin(bytes);
      Frame frame;
      Violation problem;
      while (next_frame(bytes, 1U << 20, frame, problem) == Framing::kFrame) {
        std::string text = fmt::format("{:x}", static_cast<int>(frame.type));
        for (const char c : frame.body) text += fmt::format(" {:02x}", static_cast<uint8_t>(c));
        received.push_back(text);
      }
      input.keep(bytes);
      test.check();
    }
    void on_closed(std::string_view) override {
      closed = true;
      test.check();
    }
    void subscribe(std::string_view filter, SubscriptionOptions options = {.qos = 2}) {
      Subscribe request{.packet_id = 1, .properties = {}, .requests = {{filter, options}}};
      std::string bytes;
      append_subscribe(bytes, request, Version::k5);
      stream.write(bytes);
      test.until([&] { return received.back().starts_with("9 00 01"); });
    }
    void acknowledge(PacketType type, uint16_t packet_id) {
      append_acknowledgement(stream.output(), type, {packet_id, Reason::kSuccess}, Version::k5);
    }
    // The body of the last packet, once there are as many.
    const std::string& packet(size_t count) {
      test.until([&] { return received.size() >= count || closed; });
      return received.back();
    }
    BrokerTest& test;
    net::TcpStream stream;
    FrameInput input;
    std::vector<std::string> received;  // the type of each packet and its body
    bool closed = false;
  };

  size_t taken() {
    const std::lock_guard lock(intake_.mutex);
    return intake_.taken.size();
  }
  // Until the loops have done all that reached them: a PINGREQ is answered after what came before it.
  void settle(RawDevice& device) {
    device.stream.write(std::string("\xC0\0", 2));
    const auto answered = [&] { return std::ranges::find(device.received, "d"); };
    until([&] { return answered() != device.received.end(); });
    device.received.erase(answered());
  }
  void answer(size_t ticket_index, Reason reason) {
    const AckTicket ticket = intake_.tickets[ticket_index];
    loops_[ticket.shard]->post([this, ticket, reason] { brokers_[ticket.shard]->acknowledge(ticket, reason); });
  }

  void check() {
    if (done_ && done_()) client_loop_.stop();
  }
  // Runs the clients' loop until the condition holds.
  void until(std::function<bool()> done) {
    done_ = std::move(done);
    while (!done_()) client_loop_.run();
    done_ = nullptr;
  }

  TestIntake intake_;
  net::Address address_;
  std::vector<std::unique_ptr<runtime::Loop>> loops_;
  std::vector<std::unique_ptr<Broker>> brokers_;
  std::vector<std::unique_ptr<net::TcpListener>> listeners_;
  std::vector<std::thread> threads_;
  runtime::Loop client_loop_{"clients"};
  std::function<bool()> done_;
};

TEST_F(BrokerTest, DeliversAcrossLoopsInOrder) {
  // Enough clients that both loops have some.
  std::vector<std::unique_ptr<Device>> takers;
  for (int i = 0; i < 6; ++i) {
    takers.push_back(device("taker" + std::to_string(i)));
    takers.back()->client->subscribe("a/+", 1);
    until([&] { return takers.back()->subscribed.size() == 1; });
  }
  const auto giver = device("giver");
  for (int i = 0; i < 100; ++i) {
    const std::string payload = std::to_string(i);
    giver->client->publish({.qos = 1, .topic = "a/b", .payload = payload});
  }
  for (auto& taker : takers) {
    until([&] { return taker->messages.size() == 100; });
    for (int i = 0; i < 100; ++i) EXPECT_EQ(taker->messages[static_cast<size_t>(i)], "a/b=" + std::to_string(i));
  }
  until([&] { return giver->acknowledged.size() == 100; });
  for (uint16_t i = 1; i <= 100; ++i) EXPECT_EQ(giver->acknowledged[i - 1U], i);
}

TEST_F(BrokerTest, RetainedMessagesOfAllLoopsFollowTheSuback) {
  const auto giver = device("giver");
  for (int i = 0; i < 20; ++i) {
    const std::string topic = "state/" + std::to_string(i);
    giver->client->publish({.qos = 1, .retain = true, .topic = topic, .payload = "x"});
  }
  giver->client->publish({.qos = 1, .retain = true, .topic = "state/7", .payload = ""});
  until([&] { return giver->acknowledged.size() == 21; });
  const auto taker = device("taker");
  taker->client->subscribe("state/#", 0);
  until([&] { return taker->messages.size() >= 19; });
  EXPECT_EQ(taker->subscribed.size(), 1U);
  for (const std::string& message : taker->messages) EXPECT_TRUE(message.ends_with("=x r")) << message;
}

// Published while its subscription is on its way to the loop that retains it: it is news, and retained when that
// answers.
TEST_F(BrokerTest, WhatASubscriberWasGivenIsNotSentAgainAsRetained) {
  const auto on = [](size_t loop, const auto& place, std::string name) {
    while (place(name, 2) != loop) name += "-";
    return name;
  };
  const auto giver = device(on(0, Broker::shard_of, "giver"));
  const auto taker = device(on(0, Broker::shard_of, "taker"));
  const std::string news = on(1, Broker::retaining_shard_of, "state/news");
  const std::string old = on(1, Broker::retaining_shard_of, "state/old");
  for (const std::string& topic : {news, old}) {
    giver->client->publish({.qos = 1, .retain = true, .topic = topic, .payload = "old"});
  }
  until([&] { return giver->acknowledged.size() == 2; });
  for (const uint8_t qos : {0, 1}) {
    taker->messages.clear();
    std::promise<void> released;
    loops_[1]->post([go_on = released.get_future().share()] { go_on.wait(); });
    taker->client->subscribe("state/#", qos);
    taker->client->publish({.qos = 1, .retain = true, .topic = news, .payload = "new"});
    taker->client->publish({.qos = 1, .topic = old, .payload = "passing"});
    until([&] { return taker->messages.size() >= 2; });
    released.set_value();
    until([&] { return taker->messages.size() >= 3; });
    EXPECT_EQ(taker->messages, (std::vector<std::string>{news + "=new", old + "=passing", old + "=old r"}));
  }
  taker->client->subscribe("state/#", 1);
  until([&] { return taker->messages.size() >= 5; });
  EXPECT_EQ(taker->messages[3], news + "=new r") << "it asked again";
}

TEST_F(BrokerTest, AcknowledgementsKeepTheOrderOfThePublishes) {
  // clauses: 3 4.6.0-2
  const auto giver = device("giver");
  giver->client->publish({.qos = 1, .topic = "later/1", .payload = ""});
  giver->client->publish({.qos = 1, .topic = "now/2", .payload = ""});
  giver->client->publish({.qos = 1, .topic = "later/3", .payload = ""});
  giver->client->subscribe("x", 0);  // answered after all three were taken
  until([&] { return giver->subscribed.size() == 1; });
  EXPECT_TRUE(giver->acknowledged.empty());
  const auto answer = [&](size_t i) {
    const AckTicket ticket = intake_.tickets[i];
    loops_[ticket.shard]->post([this, ticket] { brokers_[ticket.shard]->acknowledge(ticket, Reason::kSuccess); });
  };
  answer(1);
  answer(0);
  until([&] { return giver->acknowledged.size() == 3; });
  EXPECT_EQ(giver->acknowledged, (std::vector<uint16_t>{1, 2, 3}));
}

// The connection breaks before PUBREC: the message was taken all the same.
TEST_F(BrokerTest, APublishAtQos2ThatIsRepeatedOnTheNextConnectionIsTakenOnce) {
  // clauses: 3 4.3.3-2; 5 4.3.3-10
  {
    RawDevice first(*this, "device");
    first.stream.write(publish_at_2("later/a", "1", 7) + publish_at_2("now/b", "2", 8));
    settle(first);
    EXPECT_EQ(first.received.size(), 1U) << "the second waits behind the first, for its PUBREC";
    first.stream.close();
  }
  RawDevice second(*this, "device");
  EXPECT_TRUE(second.received[0].starts_with("2 01 00")) << "the session is there: " << second.received[0];
  second.stream.write(publish_at_2("later/a", "1", 7, true) + publish_at_2("now/b", "2", 8, true));
  settle(second);
  EXPECT_EQ(taken(), 2U);
  EXPECT_EQ(second.received.size(), 1U) << "whether the first is kept is not known yet";
  answer(0, Reason::kSuccess);
  until([&] { return second.received.size() == 3; });
  EXPECT_EQ(second.received[1], "5 00 07");
  EXPECT_EQ(second.received[2], "5 00 08");
  second.stream.write(std::string("\x62\x02\x00\x07\x62\x02\x00\x08", 8) + publish_at_2("now/a", "3", 7));
  settle(second);
  EXPECT_EQ((std::vector<std::string>(second.received.begin() + 3, second.received.end())),
            (std::vector<std::string>{"7 00 07", "7 00 08", "5 00 07 10"}));
  EXPECT_EQ(intake_.taken, (std::vector<std::string>{"1", "2", "3"})) << "once released, it names another message";
}

TEST_F(BrokerTest, APublishAtQos2ThatWasAnsweredWhileNobodyWasThereIsTakenOnce) {
  for (const Reason reason : {Reason::kSuccess, Reason::kQuotaExceeded}) {
    const std::string id = reason == Reason::kSuccess ? "kept" : "refused";
    const size_t before = taken();
    {
      RawDevice first(*this, id);
      first.stream.write(publish_at_2("later/a", "1", 7));
      settle(first);
      first.stream.close();
    }
    RawDevice other(*this, id);  // the first connection has ended when this one stands
    other.stream.close();
    answer(intake_.tickets.size() - 1, reason);
    RawDevice second(*this, id);
    second.stream.write(publish_at_2("later/a", "1", 7, true));
    settle(second);
    const bool kept = reason == Reason::kSuccess;
    EXPECT_EQ(taken(), before + (kept ? 1 : 2)) << id;
    EXPECT_EQ(second.received.size(), kept ? 2U : 1U) << "PUBREC at once, or when the second attempt is kept";
    if (!kept) answer(intake_.tickets.size() - 1, Reason::kSuccess);
    until([&] { return second.received.size() == 2; });
    EXPECT_EQ(second.received[1], kept ? "5 00 07" : "5 00 07 10");
  }
}

TEST_F(BrokerTest, WhatEarlierConnectionsLeftBehindIsBounded) {
  stop();
  start({.pending_max = 3});
  uint16_t packet_id = 0;
  for (int i = 0; i < 3; ++i) {
    RawDevice device(*this, "device");
    for (int k = 0; k < 2; ++k) device.stream.write(publish_at_2("later/a", "x", ++packet_id));
    settle(device);
    device.stream.close();
  }
  RawDevice last(*this, "device");
  last.stream.write(publish_at_2("later/a", "x", ++packet_id));
  until([&] { return last.closed; });
  EXPECT_TRUE(last.received.at(1).starts_with("e 97"));
  EXPECT_EQ(taken(), 6U);
}

TEST_F(BrokerTest, AKeptSessionGetsWhatItMissed) {
  auto taker = device("taker", /*clean=*/false);
  taker->client->subscribe("a", 1);
  until([&] { return taker->subscribed.size() == 1; });
  taker->client->drop();
  taker.reset();
  const auto giver = device("giver");
  for (const char* payload : {"1", "2", "3"}) giver->client->publish({.qos = 1, .topic = "a", .payload = payload});
  until([&] { return giver->acknowledged.size() == 3; });
  taker = device("taker", /*clean=*/false);
  EXPECT_TRUE(taker->session_present);
  until([&] { return taker->messages.size() == 3; });
  EXPECT_EQ(taker->messages, (std::vector<std::string>{"a=1", "a=2", "a=3"}));
}

class BrokerForwardTest : public BrokerTest {
 protected:
  void SetUp() override { start({.forward_max = 16, .forward_bytes_max = 4000}); }

  static std::string id_on(size_t shard, const std::string& name) {
    for (int i = 0;; ++i) {
      std::string id = name + std::to_string(i);
      if (hash64(id) % 2 == shard) return id;
    }
  }
  std::unique_ptr<Device> taker_on(size_t shard) {
    auto taker = device(id_on(shard, "taker"));
    taker->client->subscribe("to/" + std::to_string(shard), 0);
    until([&] { return taker->subscribed.size() == 1; });
    return taker;
  }
  const BrokerCounters& counters(size_t shard) { return brokers_[shard]->counters(); }
};

TEST_F(BrokerForwardTest, WhoIsFasterThanAnotherLoopIsReadNoFurtherUntilItHasCaughtUp) {
  constexpr size_t kMessages = 1000;
  const auto taker = taker_on(1);
  const auto giver = device(id_on(0, "giver"));
  RawDevice other(*this, id_on(0, "other"));
  std::promise<void> goes_on;
  loops_[1]->post([until = goes_on.get_future().share()] { until.wait(); });
  for (size_t i = 0; i < kMessages; ++i) giver->client->publish({.qos = 0, .topic = "to/1", .payload = "x"});
  while (counters(0).forward_held.value() == 0) settle(other);
  const size_t taken_until_held = taken();
  EXPECT_LE(taken_until_held, 16U);
  for (int i = 0; i < 10; ++i) settle(other);  // others of its loop go on
  EXPECT_EQ(taken(), taken_until_held);
  goes_on.set_value();
  until([&] { return taker->messages.size() == kMessages; });
  EXPECT_EQ(counters(0).dropped.value() + counters(1).dropped.value(), 0U);
}

TEST_F(BrokerForwardTest, WhoseMessagesMatchManySubscriptionsLetsTheOthersHaveTheirTurn) {
  // Each level by its name or by +: 1,024 subscriptions that all match one topic.
  constexpr size_t kLevels = 10;
  const auto taker = device(id_on(0, "taker"));
  for (size_t i = 0; i < 1U << kLevels; ++i) {
    std::string filter;
    for (size_t level = 0; level < kLevels; ++level) filter += (i >> level & 1U) != 0 ? "/+" : "/a";
    taker->client->subscribe(filter, 0);
  }
  until([&] { return taker->subscribed.size() == 1U << kLevels; });
  const auto giver = device(id_on(0, "giver"));
  constexpr size_t kMessages = 100;
  std::vector<std::string> expected;
  for (size_t i = 0; i < kMessages; ++i) {
    const std::string payload = std::to_string(i);
    giver->client->publish({.qos = 0, .topic = "/a/a/a/a/a/a/a/a/a/a", .payload = payload});
    expected.push_back("/a/a/a/a/a/a/a/a/a/a=" + payload);
  }
  until([&] { return taker->messages.size() == kMessages; });
  EXPECT_EQ(taker->messages, expected);
  // All but the last of what came in one piece; how many pieces there were is the network's.
  EXPECT_GE(counters(0).turns_ended.value(), kMessages / 2);
}

TEST_F(BrokerForwardTest, LoopsThatAreFullTowardsEachOtherGoOn) {
  constexpr size_t kMessages = 5000;
  std::unique_ptr<Device> takers[2] = {taker_on(0), taker_on(1)};
  std::unique_ptr<Device> givers[2] = {device(id_on(0, "giver")), device(id_on(1, "giver"))};
  for (size_t i = 0; i < kMessages; ++i) {
    givers[0]->client->publish({.qos = 0, .topic = "to/1", .payload = "x"});
    givers[1]->client->publish({.qos = 1, .topic = "to/0", .payload = "x"});
  }
  until([&] { return takers[0]->messages.size() == kMessages && takers[1]->messages.size() == kMessages; });
  until([&] { return givers[1]->acknowledged.size() == kMessages; });
}

// What nobody waits with: commands of rules, wills.
TEST_F(BrokerForwardTest, WhatNobodyCanBeMadeToWaitWithIsDroppedAndCounted) {
  constexpr size_t kMessages = 100;
  const auto taker = taker_on(1);
  std::promise<void> published;
  std::promise<void> goes_on;
  loops_[1]->post([until = goes_on.get_future().share()] { until.wait(); });
  loops_[0]->post([&] {
    for (size_t i = 0; i < kMessages; ++i) {
      brokers_[0]->publish(
          std::make_shared<const Message>(Message{.topic = "to/1", .payload = Payload("x"), .properties = {}}));
    }
    published.set_value();
  });
  published.get_future().wait();
  const size_t dropped = counters(0).forward_dropped.value();
  EXPECT_GT(dropped, 0U);
  EXPECT_LT(dropped, kMessages);
  EXPECT_EQ(counters(0).dropped.value(), dropped);
  goes_on.set_value();
  until([&] { return taker->messages.size() == kMessages - dropped; });
}

class BrokerInputTest : public BrokerForwardTest {
 protected:
  static constexpr size_t kMax = 200'000;
  void SetUp() override { start({.input_bytes_max = kMax}); }
};

TEST_F(BrokerInputTest, WhatIsHeldOfPacketsThatAreNotWholeIsBounded) {
  std::string beginning("\x30\x80\x80\x08\x00\x01", 6);
  beginning.append("a");
  beginning.append(60'000, 'x');
  std::vector<std::unique_ptr<RawDevice>> greedy;
  for (int i = 0; i < 8; ++i) {
    greedy.push_back(std::make_unique<RawDevice>(*this, id_on(0, fmt::format("greedy-{}-", i))));
    greedy.back()->stream.write(beginning);
  }
  const auto closed = [&] { return std::ranges::count_if(greedy, [](const auto& each) { return each->closed; }); };
  until([&] { return closed() > 0 && counters(0).input_refused.value() == static_cast<uint64_t>(closed()); });
  // Who needs little gets it.
  RawDevice modest(*this, id_on(0, "modest"));
  std::string packet;
  append_publish(packet, {.qos = 1, .topic = "a", .packet_id = 1, .properties = {}, .payload = std::string(600, 'x')},
                 Version::k5, {});
  modest.stream.write(std::string_view(packet).substr(0, 500));
  RawDevice other(*this, id_on(0, "other"));
  settle(other);
  modest.stream.write(std::string_view(packet).substr(500));
  until([&] { return modest.received.size() == 2 || modest.closed; });
  EXPECT_EQ(modest.received.back(), "4 00 01 10");
  EXPECT_LE(counters(0).input_bytes.value(), kMax);
  EXPECT_GT(counters(0).input_bytes.value(), 0U);
  for (const auto& each : greedy) {
    if (each->closed) EXPECT_TRUE(each->received.back().starts_with("e 97"));
    each->stream.close();
  }
  while (counters(0).input_bytes.value() > 0) settle(other);
}

class BrokerAwayTest : public BrokerTest {
 protected:
  static constexpr size_t kMax = 10'000;
  void SetUp() override { start({.away_bytes_max = kMax}); }
  uint64_t total(const Counter BrokerCounters::* counter) {
    return (brokers_[0]->counters().*counter).value() + (brokers_[1]->counters().*counter).value();
  }
};

// Many absent clients, each far below its own bound.
TEST_F(BrokerAwayTest, WhatWaitsForAllWhoAreAwayIsBounded) {
  constexpr int kClients = 20, kMessages = 20;
  for (int i = 0; i < kClients; ++i) {
    const auto taker = device("taker" + std::to_string(i), /*clean=*/false);
    taker->client->subscribe("a", 1);
    until([&] { return taker->subscribed.size() == 1; });
    taker->client->drop();
  }
  while (total(&BrokerCounters::connections) > 0) std::this_thread::yield();
  const auto giver = device("giver");
  const std::string payload(500, 'x');
  for (int i = 0; i < kMessages; ++i) giver->client->publish({.qos = 1, .topic = "a", .payload = payload});
  until([&] { return giver->acknowledged.size() == kMessages; });
  RawDevice probe(*this, "probe");
  settle(probe);
  EXPECT_LE(total(&BrokerCounters::away_bytes), 2 * kMax);
  EXPECT_GT(total(&BrokerCounters::away_bytes), kMax);
  EXPECT_GE(total(&BrokerCounters::away_dropped), kClients * kMessages - 2 * kMax / 500);
  EXPECT_EQ(total(&BrokerCounters::dropped), total(&BrokerCounters::away_dropped));
  // Those who are here are not concerned, and who comes back makes room.
  size_t got = 0;
  for (int i = 0; i < kClients; ++i) {
    const auto taker = device("taker" + std::to_string(i), /*clean=*/false);
    EXPECT_TRUE(taker->session_present);
    giver->client->publish({.qos = 1, .topic = "a", .payload = "last"});
    until([&] { return !taker->messages.empty() && taker->messages.back() == "a=last"; });
    got += taker->messages.size() - static_cast<size_t>(std::ranges::count(taker->messages, "a=last"));
  }
  EXPECT_GT(got, kMax / 600) << "more than one loop's part";
}

TEST_F(BrokerTest, ANumberThatIsNoneIsRefused) {
  RawDevice device(*this, "numbering");
  uint16_t packet_id = 0;
  for (const auto& [number, expected] : std::vector<std::pair<std::string, std::string>>{
           {"7", "4 00 01 10"}, {"seven", "4 00 02 83"}, {"-1", "4 00 03 83"}, {"9999999999999999999", "4 00 04 83"}}) {
    std::string bytes, properties;
    Properties own;
    own.user = {{"verge-sequence", number}};
    append_properties(properties, own);
    append_publish(bytes, {.qos = 1, .topic = "a", .packet_id = ++packet_id, .properties = {}, .payload = "x"},
                   Version::k5, properties);
    device.received.clear();
    device.stream.write(bytes);
    until([&] { return !device.received.empty() || device.closed; });
    ASSERT_FALSE(device.closed);
    EXPECT_EQ(device.received[0].substr(0, expected.size()), expected) << number;
  }
}

TEST_F(BrokerTest, ADeliveryAtQos2IsRepeatedFromWhereItStood) {
  // clauses: 5 4.3.3-6 4.4.0-1
  RawDevice publisher(*this, "publisher");
  {
    RawDevice subscriber(*this, "subscriber");
    subscriber.subscribe("a");
    publisher.stream.write(publish_at_2("a", "x", 7));
    EXPECT_EQ(subscriber.packet(3), "3 00 01 61 00 01 00 78");
  }
  {
    RawDevice subscriber(*this, "subscriber");
    EXPECT_EQ(subscriber.packet(2), "3 00 01 61 00 01 00 78");  // under its identifier: it may be there already
    subscriber.acknowledge(PacketType::kPubrec, 1);
    EXPECT_EQ(subscriber.packet(3), "6 00 01");
    subscriber.acknowledge(PacketType::kPubrec, 1);
    EXPECT_EQ(subscriber.packet(4), "6 00 01");
    subscriber.acknowledge(PacketType::kPubrec, 9);
    EXPECT_EQ(subscriber.packet(5), "6 00 09 92");
  }
  RawDevice subscriber(*this, "subscriber");
  EXPECT_EQ(subscriber.packet(2), "6 00 01");      // and not the message
  subscriber.acknowledge(PacketType::kPuback, 1);  // is none of a message at QoS 2
  subscriber.acknowledge(PacketType::kPubcomp, 1);
  publisher.stream.write(publish_at_2("a", "y", 8));
  EXPECT_EQ(subscriber.packet(3), "3 00 01 61 00 02 00 79");
  until([&] { return publisher.received.back() == "5 00 08"; });
}

TEST_F(BrokerTest, AMessageGoesToOneMemberOfASharedSubscription) {
  std::vector<std::unique_ptr<Device>> members;
  for (int i = 0; i < 6; ++i) {
    members.push_back(device(fmt::format("member-{}", i)));
    members.back()->client->subscribe("$share/g/a/+", 1);
  }
  auto other = device("other");
  other->client->subscribe("$share/h/a/#", 0);
  auto publisher = device("publisher");
  until([&] {
    return other->subscribed.size() == 1 &&
           std::ranges::all_of(members, [](auto& m) { return m->subscribed.size() == 1; });
  });
  for (int i = 0; i < 60; ++i) publisher->client->publish({.qos = 1, .topic = "a/b", .properties = {}, .payload = "x"});
  const auto total = [&] {
    size_t messages = 0;
    for (const auto& each : members) messages += each->messages.size();
    return messages;
  };
  until([&] { return total() == 60 && other->messages.size() == 60; });
  for (const auto& each : members) EXPECT_EQ(each->messages.size(), 10U);
  // Those who are there take the turns of those who are not.
  for (size_t i = 0; i < 5; ++i) members[i]->client->disconnect();
  auto kept = device("kept", /*clean=*/false);
  kept->client->subscribe("$share/g/a/+", 1);
  until([&] { return kept->subscribed.size() == 1; });
  kept->client->disconnect();
  members.erase(members.begin(), members.begin() + 5);
  RawDevice prober(*this, "prober");
  while (brokers_[0]->counters().connections.value() + brokers_[1]->counters().connections.value() > 4) settle(prober);
  for (int i = 0; i < 60; ++i) publisher->client->publish({.qos = 1, .topic = "a/b", .properties = {}, .payload = "x"});
  until([&] { return total() == 70; });
}

TEST_F(BrokerTest, TopicAliasesStandForTopicsBothWays) {
  auto plain = device("plain");
  plain->client->subscribe("t/#", 0);
  until([&] { return plain->subscribed.size() == 1; });
  Properties wishes;
  wishes.topic_alias_maximum = 1;
  RawDevice device(*this, "device", wishes);
  device.subscribe("t/+", {.qos = 0});
  Publish publish{.topic = "t/1", .properties = {}, .payload = "x"};
  publish.properties.topic_alias = 5;
  append_publish(device.stream.output(), publish, Version::k5);
  publish.topic = {};
  append_publish(device.stream.output(), publish, Version::k5);
  until([&] { return plain->messages.size() == 2; });
  EXPECT_EQ(plain->messages, (std::vector<std::string>{"t/1=x", "t/1=x"}));
  until([&] { return device.received.size() == 4; });
  EXPECT_EQ(device.received[2], "3 00 03 74 2f 31 03 23 00 01 78");
  EXPECT_EQ(device.received[3], "3 00 00 03 23 00 01 78");
  publish.topic = "t/2";
  publish.properties.topic_alias = 32;
  append_publish(device.stream.output(), publish, Version::k5);
  EXPECT_EQ(device.packet(5), "3 00 03 74 2f 32 00 78");  // the client knows no more than one
  publish.properties.topic_alias = 33;
  append_publish(device.stream.output(), publish, Version::k5);
  EXPECT_TRUE(device.packet(6).starts_with("e 94"));
}

class BrokerFlowTest : public BrokerTest {
 protected:
  void SetUp() override { start({.pending_max = 3, .keep_alive_max = std::chrono::seconds(60)}); }
};

TEST_F(BrokerFlowTest, MoreThanTheReceiveMaximumClosesTheConnection) {
  RawDevice device(*this, "device");
  EXPECT_NE(device.received[0].find("13 00 3c"), std::string::npos);  // server keep-alive
  EXPECT_NE(device.received[0].find("21 00 03"), std::string::npos);
  for (uint16_t round = 1; round <= 10; ++round) {
    for (uint16_t i = 1; i <= 3; ++i) device.stream.write(publish_at_2("a", "x", i));
    for (uint16_t i = 1; i <= 3; ++i) device.acknowledge(PacketType::kPubrel, i);
  }
  settle(device);
  EXPECT_EQ(device.received.size(), 61U);
  for (uint16_t i = 1; i <= 4; ++i) device.stream.write(publish_at_2("a", "x", i));
  until([&] { return device.closed; });
  EXPECT_TRUE(device.received.back().starts_with("e 93")) << device.received.back();
}

TEST_F(BrokerTest, RulesOfAccessHoldForWhatComesAndWhatGoes) {
  const auto access = std::make_shared<const AccessRules>(
      std::vector<AccessRule>{{.allow = false, .publish = false, .topics = {"a/secret"}},
                              {.allow = false, .subscribe = false, .topics = {"b"}},
                              {.allow = false, .publish = false, .topics = {"hidden"}, .says_why = false},
                              {.topics = {"#"}}});
  for (size_t i = 0; i < 2; ++i) {
    std::promise<void> done;
    loops_[i]->post([&, i] {
      brokers_[i]->set_access(access);
      done.set_value();
    });
    done.get_future().wait();
  }
  RawDevice device(*this, "device");
  device.subscribe("a/#", {.qos = 0});
  device.subscribe("b", {.qos = 0});
  device.stream.write(publish_at_2("a/secret", "x", 1));
  device.stream.write(publish_at_2("a/open", "x", 2));
  device.stream.write(publish_at_2("b", "x", 3));
  until([&] { return std::ranges::count_if(device.received, [](const auto& each) { return each[0] == '5'; }) == 3; });
  settle(device);
  EXPECT_EQ(std::ranges::count(device.received, "5 00 03 87"), 1);
  EXPECT_EQ(std::ranges::count_if(device.received, [](const auto& each) { return each[0] == '3'; }), 1);
  Subscribe request{.packet_id = 1, .properties = {}, .requests = {{"a/secret", {}}}};
  append_subscribe(device.stream.output(), request, Version::k5);
  until([&] { return device.received.back() == "9 00 01 00 87"; });
  request.requests = {{"hidden", {}}};
  append_subscribe(device.stream.output(), request, Version::k5);
  until([&] { return device.received.back() == "9 00 01 00 80"; });
}

TEST_F(BrokerTest, ASecondConnectionTakesTheSessionOver) {
  const auto first = device("same");
  const auto second = device("same");
  until([&] { return first->disconnected; });
  EXPECT_FALSE(second->disconnected);
}

TEST_F(BrokerTest, TheWillFollowsALostConnectionOnly) {
  const auto watcher = device("watcher");
  watcher->client->subscribe("gone/#", 0);
  until([&] { return watcher->subscribed.size() == 1; });
  const auto with_will = [&](const char* id, const char* topic) {
    Connect connect{.version = Version::k5, .keep_alive_s = 60, .client_id = id};
    connect.will.emplace();
    connect.will->topic = topic;
    connect.will->payload = "bye";
    auto made = std::make_unique<Device>(*this, connect);
    until([&] { return made->connected; });
    return made;
  };
  const auto polite = with_will("polite", "gone/polite");
  polite->client->disconnect();
  const auto lost = with_will("lost", "gone/lost");
  lost->client->drop();
  until([&] { return !watcher->messages.empty(); });
  EXPECT_EQ(watcher->messages, (std::vector<std::string>{"gone/lost=bye"}));
}

TEST_F(BrokerTest, ABadPacketClosesThatConnectionAndNobodyElses) {
  const auto good = device("good");
  const auto bad = device("bad");
  Publish wrong{.topic = "a/#", .payload = ""};
  bad->client->publish(wrong);
  until([&] { return bad->disconnected; });
  good->client->publish({.qos = 1, .topic = "a", .payload = ""});
  until([&] { return good->acknowledged.size() == 1; });
  EXPECT_FALSE(good->disconnected);
}

}  // namespace
}  // namespace verge::mqtt
