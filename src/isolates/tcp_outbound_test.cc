#include "isolates/tcp_outbound.h"

#include <functional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "isolates/tcp_records.h"
#include "net/listener.h"

namespace verge::isolates {
namespace {

class Observer final : public SubrequestObserver {
 public:
  explicit Observer(std::function<void()> changed) : changed_(std::move(changed)) {}
  void on_answer(const calls::Head& head, bool) override {
    status = head.status;
    changed_();
  }
  void on_body(std::string_view piece, bool ends) override {
    body.append(piece);
    ended |= ends;
    if (ends) subrequest.reset();
    changed_();
  }
  void on_settled(bool) override {}
  void on_failed(const Error& its) override {
    error = its;
    subrequest.reset();
    changed_();
  }
  void on_drained() override { ++drained; }

  std::unique_ptr<Subrequest> subrequest;
  uint32_t status = 0;
  std::string body;
  bool ended = false;
  Error error;
  int drained = 0;

 private:
  std::function<void()> changed_;
};

// Servers keep what they accept.
class TcpOutboundTest : public ::testing::Test {
 protected:
  void listen(const TcpOutbound::Options& options) {
    std::vector<net::Socket> sockets = *net::listen_on_loops(*net::Address::parse("127.0.0.1:0"), 1);
    address_ = net::Address::local_of(sockets[0].descriptor()).text();
    listener_ = std::make_unique<net::TcpListener>(
        loop_, std::move(sockets[0]), [this](net::Socket socket) { accepted_.push_back(std::move(socket)); });
    worker_ = std::make_unique<Worker>(WorkerCode{.name = "worker", .connect = {*parse_connect_rule(address_)}}, 1);
    outbound_ = std::make_unique<TcpOutbound>(loop_, resolver_, options);
  }
  std::unique_ptr<Observer> connect() {
    auto observer = std::make_unique<Observer>([this] { look(); });
    observer->subrequest = outbound_->begin(
        *worker_, {.method = "CONNECT", .url = address_, .fields = {{"secure", "off"}}}, false, *observer);
    return observer;
  }
  void run_until(std::function<bool()> there) {
    there_ = std::move(there);
    runtime::Timer guard(loop_);
    guard.after(std::chrono::seconds(60), [this] {
      ADD_FAILURE() << "too slow";
      loop_.stop();
    });
    loop_.run();
  }
  void look() {
    if (there_ && there_()) loop_.stop();
  }

  runtime::Loop loop_{"loop-0"};
  net::Resolver resolver_{"resolver"};
  std::string address_;
  std::vector<net::Socket> accepted_;
  std::unique_ptr<net::TcpListener> listener_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<TcpOutbound> outbound_;
  std::function<bool()> there_;
};

TEST_F(TcpOutboundTest, ConnectionsOfAWorkerAreBounded) {
  listen({.connections_max = 2});
  const auto first = connect();
  auto second = connect();
  const auto third = connect();
  run_until([&] { return first->status == 200 && second->status == 200 && !third->error.code.empty(); });
  EXPECT_EQ(third->error.code, "workers.busy");
  second->subrequest.reset();
  const auto fourth = connect();
  run_until([&] { return fourth->status == 200 || !fourth->error.code.empty(); });
  EXPECT_EQ(fourth->status, 200U) << fourth->error.line();
}

TEST_F(TcpOutboundTest, WhatIsIdleForTooLongIsCut) {
  listen({.idle_max = std::chrono::milliseconds(50)});
  const auto idle = connect();
  run_until([&] { return !idle->error.code.empty(); });
  EXPECT_EQ(idle->status, 200U);
  EXPECT_EQ(idle->error.code, "workers.connect");
  EXPECT_NE(idle->error.what.find("for too long"), std::string::npos);
}

TEST_F(TcpOutboundTest, WhatAreNoRecordsEndsIt) {
  listen({});
  const auto broken = connect();
  broken->subrequest->write_body("\xff\xff\xff\xff\xff");
  run_until([&] { return !broken->error.code.empty(); });
  EXPECT_EQ(broken->error.code, "workers.connect");
}

TEST_F(TcpOutboundTest, ItGoesWhileItIsResolvedAndWhileItConnects) {
  listen({});
  connect()->subrequest.reset();
  const auto other = connect();
  run_until([&] { return other->status == 200; });
}

}  // namespace
}  // namespace verge::isolates
