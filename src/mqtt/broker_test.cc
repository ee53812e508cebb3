#include "mqtt/broker.h"

#include <future>

#include <gtest/gtest.h>

#include "mqtt/client.h"
#include "net/listener.h"

namespace verge::mqtt {
namespace {

// Takes everything; acknowledges what is published to "later/..." only when told.
struct TestIntake final : Intake {
  Verdict take(const Incoming& incoming, const AckTicket& ticket) override {
    if (!incoming.topic.starts_with("later/")) return Verdict::kAccepted;
    const std::lock_guard lock(mutex);
    tickets.push_back(ticket);
    return Verdict::kPending;
  }
  std::mutex mutex;
  std::vector<AckTicket> tickets;
};

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

TEST_F(BrokerTest, AcknowledgementsKeepTheOrderOfThePublishes) {
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
