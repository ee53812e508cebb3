#include "cli/demo_machine.h"

#include <map>
#include <mutex>

#include <gtest/gtest.h>

#include "mqtt/broker.h"
#include "net/listener.h"

namespace verge::cli {
namespace {

// A broker on the test's own loop. Takes parts, but acknowledges them only when `acknowledging`; answers readings with
// a command.
class MachineDeviceTest : public testing::Test, protected mqtt::Intake, protected MachineDevice::Witness {
 protected:
  void SetUp() override {
    net::Socket socket = std::move(*net::Socket::listen(*net::Address::parse("127.0.0.1:0"), false));
    address_ = net::Address::local_of(socket.descriptor());
    open(std::move(socket));
  }
  void open(net::Socket socket) {
    mqtt::Intake& intake = *this;
    broker_ = std::make_unique<mqtt::Broker>(loop_, 0, mqtt::Limits{}, intake);
    broker_->join({broker_.get()});
    listener_ = std::make_unique<net::TcpListener>(loop_, std::move(socket),
                                                   [this](net::Socket client) { broker_->accept(std::move(client)); });
  }

  mqtt::Verdict take(const mqtt::Incoming& incoming, const mqtt::AckTicket&) override {
    if (!incoming.topic.ends_with("/part")) {
      ++readings_;
      if (readings_ == 3) {
        broker_->publish(std::make_shared<const mqtt::Message>(mqtt::Message{
            .topic = "plant/m-001/command", .payload = Payload(R"({"action":"SHUTDOWN_EQUIPMENT","n":3})")}));
      }
      return mqtt::Verdict::kAccepted;
    }
    EXPECT_EQ(incoming.client_id, "m-001");
    ++taken_[incoming.sequence.value_or(0)];
    return acknowledging_ ? mqtt::Verdict::kAccepted : mqtt::Verdict::kPending;
  }
  void on_decision(Duration after_publish) override {
    ++decisions_;
    EXPECT_GT(after_publish, Duration(0));
  }
  void on_acknowledged(const std::string& machine, uint64_t part) override {
    EXPECT_EQ(machine, "m-001");
    ++acknowledged_[part];
  }

  // Runs the loop, looking every millisecond, until the condition holds.
  void until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      look_.after(std::chrono::milliseconds(1), [this] { loop_.stop(); });
      loop_.run();
    }
  }

  // The broker ends and its loop goes on, which it does not do in a node: what it posted to the loop names it, and the
  // page of retained messages that follows a SUBSCRIBE is posted twice.
  void end_broker() {
    listener_.reset();
    for (int posts = 0; posts < 3; ++posts) {
      bool is_done = false;
      loop_.post([&] { is_done = true; });
      until([&] { return is_done; });
    }
    broker_.reset();
  }

  runtime::Loop loop_{"test"};
  runtime::Timer look_{loop_};
  net::Address address_;
  std::unique_ptr<mqtt::Broker> broker_;
  std::unique_ptr<net::TcpListener> listener_;
  bool acknowledging_ = true;
  int readings_ = 0;
  int decisions_ = 0;
  std::map<uint64_t, int> taken_;         // by verge-sequence
  std::map<uint64_t, int> acknowledged_;  // by part
};

TEST_F(MachineDeviceTest, NumbersPartsAndObeysCommands) {
  MachineDevice machine(loop_, address_, 1, 42, *this);
  machine.connect();
  until([&] { return machine.connected(); });
  int worked = 0;
  until([&] {
    machine.work(0.1);
    ++worked;
    return decisions_ > 0;
  });
  EXPECT_GT(machine.sent_bytes(), 0);
  for (int i = 0; i < 1000; ++i) machine.work(0.1);
  until([&] { return machine.unacknowledged() == 0 && readings_ == worked + 1000; });
  EXPECT_EQ(decisions_, 1);
  ASSERT_GE(acknowledged_.size(), 3U);
  EXPECT_EQ(acknowledged_.begin()->first, 1);
  EXPECT_EQ(acknowledged_.rbegin()->first, acknowledged_.size());
  EXPECT_EQ(taken_, acknowledged_);
  EXPECT_EQ(machine.messages(), static_cast<uint64_t>(readings_) + acknowledged_.size());
}

TEST_F(MachineDeviceTest, RepeatsWithTheSameNumberUntilAcknowledged) {
  acknowledging_ = false;
  MachineDevice machine(loop_, address_, 1, 42, *this);
  machine.connect();
  until([&] { return machine.connected(); });
  while (machine.unacknowledged() < 3) machine.work(0.1);
  until([&] { return taken_.size() == 3; });
  const uint64_t bytes = machine.sent_bytes();

  // The broker loses power and comes back where it was.
  end_broker();
  until([&] { return !machine.connected(); });
  EXPECT_EQ(machine.unacknowledged(), 3);
  acknowledging_ = true;
  open(std::move(*net::Socket::listen(address_, false)));
  until([&] { return machine.unacknowledged() == 0; });
  EXPECT_EQ(taken_, (std::map<uint64_t, int>{{1, 2}, {2, 2}, {3, 2}}));
  EXPECT_EQ(acknowledged_, (std::map<uint64_t, int>{{1, 1}, {2, 1}, {3, 1}}));
  EXPECT_GT(machine.sent_bytes(), bytes);
}

}  // namespace
}  // namespace verge::cli
