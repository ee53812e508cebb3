#include "jetstream/stream_store.h"

#include <future>
#include <semaphore>

#include <gtest/gtest.h>

namespace verge::jetstream {
namespace {

// Takes everything, or holds the thread, or is out of reach.
class TestStream final : public Stream {
 public:
  Result<void> prepare(Duration) override {
    if (!there) return fail("jetstream.unreachable", "not there");
    return {};
  }
  Result<std::optional<StoredMessage>> last(const std::string&, Duration) override { return std::nullopt; }
  Result<std::optional<StoredMessage>> at(uint64_t its_sequence, Duration) override {
    return StoredMessage{.sequence = its_sequence, .known = {}, .attempt = attempt};
  }
  Publication publish(const Message& message, Duration) override {
    attempt = message.attempt;
    published.release();
    held.acquire();
    held.release();
    return {Publication::Outcome::kStored, ++sequence, {}};
  }
  void pause(Duration) override {}
  [[nodiscard]] size_t message_bytes_max() const override { return 1U << 20; }

  std::atomic<bool> there{true};
  std::counting_semaphore<> held{1};  // taken: publish() does not return
  std::counting_semaphore<> published{0};
  uint64_t sequence = 0;
  std::string attempt;  // of the last message
};

class StreamStoreTest : public testing::Test {
 public:
  StreamStoreTest() : thread_([this] { loop_.run(); }) {}
  ~StreamStoreTest() override {
    store_.reset();
    loop_.stop();
    thread_.join();
  }

 protected:
  void open(const StoreOptions& options, bool there = true, const Clock& clock = kSystemClock) {
    auto stream = std::make_unique<TestStream>();
    stream_ = stream.get();
    stream_->there = there;
    store_ = std::make_unique<StreamStore>(std::move(stream), nullptr, clock, options);
    while (store_->reachable() != there) std::this_thread::yield();
  }
  std::future<Batch> submit(uint64_t sequence, size_t bytes = 1) {
    Batch batch;
    batch.records.push_back({sequence, std::string(bytes, 'e')});
    batch.encode = [](std::span<const Batch::Record* const>, uint64_t) { return std::string("body"); };
    auto promise = std::make_shared<std::promise<Batch>>();
    store_->submit(std::move(batch), loop_, [this, promise](Batch answered) {
      EXPECT_TRUE(loop_.here());
      promise->set_value(std::move(answered));
    });
    return promise->get_future();
  }

  static inline const SystemClock kSystemClock;
  ManualClock clock_;  // for tests in which time passes
  runtime::Loop loop_{"test"};
  std::thread thread_;
  std::unique_ptr<StreamStore> store_;
  TestStream* stream_ = nullptr;
};

TEST_F(StreamStoreTest, AnswersOnTheLoop) {
  open({.stream = "S"});
  EXPECT_EQ(submit(1).get().fates, std::vector{Batch::Fate::kAppended});
  EXPECT_EQ(submit(1).get().fates, std::vector{Batch::Fate::kKnown});
  EXPECT_EQ(store_->counters().appended.value(), 1U);
  EXPECT_EQ(store_->counters().known.value(), 1U);
}

TEST_F(StreamStoreTest, RefusesBeyondItsBound) {
  open({.stream = "S", .waiting_bytes_max = 1000});
  stream_->held.acquire();
  std::future<Batch> first = submit(1, 5000);  // one of any size
  stream_->published.acquire();
  std::future<Batch> second = submit(2, 500);
  const Batch refused = submit(3, 800).get();
  EXPECT_EQ(refused.fates, std::vector{Batch::Fate::kRefused});
  EXPECT_EQ(refused.error.code, "jetstream.busy");
  stream_->held.release();
  EXPECT_EQ(first.get().fates, std::vector{Batch::Fate::kAppended});
  EXPECT_EQ(second.get().fates, std::vector{Batch::Fate::kAppended});
}

TEST_F(StreamStoreTest, RefusesWhatWaitedTooLong) {
  open({.stream = "S", .timeout = std::chrono::seconds(8)}, true, clock_);
  stream_->held.acquire();
  std::future<Batch> first = submit(1);
  stream_->published.acquire();
  std::future<Batch> second = submit(2);
  clock_.advance(std::chrono::seconds(8));
  stream_->held.release();
  EXPECT_EQ(first.get().fates, std::vector{Batch::Fate::kAppended}) << "what was begun is ended";
  EXPECT_EQ(second.get().error.code, "jetstream.busy");
}

TEST_F(StreamStoreTest, RefusesAtOnceWhileOutOfReach) {
  open({.stream = "S"}, false);
  EXPECT_EQ(submit(1).get().error.code, "jetstream.unreachable");
  stream_->there = true;
  while (!store_->reachable()) std::this_thread::yield();
  EXPECT_EQ(submit(1).get().fates, std::vector{Batch::Fate::kAppended});
}

TEST_F(StreamStoreTest, ShortBreaksRefuseNothing) {
  open({.stream = "S"});
  stream_->there = false;
  EXPECT_EQ(submit(1).get().fates, std::vector{Batch::Fate::kAppended});
  while (store_->reachable()) std::this_thread::yield();
  EXPECT_EQ(submit(2).get().error.code, "jetstream.unreachable");
}

TEST_F(StreamStoreTest, RefusesAfterItsEnd) {
  open({.stream = "S"});
  store_->stop();
  EXPECT_EQ(submit(1).get().error.code, "jetstream.unreachable");
}

}  // namespace
}  // namespace verge::jetstream
