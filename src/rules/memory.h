// Memory: what one rule remembers on one loop, and what it makes of it, reading by reading:
//
//   order of time → join → functions that remember → condition → window, or row
//
// By time of receipt, readings are taken as they come. With TIMESTAMP BY they wait until a reading younger by DELAY has
// come, and then go on in the order of their times, so that all that follows sees time rise. That is the watermark: the
// largest time that came, less DELAY. A reading from before it is late. Where nothing comes for kIdle, the watermark
// goes on with the clock on the wall, so that the last windows end too.
//
// What it is made of is bounded by a MemoryBudget; beyond that, readings that would need more room are refused, and
// counted.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "rules/known_inputs.h"
#include "rules/memory_budget.h"
#include "rules/program.h"
#include "rules/rule.h"
#include "rules/rule_input.h"
#include "rules/state_function.h"
#include "rules/window.h"

namespace verge::rules {

inline constexpr size_t kPartitionsMax = 65'536;  // of a rule and loop
// What was not used for so long makes room for others; what is used is never pushed out by what is new.
inline constexpr int64_t kUnusedMicroseconds = 600'000'000;
// Rows of windows that are over are made so many at a time, with a reading and with a step of the clock: the step after
// a long silence, or one reading far ahead, may end any number of windows at once.
inline constexpr size_t kRowsAReading = 16;
inline constexpr size_t kRowsAStep = 512;
inline constexpr int64_t kIdleMicroseconds = 10'000'000;

class Memory {
 public:
  // A row, or the group of a window that is over, before its columns are computed.
  struct Row {
    std::span<const Value> slots;
    int64_t time_us = 0;
    bool is_of_window = false;
    uint64_t number = 0;  // of the rule's rows on this loop, from 1; the same again where the same is taken again
  };
  // Takes what comes of a reading. The views last for the call.
  class Rows {
   public:
    virtual ~Rows() = default;
    virtual void take(const Rule& rule, const Row& row) = 0;
    // A row that takes long to compute. False: it is as it was, and comes by take().
    virtual bool take_late(const Rule& rule, Emission& emission, uint64_t number) = 0;
  };
  struct Losses {
    uint64_t late = 0;
    uint64_t refused = 0;  // for want of room, or for an impossible time
    uint64_t errors = 0;
    uint64_t forgotten = 0;  // keys that made room for others
  };

  // All outlive the memory, but the rule: see rebind().
  Memory(const Rule& rule, const Tables& tables, MemoryBudget& budget);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // A repetition of a numbered message is left out.
  void accept(const RuleInput& input, int64_t now_us, Rows& rows);
  // Time has come so far.
  void advance(int64_t now_us, Rows& rows);
  // Takes all that is open for over, as it is.
  void drain(Rows& rows);
  // How far time has come here, and taking it further: memories that become one must have come as far.
  [[nodiscard]] int64_t reached_us() const { return plan().has_event_time ? watermark_us_ : last_arrival_us_; }
  void reach(int64_t time_us, Rows& rows);
  // When advance() is next due, and whether it is by now; also where the clock was set back far.
  [[nodiscard]] std::optional<int64_t> next_due_us() const;
  [[nodiscard]] bool is_due(int64_t now_us) const;
  // Nothing waits or is open; functions may remember something nevertheless.
  [[nodiscard]] bool is_empty() const;
  [[nodiscard]] size_t bytes() const;
  [[nodiscard]] const Losses& losses() const { return losses_; }

  // The slots of a group whose window is over, which they point into.
  static void fill_slots(const WindowPlan& plan, const Emission& emission, std::vector<Value>& slots);

  // The same rule in another set.
  void rebind(const Rule& rule, const Tables& tables);

  // The node begins again now: that nothing came while it was away says nothing of the stream.
  void note_restart(int64_t now_us) { last_arrival_us_ = std::max(last_arrival_us_, now_us); }

  void append_to(std::string& out) const;
  // Adds what append_to() of the same rule wrote, but for the keys that are not `mine`; false when it is something
  // else.
  bool read(ByteReader& in, const IsMine& mine);

 private:
  struct Joined {
    int64_t time_us = 0;
    std::string values;  // as captured
    bool is_matched = false;
  };
  // One stream of a join: what came within the span, by key.
  struct JoinSide {
    std::unordered_map<std::string, std::deque<Joined>, StringHash, std::equal_to<>> by_key;
    std::deque<std::pair<int64_t, std::string>> order;  // of time, to forget by
  };
  struct Partition {
    std::vector<std::unique_ptr<Remembered>> steps;
    std::list<std::string>::iterator use;
    int64_t used_us = 0;
    size_t bytes = 0;
    std::optional<int64_t> due_us;  // when a FOR becomes TRUE where no message comes
    std::string slots;              // then: those of the last message
  };
  using Partitions = std::unordered_map<std::string, Partition, StringHash, std::equal_to<>>;

  [[nodiscard]] const MemoryPlan& plan() const { return rule_->memory_plan(); }
  [[nodiscard]] bool has_room() const;
  void settle_budget();

  void accept_in_order(const RuleInput& input, int64_t now_us, Rows& rows);
  void release(Rows& rows);
  void process(const RuleInput& input, int64_t time_us, int64_t now_us, Rows& rows);
  void join(const RuleInput& input, int64_t time_us, int64_t within_us, Rows& rows);
  // Forgets what the span has passed; where the first stream keeps what found nothing, makes its rows.
  void forget_joined(size_t number, int64_t before_us, Rows& rows);
  void end_joins(int64_t time_us, Rows& rows);
  [[nodiscard]] std::optional<int64_t> next_unmatched_us() const;
  void capture(std::string_view values, size_t feed);
  void step(std::string_view key, int64_t time_us, int64_t now_us, Rows& rows);
  bool remember(std::string_view key, int64_t time_us);
  // Takes the steps further, all or those that follow the clock, and counts what the partition holds.
  void take_steps(Partition& partition, std::string_view key, int64_t time_us, bool by_clock);
  // Notes when the clock is to be looked at.
  void schedule(Partition& partition, std::string_view key);
  // Makes the rows of what FOR gave before that time, though no message said so.
  void follow_clock(int64_t before_us, Rows& rows);
  // Null where there is no room.
  Partition* partition_of(std::string_view key, int64_t time_us);
  // The one unused for longest; false where that is in use.
  bool forget_unused(int64_t time_us);
  void enter_window(int64_t time_us, int64_t now_us, Rows& rows);
  // Ends windows as of that time, those that may wait only as far as their rows can be made soon.
  void advance_window(int64_t time_us, Rows& rows);
  [[nodiscard]] bool is_behind() const;
  // Makes rows of what is over, as many as are still allowed.
  void emit(Rows& rows);
  void append_ended(std::string& out) const;
  bool read_ended(ByteReader& in, const IsMine& mine);
  void take(Rows& rows, Row row);

  void append_join(std::string& out) const;
  bool read_join(ByteReader& in, const IsMine& mine, uint8_t version);
  void append_partitions(std::string& out) const;
  bool read_partitions(ByteReader& in, const IsMine& mine, uint8_t version);

  const Rule* rule_;
  MessageContext context_;  // has the tables, no message
  MemoryBudget& budget_;
  size_t counted_ = 0;  // in budget_.used
  Losses losses_;

  // With TIMESTAMP BY.
  std::multimap<int64_t, RuleInput> waiting_;  // by time
  size_t waiting_bytes_ = 0;
  int64_t newest_us_ = INT64_MIN / 2;
  int64_t watermark_us_ = INT64_MIN / 2;
  int64_t last_arrival_us_ = 0;  // without TIMESTAMP BY, when time was taken further last

  KnownInputs known_;
  uint64_t rows_made_ = 0;

  std::array<JoinSide, 2> sides_;
  size_t joined_bytes_ = 0;
  Partitions partitions_;
  std::list<std::string> uses_;                    // keys of partitions, the last used first
  std::set<std::pair<int64_t, std::string>> due_;  // Partition::due_us, with its key
  size_t partition_bytes_ = 0;
  std::unique_ptr<Window> window_;  // null: none
  std::deque<Emission> ended_;      // groups whose window is over and whose rows are not made yet, in order
  size_t ended_bytes_ = 0;
  size_t rows_left_ = 0;  // that may be made now

  // Room that is used again.
  Machine machine_;
  std::vector<Value> slots_;
  std::vector<Value> values_;
  std::string key_;
  std::vector<Emission> emissions_;
};

}  // namespace verge::rules
