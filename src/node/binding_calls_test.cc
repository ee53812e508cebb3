#include "node/binding_calls.h"

#include <gtest/gtest.h>

#include "kv/memory_store.h"
#include "tests/support/value_of.h"

namespace verge::node {
namespace {

class Observer final : public isolates::SubrequestObserver {
 public:
  void on_answer(const calls::Head& head, bool) override {
    status = head.status;
    body = head.body;
  }
  void on_body(std::string_view, bool) override {}
  void on_settled(bool) override {}
  void on_failed(const Error& error) override { failed = error.code; }
  void on_drained() override { ++drained; }

  uint32_t status = 0;
  std::string body;
  std::string failed;
  int drained = 0;
};

class BindingCallsTest : public ::testing::Test {
 protected:
  BindingCallsTest() {
    store_.observe_writes([this](std::string_view space) { counts_.add(space); });
    calls_.use(&store_, &counts_);
  }
  std::unique_ptr<isolates::Subrequest> begin(std::string_view what, std::string_view key, Observer& observer,
                                              std::vector<calls::Field> fields = {}, std::string_view body = {},
                                              bool ends = true) {
    return calls_.begin(worker_,
                        {.target = calls::RequestTarget::kBinding,
                         .cache = "NS",
                         .method = what,
                         .url = key,
                         .fields = std::move(fields),
                         .body = body},
                        ends, observer);
  }
  // All that is posted by now.
  void run() {
    loop_.post([this] { loop_.stop(); });
    loop_.run();
  }

  ManualClock clock_;
  runtime::Loop loop_{"loop-0"};
  kv::MemoryStore store_{clock_};
  calls::WriteCounts counts_{};
  BindingCalls calls_{loop_, clock_};
  isolates::Worker worker_{{.name = "worker", .bindings = {{.name = "NS", .target = "space"}}}, 1};
};

TEST_F(BindingCallsTest, AnAnswerSaysUntilWhenItsValueIsGood) {
  const auto reason_of = [&](std::string_view key) {
    calls::Head answer;
    EXPECT_TRUE(calls_.answer_at_once(
        worker_, {.target = calls::RequestTarget::kBinding, .cache = "NS", .method = "get", .url = key}, answer));
    return std::string(answer.reason);
  };
  const uint32_t counter = calls::WriteCounts::counter_of("space");
  EXPECT_EQ(reason_of("a"), fmt::format("{} 0", counter));
  store_.write({"space", "a", kv::Item{.value = "b"}}, [](const Result<void>&) {});
  EXPECT_EQ(reason_of("a"), fmt::format("{} 1", counter));
  const int64_t now_s = clock_.wall().microseconds / 1'000'000;
  store_.write({"space", "a", kv::Item{.value = "b", .expires_s = now_s + 100}}, [](const Result<void>&) {});
  EXPECT_EQ(reason_of("a"), "") << "what expires is asked for each time";
}

TEST_F(BindingCallsTest, ValuesThatComeAtOnceHaveABoundTogether) {
  const std::string piece(1U << 20, 'x');
  constexpr size_t kPieces = kv::kArrivingBytesMax >> 20;
  constexpr size_t kEach = 16;
  std::vector<std::pair<std::unique_ptr<Observer>, std::unique_ptr<isolates::Subrequest>>> puts;
  for (size_t i = 0; i < kPieces; ++i) {
    if (i % kEach == 0) {
      auto observer = std::make_unique<Observer>();
      auto put = begin("put", "a", *observer, {}, {}, /*ends=*/false);
      puts.emplace_back(std::move(observer), std::move(put));
    }
    puts.back().second->write_body(piece);
  }
  EXPECT_EQ(store_.arriving().bytes(), kv::kArrivingBytesMax);
  Observer refused;
  const auto one_more = begin("put", "b", refused, {}, "x", /*ends=*/false);
  one_more->write_body("more");
  one_more->finish_body();
  run();
  EXPECT_EQ(refused.failed, "kv.busy");
  EXPECT_EQ(store_.arriving().refused(), 1U);
  for (const auto& [observer, put] : puts) EXPECT_EQ(observer->failed, "");

  puts.front().second->finish_body();  // written
  puts.pop_back();                     // given up
  EXPECT_EQ(store_.arriving().bytes(), kv::kArrivingBytesMax - (2 * kEach << 20));
  Observer taken;
  const auto next = begin("put", "b", taken, {}, "value");
  run();
  EXPECT_EQ(puts.front().first->status, 204U);
  EXPECT_EQ(taken.status, 204U);
  EXPECT_EQ(tests::value_of(store_.find("space", "b"))->value, "value");
  puts.clear();
  EXPECT_EQ(store_.arriving().bytes(), 0U);
}

TEST_F(BindingCallsTest, AValueThatIsTooLongIsRefusedAndTakesNoMoreRoomThanTheLongest) {
  Observer observer;
  const auto put = begin("put", "a", observer, {}, {}, /*ends=*/false);
  const std::string piece(1U << 20, 'x');
  for (int i = 0; i < 40; ++i) put->write_body(piece);
  EXPECT_EQ(store_.arriving().bytes(), kv::kValueBytesMax + 1);
  put->finish_body();
  run();
  EXPECT_EQ(observer.failed, "kv.value");
  EXPECT_EQ(store_.arriving().bytes(), 0U);
}

TEST_F(BindingCallsTest, ALimitOfAListThatIsNoneIsAnError) {
  for (const char* limit : {"0", "-1", "1001", "1.5", "x", "1x", "18446744073709551617"}) {
    Observer observer;
    const auto list = begin("list", "", observer, {{"limit", limit}});
    run();
    EXPECT_EQ(observer.failed, "kv.value") << limit;
  }
  for (const char* limit : {"1", "1000"}) {
    Observer observer;
    const auto list = begin("list", "", observer, {{"limit", limit}});
    run();
    EXPECT_EQ(observer.status, 200U) << limit;
    EXPECT_EQ(observer.body, R"({"keys":[],"list_complete":true})");
  }
}

}  // namespace
}  // namespace verge::node
