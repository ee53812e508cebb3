// The thread beside the loop: what it runs, what it stops, how much it takes on.
#include "workers/aside_thread.h"

#include <functional>
#include <string>

#include <gtest/gtest.h>
#include <poll.h>

namespace verge::workers {
namespace {

class Doing final : public Work {
 public:
  explicit Doing(std::function<void(const std::function<bool()>&)> what) : what_(std::move(what)) {}
  void run(const std::function<bool()>& stop) override { what_(stop); }

 private:
  std::function<void(const std::function<bool()>&)> what_;
};

// Lives as long as its thread.
AsideThread& started() {
  auto* thread = new AsideThread;
  thread->start();
  return *thread;
}

std::shared_ptr<AsideJob> job(std::function<void(const std::function<bool()>&)> what,
                              std::uint64_t allowed_ns = 10'000'000'000) {
  auto made = std::make_shared<AsideJob>();
  made->work = std::make_shared<Doing>(std::move(what));
  made->allowed_ns = allowed_ns;
  made->used_ns = std::make_shared<std::atomic<std::uint64_t>>(0);
  return made;
}

std::vector<std::shared_ptr<AsideJob>> wait_for_done(AsideThread& thread) {
  pollfd waited{.fd = thread.descriptor(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&waited, 1, 60'000), 1);
  return thread.take_done();
}

void until_stopped(const std::function<bool()>& stop) {
  while (!stop()) {
  }
}

TEST(AsideThread, RunsWhatItIsGivenAndSaysWhatItTook) {
  AsideThread& thread = started();
  std::string done;
  const auto one = job([&done](const auto&) { done = "it"; });
  ASSERT_TRUE(thread.add(one));
  EXPECT_TRUE(thread.has_jobs());
  const auto got = wait_for_done(thread);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0], one);
  EXPECT_EQ(done, "it");
  EXPECT_GT(one->its_ns, 0U);
  EXPECT_EQ(one->used_ns->load(), one->its_ns);
  EXPECT_FALSE(one->is_over);
  EXPECT_FALSE(thread.has_jobs());
}

TEST(AsideThread, StopsWhatUsedItsTimeAndTheNextOneOfThatCall) {
  AsideThread& thread = started();
  const auto one = job(until_stopped, 5'000'000);
  bool has_run = false;
  const auto next = job([&has_run](const auto&) { has_run = true; }, 5'000'000);
  next->used_ns = one->used_ns;
  ASSERT_TRUE(thread.add(one));
  ASSERT_TRUE(thread.add(next));
  std::size_t done = 0;
  while (done < 2) done += wait_for_done(thread).size();
  EXPECT_TRUE(one->is_over);
  EXPECT_GE(one->its_ns, 5'000'000U);
  EXPECT_TRUE(next->is_over);
  EXPECT_FALSE(has_run);
}

TEST(AsideThread, StopsWhatIsCancelled) {
  AsideThread& thread = started();
  std::atomic<bool> runs{false};
  const auto one = job([&runs](const auto& stop) {
    runs = true;
    runs.notify_one();
    until_stopped(stop);
  });
  ASSERT_TRUE(thread.add(one));
  runs.wait(false);
  one->is_cancelled = true;
  EXPECT_EQ(wait_for_done(thread).size(), 1U);
  EXPECT_FALSE(one->is_over);
}

TEST(AsideThread, TakesSoManyAndNoMore) {
  AsideThread& thread = started();
  std::atomic<bool> go{false};
  const auto first = job([&go](const auto&) { go.wait(false); });
  ASSERT_TRUE(thread.add(first));
  for (std::size_t i = 1; i < AsideThread::kJobsMax; ++i) EXPECT_TRUE(thread.add(job([](const auto&) {})));
  EXPECT_FALSE(thread.add(job([](const auto&) {})));
  go = true;
  go.notify_one();
  std::size_t done = 0;
  while (done < AsideThread::kJobsMax) done += wait_for_done(thread).size();
  EXPECT_TRUE(thread.add(job([](const auto&) {})));
  EXPECT_EQ(wait_for_done(thread).size(), 1U);
}

TEST(AsideThread, TakesNothingBeforeItIsStarted) {
  AsideThread thread;
  EXPECT_FALSE(thread.add(job([](const auto&) {})));
}

}  // namespace
}  // namespace verge::workers
