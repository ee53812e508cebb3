#include "node/ingest_receiver.h"

#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_client.h"
#include "net/http_server.h"
#include "net/listener.h"
#include "node/ingest.h"
#include "spool/record_reader.h"

namespace verge::node {
namespace {

// The path of one loop with its spool, broker and HTTP server, on the test's thread; the worker on its own.
class IngestReceiverTest : public testing::Test {
 protected:
  void start(size_t held_bytes_max = IngestReceiver::kHeldBytesMax) {
    std::string name = testing::TempDir() + "verge-ingest-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    spool::Spool::Recovery recovery;
    auto spool = spool::Spool::open(file_system_, directory_ + "/spool", keys_, {}, recovery);
    ASSERT_TRUE(spool.has_value()) << spool.error().line();
    writer_ = std::make_unique<spool::SpoolWriter>(std::move(*spool), 64U << 20, [] {});
    auto rules = rules::RuleSet::compile({});
    ASSERT_TRUE(rules.has_value());
    path_ = std::make_unique<EventPath>(loop_, 0, clock_, *writer_, *rules, rule_memory_);
    broker_ = std::make_unique<mqtt::Broker>(loop_, 0, mqtt::Limits{}, *path_);
    broker_->join({broker_.get()});
    path_->join({path_.get()}, *broker_, [](rules::PurgeScope, std::string_view, bool) {});
    receiver_ = std::make_unique<IngestReceiver>(loop_, worker_, *path_, node_, held_bytes_max);
    server_ = std::make_unique<net::HttpServer>(loop_, net::HttpServerLimits{.body_bytes_max = 8U << 20},
                                                [this](const net::HttpRequest& request, net::HttpResponder responder) {
                                                  receiver_->receive(request, std::move(responder));
                                                });
    std::vector<net::Socket> sockets = *net::listen_on_loops(*net::Address::parse("127.0.0.1:0"), 1);
    address_ = net::Address::local_of(sockets[0].descriptor());
    listener_ = std::make_unique<net::TcpListener>(loop_, std::move(sockets[0]),
                                                   [this](net::Socket socket) { server_->accept(std::move(socket)); });
    worker_thread_ = std::thread([this] { worker_.run(); });
    guard_.after(std::chrono::seconds(60), [this] {
      ADD_FAILURE() << "too slow";
      loop_.stop();
    });
  }
  void TearDown() override {
    worker_.stop();
    if (worker_thread_.joinable()) worker_thread_.join();
    if (writer_) writer_->stop();
    std::filesystem::remove_all(directory_);
  }

  std::unique_ptr<net::HttpClient> client() {
    return std::make_unique<net::HttpClient>(loop_, address_, "test", net::HttpClientLimits{});
  }
  static std::string events(size_t count) {
    std::string body;
    for (size_t i = 0; i < count; ++i) body += fmt::format("{{\"topic\":\"t\",\"payload\":{}}}\n", i);
    return body;
  }
  static void post(net::HttpClient& client, const std::string& body, std::function<void(int, std::string)> answered) {
    client.request({.method = "POST", .target = "/v1/events", .fields = {}, .body = Payload(body)},
                   [answered = std::move(answered)](Result<net::HttpAnswer> answer) {
                     if (answer) return answered(answer->status, std::string(answer->body.view()));
                     ADD_FAILURE() << answer.error().line();
                   });
  }
  // Calls `look` once in each turn of the loop.
  void watch_turns(std::function<void()> look) {
    loop_.post([this, look = std::move(look)]() mutable {
      look();
      watch_turns(std::move(look));
    });
  }
  std::vector<std::string> stored() {
    std::vector<std::string> payloads;
    spool::RecordReader reader(file_system_, spool::Spool::stream_directory(directory_ + "/spool", Priority::kNormal),
                               keys_);
    while (true) {
      const auto next = reader.next(writer_->progress(Priority::kNormal).end);
      if (!next) return payloads;
      const std::optional<spool::RecordReader::Numbered>& found = *next;
      if (!found) return payloads;
      ByteReader bytes(found->record.event);
      const std::optional<EventView> event = read_event(bytes);
      payloads.emplace_back(event ? event->payload : "unreadable");
    }
  }

  runtime::Loop loop_{"test"};
  runtime::Loop worker_{"worker"};
  runtime::Timer guard_{loop_};
  SystemClock clock_;
  storage::PosixFileSystem file_system_;
  storage::KeyRing keys_;
  NodeConfig node_{.name = "here"};
  std::string directory_;
  std::unique_ptr<spool::SpoolWriter> writer_;
  rules::MemoryBudget rule_memory_;
  std::unique_ptr<EventPath> path_;
  std::unique_ptr<IngestReceiver> receiver_;
  std::unique_ptr<mqtt::Broker> broker_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<net::TcpListener> listener_;
  net::Address address_;
  std::thread worker_thread_;
};

TEST_F(IngestReceiverTest, ALongPostGivesTheLoopBackBetweenItsSlices) {
  start();
  uint64_t before = 0;
  uint64_t most = 0;
  watch_turns([&] {
    const uint64_t now = path_->counters().events_http.value();
    most = std::max(most, now - std::exchange(before, now));
  });
  const auto poster = client();
  std::string answer;
  loop_.post([&] {
    post(*poster, events(kEventsAPostMax), [&](int status, std::string body) {
      EXPECT_EQ(status, 200) << body;
      answer = std::move(body);
      loop_.stop();
    });
  });
  loop_.run();
  EXPECT_LE(most, EventPath::kPostSliceEvents) << "in one turn";
  EXPECT_THAT(answer, testing::HasSubstr(R"("accepted":10000,)"));
  EXPECT_THAT(answer, testing::HasSubstr(R"("stored":10000,)"));
  const std::vector<std::string> found = stored();
  ASSERT_EQ(found.size(), kEventsAPostMax);
  for (size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], std::to_string(i)) << "in order";
}

TEST_F(IngestReceiverTest, AShortPostIsNotBehindALongOne) {
  start();
  const auto slow = client();
  const auto quick = client();
  std::string order;
  bool asked = false;
  watch_turns([&] {
    if (path_->counters().events_http.value() == 0 || std::exchange(asked, true)) return;
    post(*quick, events(1), [&](int status, const std::string&) { order += fmt::format("quick {}, ", status); });
  });
  loop_.post([&] {
    post(*slow, events(kEventsAPostMax), [&](int status, const std::string&) {
      order += fmt::format("slow {}", status);
      loop_.stop();
    });
  });
  loop_.run();
  EXPECT_EQ(order, "quick 200, slow 200");
}

TEST_F(IngestReceiverTest, WhatWaitsToBeEvaluatedIsBounded) {
  const std::string body = events(kEventsAPostMax);
  start(IngestReceiver::cost_of(body.size()));
  const auto first = client();
  const auto second = client();
  std::vector<int> statuses;
  bool asked = false;
  watch_turns([&] {
    if (path_->counters().events_http.value() == 0 || std::exchange(asked, true)) return;
    post(*second, body, [&](int status, const std::string& answer) {
      EXPECT_THAT(answer, testing::HasSubstr("ingest.busy"));
      statuses.push_back(status);
    });
  });
  loop_.post([&] {
    post(*first, body, [&](int status, const std::string&) {
      statuses.push_back(status);
      post(*second, body, [&](int again, const std::string&) {
        statuses.push_back(again);
        loop_.stop();
      });
    });
  });
  loop_.run();
  EXPECT_EQ(statuses, (std::vector<int>{503, 200, 200})) << "what was evaluated is given back";
  EXPECT_EQ(stored().size(), 2 * kEventsAPostMax);
}

TEST_F(IngestReceiverTest, DrainingWaitsForWhatIsUnderWayAndTakesNothingMore) {
  start();
  const auto slow = client();
  const auto late = client();
  std::string order;
  bool asked = false;
  watch_turns([&] {
    if (path_->counters().events_http.value() == 0 || std::exchange(asked, true)) return;
    receiver_->drain([&] { order += "idle, "; });
    post(*late, events(1), [&](int status, const std::string&) { order += fmt::format("late {}, ", status); });
  });
  loop_.post([&] {
    post(*slow, events(kEventsAPostMax), [&](int status, const std::string&) {
      order += fmt::format("slow {}", status);
      loop_.stop();
    });
  });
  loop_.run();
  EXPECT_EQ(order, "late 503, idle, slow 200");
  EXPECT_EQ(stored().size(), kEventsAPostMax);
}

}  // namespace
}  // namespace verge::node
