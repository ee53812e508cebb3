#include "node/row_computer.h"

#include <utility>

#include <pthread.h>

#include "node/worker_thread.h"

namespace verge::node {

RowComputer::~RowComputer() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  came_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool RowComputer::compute(rules::LateRow& row, std::function<void(rules::LateRow row)> computed) {
  const size_t bytes = row.bytes();
  {
    const std::lock_guard lock(mutex_);
    if (bytes > bytes_max_ - bytes_) return false;
    bytes_ += bytes;
    waiting_.push_back({.row = std::move(row), .bytes = bytes, .computed = std::move(computed)});
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  }
  came_.notify_one();
  return true;
}

void RowComputer::run() {
  pthread_setname_np(pthread_self(), "rows");
  lower_own_priority();
  std::unique_lock lock(mutex_);
  while (true) {
    came_.wait(lock, [this] { return is_ending_ || !waiting_.empty(); });
    if (is_ending_) return;
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    job.row.compute();
    job.computed(std::move(job.row));
    lock.lock();
    bytes_ -= job.bytes;
  }
}

}  // namespace verge::node
