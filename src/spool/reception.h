// Reception: the order in which a node does with children's batches what must be done: unpack, store, answer, evaluate.
//
// A batch may hold 131,072 records; to decompress and read it takes the time in which thousands of decisions should
// have been made. So that is done elsewhere, for few batches at a time; others wait as they came, compressed, and
// beyond a bound are refused: a child sends again. The answer follows the store's word and nothing else: what is told
// to be durable is durable.
//
// No I/O, no threads, no time. Requests are named by numbers that the caller gives, each once; each is answered once.
#pragma once

#include <cstdint>
#include <deque>

#include "base/payload.h"
#include "spool/child_batch.h"

namespace verge::spool {

class Reception {
 public:
  static constexpr size_t kInWorkMax = 4;                // batches that are being unpacked, stored and evaluated
  static constexpr size_t kWaitingBytesMax = 64U << 20;  // of bodies that wait for that, one of any size excepted
  static constexpr uint64_t kQuickBytesMax = 16U << 10;  // such a batch unpacks in some µs

  // What the machine asks for. None of these may call back into it before it returns.
  class Effects {
   public:
    virtual ~Effects() = default;
    // Say unpacked() with what unpack_batch() makes of it. `quick`: it is small, and need not wait behind large ones.
    virtual void unpack(uint64_t number, Payload body, bool quick) = 0;
    // Store it; say stored() once all that was not refused cannot be lost, then, when the rules have run over what was
    // new, evaluated().
    virtual void store(uint64_t number, ChildBatch batch) = 0;
    virtual void answer(uint64_t number, const BatchAnswer& answer) = 0;
    // After drain(): what was begun is stored and evaluated.
    virtual void idle() = 0;
  };

  explicit Reception(Effects& effects) : effects_(effects) {}

  // Inputs.
  void receive(uint64_t number, Payload body);
  void unpacked(uint64_t number, UnpackedBatch unpacked);
  void stored(uint64_t number, const ChildBatch& batch);
  void evaluated();
  // Refuses what is not begun, and everything from now on.
  void drain();

  [[nodiscard]] size_t in_work() const { return in_work_; }
  [[nodiscard]] size_t waiting_bytes() const { return waiting_bytes_; }

 private:
  struct Waiting {
    uint64_t number;
    Payload body;
  };
  void begin_next();

  Effects& effects_;
  std::deque<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  size_t in_work_ = 0;
  bool circle_seen_ = false;
  bool draining_ = false;
};

}  // namespace verge::spool
