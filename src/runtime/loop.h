// Loop: one thread's event loop over epoll(7). A node runs one a core; whatever belongs to a loop is touched on that
// loop's thread only, and other threads reach it with post().
//
// The problem is latency at many connections. Readiness is level-triggered: a reader takes what is there with one
// recv(2) and need not ask again to hear "nothing more", and nothing is re-armed between two messages. (Asio's
// io_context was the alternative: a wait without a buffer costs an epoll_ctl(2) each time, a wait with one costs every
// idle connection a buffer.)
//
// What is posted runs in slices between the descriptors that are ready, so that a backlog of tasks delays nobody's
// input and output by more than a slice and its last task. The mailbox has no bound of its own: who could fill it goes
// through Passages (passages.h), or waits for an answer.
//
// Threading: post() and stop() from any thread; everything else on the loop's own thread, or before run().
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/epoll.h>

#include "base/clock.h"
#include "base/error.h"

namespace verge::runtime {

using Task = std::move_only_function<void()>;

// Something that waits for a file descriptor.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // `events`: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll_wait(2) gives them.
  virtual void on_ready(uint32_t events) = 0;
};

// Something to be done once after the current callbacks, such as writing out what they produced.
class TurnEnd {
 public:
  virtual ~TurnEnd() = default;
  virtual void on_turn_end() = 0;

 private:
  friend class Loop;
  bool queued_ = false;
};

class Loop {
 public:
  explicit Loop(std::string name);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(); the calling thread becomes the loop's. May be run again afterwards.
  void run();
  void stop();

  // Runs `task` on the loop, soon, in the order of posting. Tasks that are left when the loop stops wait for the next
  // run().
  void post(Task task);
  [[nodiscard]] bool here() const { return thread_ == std::this_thread::get_id(); }

  // `interest`: EPOLLIN and/or EPOLLOUT. The watcher must be unwatched before it or its descriptor goes away.
  void watch(int descriptor, uint32_t interest, Watcher& watcher);
  void rewatch(int descriptor, uint32_t interest, Watcher& watcher);
  void unwatch(int descriptor, Watcher& watcher);

  // Calls `item.on_turn_end()` once before the loop waits again.
  void at_turn_end(TurnEnd& item);
  void forget_turn_end(TurnEnd& item);

  // The monotonic clock, read once a wake-up and again by tick().
  [[nodiscard]] MonotonicTime now() const { return now_; }
  MonotonicTime tick() { return now_ = std::chrono::steady_clock::now(); }

  // Scratch memory for reading from descriptors; its content is good until the next callback.
  [[nodiscard]] std::vector<char>& read_buffer() { return read_buffer_; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  friend class Timer;
  using Timers = std::multimap<MonotonicTime, class Timer*>;

  // As many as a slice holds.
  void run_posted();
  void run_timers();
  void run_turn_ends();
  [[nodiscard]] int wait_milliseconds() const;
  void wake();

  const std::string name_;
  int epoll_ = -1;
  int wake_ = -1;  // eventfd: something was posted
  std::thread::id thread_;
  MonotonicTime now_;
  Timers timers_;
  std::vector<TurnEnd*> turn_ends_;
  std::vector<epoll_event> ready_;
  std::vector<char> read_buffer_;

  std::mutex mutex_;  // guards what follows
  std::vector<Task> posted_;
  bool stopping_ = false;
};

// Calls back once after a duration, on the loop, unless cancelled or destroyed first.
class Timer {
 public:
  explicit Timer(Loop& loop) : loop_(loop) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Replaces what was set before.
  void after(Duration duration, Task task);
  void cancel();
  [[nodiscard]] bool pending() const { return pending_; }

 private:
  friend class Loop;
  Loop& loop_;
  Task task_;
  Loop::Timers::iterator place_;
  bool pending_ = false;
};

}  // namespace verge::runtime
