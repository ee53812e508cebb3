// RowComputer: computes rows that take long (rules/late_row.h) on a thread of its own, of low weight, one after the
// other in the order in which they came, so that no event loop and none of its decisions wait for them.
//
// What waits is bounded: beyond kBytesMax a row is refused, and computed by who has it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "rules/late_row.h"

namespace verge::node {

class RowComputer {
 public:
  static constexpr size_t kBytesMax = 64U << 20;

  explicit RowComputer(size_t bytes_max = kBytesMax) : bytes_max_(bytes_max) {}
  // What waits is forgotten.
  ~RowComputer();
  RowComputer(const RowComputer&) = delete;
  RowComputer& operator=(const RowComputer&) = delete;

  // From any thread. `computed` is called on the computing thread, unless this is destroyed before. False: there is no
  // room, and `row` is as it was.
  bool compute(rules::LateRow& row, std::function<void(rules::LateRow row)> computed);

 private:
  struct Job {
    rules::LateRow row;
    size_t bytes = 0;
    std::function<void(rules::LateRow row)> computed;
  };

  void run();

  const size_t bytes_max_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable came_;
  std::deque<Job> waiting_;
  size_t bytes_ = 0;  // of what waits and of what is being computed
  bool is_ending_ = false;
  std::thread thread_;  // from the first row on
};

}  // namespace verge::node
