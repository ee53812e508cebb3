// The simulation's messages on their way, earliest first; of one instant, in the order they were sent.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace verge::planner {

struct Message {
  double at_ms = 0;
  uint64_t order = 0;
  uint32_t operation = 0;
  uint8_t kind = 0;
  uint8_t from = 0;
  uint8_t to = 0;
  uint8_t term = 0;  // of the leader it belongs to
};

class EventQueue {
 public:
  void push(Message message) {
    message.order = next_++;
    heap_.push_back(message);
    std::push_heap(heap_.begin(), heap_.end(), is_later);
  }
  Message pop() {
    std::pop_heap(heap_.begin(), heap_.end(), is_later);
    const Message first = heap_.back();
    heap_.pop_back();
    return first;
  }
  [[nodiscard]] bool is_empty() const { return heap_.empty(); }

 private:
  static bool is_later(const Message& a, const Message& b) {
    return a.at_ms != b.at_ms ? a.at_ms > b.at_ms : a.order > b.order;
  }
  std::vector<Message> heap_;
  uint64_t next_ = 0;
};

}  // namespace verge::planner
