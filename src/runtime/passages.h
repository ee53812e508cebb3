// Passages: the ways from one loop to the other loops of a node, counted, so that what one produces faster than another
// takes does not fill the memory.
//
// A passage is at its bound while `tasks_max` tasks or `bytes_max` bytes are on it. What is handed over is taken all
// the same, but whoever produced it is to produce no more until there is room: it sees crowded() change, and waits with
// await_room(). For what nobody can be made to wait for there is offer(), which refuses beyond twice `bytes_max`; so
// that a passage never holds more than that and what one turn of each producer adds.
//
// Two loops whose passages to each other are full cannot block one another: a loop never waits to take a task, only
// producers wait, each for a loop that goes on taking.
//
// Threading: everything on the loop that hands over; tasks run on the other. Passages outlive all of their loops' runs.
#pragma once

#include <atomic>
#include <deque>
#include <utility>
#include <vector>

#include "runtime/loop.h"

namespace verge::runtime {

class Passages {
 public:
  struct Limits {
    size_t tasks_max = 1024;
    size_t bytes_max = 16U << 20;
  };

  Passages(Loop& loop, const Limits& limits) : loop_(loop), limits_(limits) {}
  Passages(const Passages&) = delete;
  Passages& operator=(const Passages&) = delete;

  // Before any loop runs: all loops, in order; this one may be among them.
  void join(const std::vector<Loop*>& loops);

  // Runs `work` on loop number `to`, soon, in the order of posting, that of Loop::post() included. `bytes`: what it
  // keeps in memory until then, roughly.
  template <class Work>
  void post(size_t to, size_t bytes, Work work) {
    Passage& passage = passages_[to];
    enter(passage, bytes);
    passage.to->post([this, &passage, bytes, work = std::move(work)]() mutable {
      work();
      leave(passage, bytes);
    });
  }
  // False, and nothing is done, when there are twice `bytes_max` on the way already.
  template <class Work>
  [[nodiscard]] bool offer(size_t to, size_t bytes, Work work) {
    if (passages_[to].bytes > 2 * limits_.bytes_max) {
      note_crowded(passages_[to]);
      return false;
    }
    post(to, bytes, std::move(work));
    return true;
  }

  // How often something was handed over at a bound: who sees this change by what it did has to wait for room.
  [[nodiscard]] uint64_t crowded() const { return crowded_; }
  // Calls `resume` in another turn, when less than half was on the passage that was found at its bound last; those who
  // wait go on one by one, in the order of asking, as long as it is not at its bound again.
  void await_room(Task resume);

 private:
  struct Passage {
    Loop* to = nullptr;
    std::atomic<size_t> tasks{0};
    std::atomic<size_t> bytes{0};
    std::atomic<bool> awaited{false};
    // On loop_:
    std::deque<Task> waiting;
    bool resuming = false;  // those are being called
  };

  void enter(Passage& passage, size_t bytes) {
    ++passage.tasks;
    passage.bytes += bytes;
    if (is_at_bound(passage)) note_crowded(passage);
  }
  void note_crowded(Passage& passage) {
    ++crowded_;
    last_crowded_ = &passage;
  }
  // On the loop of the other end.
  void leave(Passage& passage, size_t bytes);
  [[nodiscard]] bool is_at_bound(const Passage& passage) const {
    return passage.tasks >= limits_.tasks_max || passage.bytes >= limits_.bytes_max;
  }
  [[nodiscard]] bool has_room(const Passage& passage) const {
    return passage.tasks < (limits_.tasks_max + 1) / 2 && passage.bytes < (limits_.bytes_max + 1) / 2;
  }
  // Has the other loop say when there is room.
  void ask(Passage& passage);
  void resume(Passage& passage);
  void resume_next(Passage& passage);

  Loop& loop_;
  const Limits limits_;
  std::deque<Passage> passages_;  // by number of the loop; never moved
  uint64_t crowded_ = 0;
  Passage* last_crowded_ = nullptr;
};

}  // namespace verge::runtime
