#include "workers/aside_thread.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

namespace verge::workers {
namespace {

// RSA of 8192 bits and its blinding need a small part of it.
constexpr std::size_t kStackBytes = 512u << 10;

std::uint64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

AsideThread::AsideThread() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void AsideThread::start() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread{};
  is_started_ = pthread_create(&thread, &attributes, run_thread, this) == 0;
  pthread_attr_destroy(&attributes);
  if (is_started_) is_ready_.wait(false);
}

void* AsideThread::run_thread(void* aside) {
  auto& its = *static_cast<AsideThread*>(aside);
  pthread_setname_np(pthread_self(), "aside");
  its.has_turns_ = its.turns_.attach();
  its.is_ready_.store(true);
  its.is_ready_.notify_one();
  its.run();
}

bool AsideThread::add(std::shared_ptr<AsideJob> job) {
  if (!is_started_ || descriptor_ < 0 || count_ >= kJobsMax) return false;
  ++count_;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

std::vector<std::shared_ptr<AsideJob>> AsideThread::take_done() {
  std::vector<std::shared_ptr<AsideJob>> done;
  {
    const std::lock_guard lock(mutex_);
    std::uint64_t times = 0;
    [[maybe_unused]] const ssize_t got = read(descriptor_, &times, sizeof(times));
    done.swap(done_);
  }
  count_ -= done.size();
  return done;
}

void AsideThread::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return !waiting_.empty(); });
    const std::shared_ptr<AsideJob> job = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    turns_.give(true);
    run_job(*job);
    turns_.give(false);
    lock.lock();
    done_.push_back(job);
    const std::uint64_t once = 1;
    [[maybe_unused]] const ssize_t put = write(descriptor_, &once, sizeof(once));
  }
}

void AsideThread::run_job(AsideJob& job) {
  const std::uint64_t begun_at = thread_cpu_ns();
  const std::uint64_t before = job.used_ns->load();
  const auto stop = [&] {
    job.its_ns = thread_cpu_ns() - begun_at;
    job.is_over = before + job.its_ns >= job.allowed_ns;
    return job.is_over || job.is_cancelled.load(std::memory_order_relaxed);
  };
  // Of a call that is over, or has nothing left.
  if (!stop()) job.work->run(stop);
  stop();
  job.used_ns->fetch_add(job.its_ns);
}

}  // namespace verge::workers
