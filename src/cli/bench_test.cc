#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "cli/bench_decide.h"
#include "cli/bench_ingest.h"
#include "cli/echo_server.h"
#include "cli/process_usage.h"

namespace verge::cli {
namespace {

// An echo server on a thread of its own.
class BenchTest : public testing::Test {
 protected:
  void SetUp() override {
    net::Socket socket = std::move(*net::Socket::listen(*net::Address::parse("127.0.0.1:0"), false));
    target_ = net::Address::local_of(socket.descriptor()).text();
    server_ = std::make_unique<EchoServer>(loop_, std::move(socket), "GO");
    thread_ = std::thread([this] { loop_.run(); });
  }
  void TearDown() override {
    loop_.stop();
    thread_.join();
  }
  [[nodiscard]] DecideOptions decide() const {
    return {.load = {.target = target_, .publishers = 3, .rate = 2000, .seconds = 0.2, .warmup_seconds = 0.05},
            .publish = "m%d/oven",
            .receive = "m%d/command",
            .payload = "{}",
            .expect = "GO"};
  }

  runtime::Loop loop_{"echo"};
  std::string target_;
  std::unique_ptr<EchoServer> server_;
  std::thread thread_;
};

TEST_F(BenchTest, DecideCountsEveryAnswer) {
  for (const int version : {311, 5}) {
    for (const int qos : {0, 1}) {
      DecideOptions options = decide();
      options.load.qos = qos;
      options.load.mqtt_version = version;
      const Result<DecideFigures> figures = bench_decide(options);
      ASSERT_TRUE(figures) << figures.error().line();
      EXPECT_EQ(figures->sent, 400);
      EXPECT_EQ(figures->received, 400);
      EXPECT_EQ(figures->latency.count, 400);
      EXPECT_TRUE(passed(*figures));
    }
  }
}

TEST_F(BenchTest, DecideSharesOneCommandTopic) {
  DecideOptions options = decide();
  options.receive = "all";
  options.load.batch = 4;
  const Result<DecideFigures> figures = bench_decide(options);
  ASSERT_TRUE(figures);
  EXPECT_TRUE(passed(*figures));
}

TEST_F(BenchTest, DecideNamesAWrongCommand) {
  DecideOptions options = decide();
  options.expect = "STOP m%d";
  const Result<DecideFigures> figures = bench_decide(options);
  ASSERT_TRUE(figures);
  EXPECT_FALSE(passed(*figures));
  EXPECT_EQ(figures->unexpected, "GO");
  EXPECT_TRUE(figures->expected.starts_with("STOP m"));
  EXPECT_GE(figures->mismatched, 400);
}

TEST_F(BenchTest, IngestCountsAcknowledgements) {
  IngestOptions options{.load = {.target = target_, .publishers = 2, .rate = 2000, .seconds = 0.2}};
  options.load.warmup_seconds = 0.05;
  options.load.payload_bytes = 64;
  options.load.qos = 1;
  Result<IngestFigures> figures = bench_ingest(options);
  ASSERT_TRUE(figures);
  EXPECT_EQ(figures->acknowledged, 400);
  EXPECT_EQ(figures->lost, 0);
  // At QoS 0 only the barriers are acknowledged, and nothing is known of the rest.
  options.load.qos = 0;
  options.process_id = getpid();
  figures = bench_ingest(options);
  ASSERT_TRUE(figures);
  EXPECT_EQ(figures->sent, 400);
  EXPECT_GE(figures->acknowledged, 400 / kBarrierEvery);
  EXPECT_LE(figures->acknowledged, 400 / kBarrierEvery + 4);
  EXPECT_FALSE(figures->lost);
  EXPECT_TRUE(figures->cpu_us_per_message);
}

TEST(Bench, NobodyListens) {
  const Result<IngestFigures> figures = bench_ingest({.load = {.target = "127.0.0.1:1", .publishers = 1}});
  ASSERT_FALSE(figures);
  EXPECT_EQ(figures.error().code, "bench.disconnected");
}

TEST(Bench, PayloadsCarryTheirNumber) {
  for (const size_t bytes : {18U, 19U, 26U, 27U, 28U, 200U}) {
    EXPECT_EQ(ingest_payload(1234567, bytes).size(), bytes);
    EXPECT_EQ(number_in(ingest_payload(1234567, bytes)), 1234567);
  }
  EXPECT_EQ(ingest_payload(5, 30), R"({"n":           5,"pad":"xxx"})");
  EXPECT_EQ(ingest_payload(5, 3), "777");
  EXPECT_FALSE(number_in("777"));
  EXPECT_FALSE(number_in(R"({"n":"not a number at all"})"));
}

TEST(Bench, Numbered) {
  EXPECT_EQ(numbered("a/%d/b/%d", 12), "a/12/b/12");
  EXPECT_EQ(numbered("none", 12), "none");
}

TEST(ProcessUsage, ReadsTicksPastAnyName) {
  EXPECT_EQ(parse_cpu_ticks("42 (a) b (c)) S 1 42 42 0 -1 4194560 99 0 0 0 70 30 5 6 20 0 3 0 123 1 2"), 100);
  EXPECT_FALSE(parse_cpu_ticks("42 (short) S 1 2"));
  EXPECT_FALSE(parse_cpu_ticks(""));
  EXPECT_TRUE(cpu_time_of(getpid()));
  EXPECT_FALSE(cpu_time_of(1 << 30));
}

}  // namespace
}  // namespace verge::cli
