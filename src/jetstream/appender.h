// Appender: puts what children send onto a JetStream stream, each record once, although several parents append to it,
// answers get lost and parents die at any moment (docs/decisions/0010-jetstream-store.md, docs/formats/jetstream.md).
//
// A subject a child's stream. Its messages form a chain: each is published with the stream sequence of the one before,
// and says which of the child's sequences are known after it. So the last message of a subject is all the state there
// is. A cache of it saves reading; whenever it might be wrong (an answer that did not come, another parent that
// appended) it is read again.
//
// What a server says of a message whose id it knows is not believed without a look: after a change of leaders, one of
// version 2.9.10 said that an attempt was stored, and named the sequence of the attempt before, whose answer had been
// lost and which had other records. So each message is looked up where it is said to be.
//
// What a child's floor covers is not taken for known by that alone: the child was told that it is durable, which may
// have been in the overflow (overflow.h), and it comes to this stream later. So holes stay holes, the newest kHolesKept
// of them; older ones are closed when whoever calls says that nothing is to come any more.
//
// Invariants: nothing is reported as appended or known before the stream acknowledged it. What is known of a subject
// never goes back behind what this appender has seen acknowledged, unless the stream insists for kBehindMax (somebody
// purged it). Bounds: `subjects_max` subjects, the longest unused is forgotten and read again when it is needed.
//
// Blocks; one thread.
#pragma once

#include <functional>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/interval_set.h"
#include "jetstream/stream.h"
#include "model/node_id.h"
#include "model/priority.h"

namespace verge::jetstream {

// Records of one stream of a child, and what became of each.
struct Batch {
  struct Record {
    uint64_t sequence = 0;
    std::string event;
  };
  enum class Fate : uint8_t {
    kAppended,
    kKnown,
    kRefused,
    kOverflowed,  // durable elsewhere, and comes to be appended later (overflow.h)
  };

  NodeId node;
  NodeId incarnation;
  Priority stream = Priority::kNormal;
  uint64_t floor = 0;           // every sequence below is stored or will never come
  std::vector<Record> records;  // sequences rise
  // The body of a message that holds these of the records and states this floor.
  using Encode = std::function<std::string(std::span<const Record* const>, uint64_t floor)>;
  Encode encode;

  // Filled by append(): one fate a record, and the reason if any was refused.
  std::vector<Fate> fates;
  Error error;
};

// How many of `count` (2 or more) records that make `bytes` should fit into `room`: with a tenth to spare, since
// records differ; at least one, at most all but one.
size_t share_that_fits(size_t count, size_t bytes, size_t room);

class Appender {
 public:
  // How long a stream may know less than it acknowledged before it is believed.
  static constexpr Duration kBehindMax = std::chrono::seconds(30);
  // How long an answer is awaited: at first, and at most after some did not come. One that comes too late costs a
  // reading; a leader that is gone is noticed the sooner.
  static constexpr Duration kPublishWait = std::chrono::seconds(1);
  static constexpr Duration kPublishWaitMax = std::chrono::seconds(4);
  static constexpr Duration kReadWait = std::chrono::milliseconds(500);
  static constexpr Duration kReadWaitMax = std::chrono::seconds(2);
  static constexpr Duration kPause = std::chrono::milliseconds(50);

  static constexpr size_t kHolesKept = 256;

  // Whether all that this child's stream was ever told to be durable, and that its floor covers, is in the stream.
  using Complete = std::function<bool()>;

  // `name`: of the stream, the first word of its subjects. `writer`: of this process, never used by another. The
  // references outlive the appender.
  Appender(Stream& stream, const Clock& clock, std::string name, std::string writer, size_t subjects_max)
      : stream_(stream),
        clock_(clock),
        name_(std::move(name)),
        writer_(std::move(writer)),
        subjects_max_(subjects_max) {}

  // Appends what is new of the batch, at least in one attempt; begins no other after `deadline`. `complete` is asked
  // only if there are too many holes. Refusals: jetstream.unreachable, jetstream.stream, jetstream.full,
  // jetstream.holes, jetstream.too-large, jetstream.behind, jetstream.raced, jetstream.foreign.
  void append(Batch& batch, MonotonicTime deadline, const Complete& complete);

  [[nodiscard]] uint64_t messages() const { return messages_; }  // stored
  [[nodiscard]] static std::string subject_of(std::string_view stream_name, const Batch& batch);

 private:
  // A message whose answer did not come.
  struct Attempt {
    std::string id;
    uint64_t after = 0;
    IntervalSet sequences;
  };
  // What is known of a subject.
  struct Subject {
    std::string name;
    bool current = false;  // as far as is known, `last` is still the last
    uint64_t last = 0;
    std::string last_attempt;
    IntervalSet known;
    std::vector<Attempt> open;  // those that may still be stored
    IntervalSet own;            // stored by an attempt of ours whose answer was lost, and not reported yet
    std::optional<MonotonicTime> behind_since;
  };
  enum class Step : uint8_t { kDone, kAgain, kPause };
  struct Waits {
    Duration publish = kPublishWait;
    Duration read = kReadWait;
  };

  Subject& subject_of(const std::string& name);
  Step step(Subject& subject, Batch& batch, Waits& waits, const Complete& complete);
  Result<void> read(Subject& subject, Duration wait);
  // Whether the message is what is stored at `sequence`.
  Result<bool> is_there(uint64_t sequence, const Message& message, Duration wait);
  // Notes that the message may be stored, now or later.
  static void remember(Subject& subject, const Batch& batch, const std::vector<size_t>& places, const Message& message);
  // Settles what is known by now; the rest, which is to be appended.
  static std::vector<size_t> unsettled(Subject& subject, Batch& batch);
  // The body of as many records as fit, and the set after them. `places` is cut to those.
  Result<Message> message_of(const Subject& subject, const Batch& batch, std::vector<size_t>& places,
                             IntervalSet& after, const Complete& complete) const;

  Stream& stream_;
  const Clock& clock_;
  const std::string name_;
  const std::string writer_;
  const size_t subjects_max_;
  uint64_t attempts_ = 0;
  uint64_t messages_ = 0;
  std::list<Subject> subjects_;  // most recently used first
  std::unordered_map<std::string_view, std::list<Subject>::iterator, StringHash> by_name_;
};

}  // namespace verge::jetstream
