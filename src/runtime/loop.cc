#include "runtime/loop.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <limits>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"

namespace verge::runtime {
namespace {

constexpr size_t kReadBufferBytes = 128U << 10;
constexpr size_t kEventsAWait = 256;
constexpr Duration kPostedSlice = std::chrono::microseconds(200);

}  // namespace

Loop::Loop(std::string name)
    : name_(std::move(name)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      now_(std::chrono::steady_clock::now()) {
  VERGE_ASSERT(epoll_ >= 0 && wake_ >= 0);
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  VERGE_ASSERT(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0);
}

Loop::~Loop() {
  close(wake_);
  close(epoll_);
}

void Loop::run() {
  thread_ = std::this_thread::get_id();
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  read_buffer_.resize(kReadBufferBytes);
  while (true) {
    run_turn_ends();
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) {
        stopping_ = false;
        return;
      }
    }
    ready_.resize(kEventsAWait);
    const int count = epoll_wait(epoll_, ready_.data(), static_cast<int>(ready_.size()), wait_milliseconds());
    VERGE_ASSERT(count >= 0 || errno == EINTR);
    ready_.resize(static_cast<size_t>(std::max(count, 0)));
    tick();
    bool woken = false;
    // By index: a callback may unwatch others of this batch, which clears their entries.
    for (size_t i = 0; i < ready_.size(); ++i) {
      const epoll_event event = ready_[i];
      if (event.events == 0) continue;
      if (event.data.ptr == nullptr) {
        woken = true;
        continue;
      }
      static_cast<Watcher*>(event.data.ptr)->on_ready(event.events);
      run_turn_ends();
    }
    ready_.clear();
    if (woken) run_posted();
    run_timers();
  }
}

void Loop::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
}

void Loop::post(Task task) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (first) wake();
}

void Loop::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof(one));  // full means: already awake
}

// As many as a slice holds; the rest goes back to the front, for the next turn.
void Loop::run_posted() {
  uint64_t count;
  [[maybe_unused]] const ssize_t got = read(wake_, &count, sizeof(count));
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  const MonotonicTime until = std::chrono::steady_clock::now() + kPostedSlice;
  auto next = tasks.begin();
  while (next != tasks.end()) {
    (*next++)();
    if (std::chrono::steady_clock::now() >= until) break;
  }
  if (next == tasks.end()) return;
  tasks.erase(tasks.begin(), next);
  {
    const std::lock_guard lock(mutex_);
    std::ranges::move(posted_, std::back_inserter(tasks));
    tasks.swap(posted_);
  }
  wake();
}

void Loop::watch(int descriptor, uint32_t interest, Watcher& watcher) {
  epoll_event event{.events = interest, .data = {.ptr = &watcher}};
  VERGE_ASSERT(epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0);
}

void Loop::rewatch(int descriptor, uint32_t interest, Watcher& watcher) {
  epoll_event event{.events = interest, .data = {.ptr = &watcher}};
  VERGE_ASSERT(epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event) == 0);
}

void Loop::unwatch(int descriptor, Watcher& watcher) {
  VERGE_ASSERT(epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr) == 0);
  for (epoll_event& event : ready_) {
    if (event.data.ptr == &watcher) event.events = 0;
  }
}

void Loop::at_turn_end(TurnEnd& item) {
  if (item.queued_) return;
  item.queued_ = true;
  turn_ends_.push_back(&item);
}

void Loop::forget_turn_end(TurnEnd& item) {
  if (!item.queued_) return;
  item.queued_ = false;
  std::ranges::replace(turn_ends_, &item, nullptr);
}

void Loop::run_turn_ends() {
  // By index: an item may add others.
  for (size_t i = 0; i < turn_ends_.size(); ++i) {
    TurnEnd* item = turn_ends_[i];
    if (item == nullptr) continue;
    item->queued_ = false;
    item->on_turn_end();
  }
  turn_ends_.clear();
}

void Loop::run_timers() {
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    Timer* timer = timers_.begin()->second;
    timers_.erase(timers_.begin());
    timer->pending_ = false;
    Task task = std::move(timer->task_);  // the task may set or destroy its timer
    task();
  }
}

int Loop::wait_milliseconds() const {
  if (timers_.empty()) return -1;
  const Duration left = timers_.begin()->first - now_;
  if (left <= Duration(0)) return 0;
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<int64_t>(milliseconds, std::numeric_limits<int>::max()));
}

void Timer::after(Duration duration, Task task) {
  cancel();
  task_ = std::move(task);
  place_ = loop_.timers_.emplace(loop_.now() + duration, this);
  pending_ = true;
}

void Timer::cancel() {
  if (!pending_) return;
  loop_.timers_.erase(place_);
  pending_ = false;
  task_ = nullptr;
}

}  // namespace verge::runtime
