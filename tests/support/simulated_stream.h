// A JetStream stream, and its overflow, simulated: for tests of what appends to them. Answers get lost, proposals wait,
// a fresh leader has not applied all of them.
#pragma once

#include <algorithm>
#include <charconv>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/random.h"
#include "jetstream/appender.h"
#include "jetstream/overflow_stream.h"
#include "jetstream/stream.h"

namespace verge::tests {

using jetstream::Batch;
using jetstream::Message;
using jetstream::OverflowState;
using jetstream::Publication;
using jetstream::StoredMessage;

// Bodies of these tests: "floor:1,2,3,".
inline std::string list_sequences(std::span<const Batch::Record* const> records, uint64_t floor) {
  std::string body = fmt::format("{}:", floor);
  for (const Batch::Record* record : records) fmt::format_to(std::back_inserter(body), "{},", record->sequence);
  return body;
}

inline uint64_t number_in(std::string_view& text) {
  uint64_t number = 0;
  const char* end = std::from_chars(text.data(), text.data() + text.size(), number).ptr;
  text.remove_prefix(static_cast<size_t>(end - text.data()) + 1);
  return number;
}

inline uint64_t floor_of(std::string_view body) { return number_in(body); }

inline std::vector<uint64_t> sequences_in(std::string_view body) {
  std::vector<uint64_t> sequences;
  number_in(body);
  while (!body.empty()) sequences.push_back(number_in(body));
  return sequences;
}

// A replicated stream as Debian's server 2.9.10 has it: the expected sequence is compared on the leader before the
// proposal, and again as proposals are applied only if it is 0; the message id always as they are applied. Answers get
// lost, proposals wait, a fresh leader has not applied all of them; and of a message whose id it knows, it may say that
// it is stored, where another is.
class SimulatedCluster {
 public:
  struct Stored {
    uint64_t sequence;
    Message message;
  };

  SimulatedCluster(Random& random, ManualClock& clock, bool faults) : random_(random), clock_(clock), faults_(faults) {}

  Publication publish(const Message& message, Duration wait) {
    using Outcome = Publication::Outcome;
    if (!has_leader) return {Outcome::kUnheard, 0, {"jetstream.unreachable", "no leader", ""}};
    if (fails(0.1)) return {Outcome::kUnheard, 0, {"jetstream.unreachable", "no leader", ""}};
    if (fails(0.1)) {
      clock_.advance(wait);
      return {Outcome::kUncertain, 0, {"jetstream.unreachable", "lost on its way", ""}};
    }
    if (message.after > 0 && last_of(message.subject) != message.after) {
      return {Outcome::kTaken, 0, {"jetstream.raced", "wrong last sequence", ""}};
    }
    proposals_.push_back(message);
    if (fails(0.2)) {
      clock_.advance(wait);
      return {Outcome::kUncertain, 0, {"jetstream.unreachable", "no answer", ""}};
    }
    uint64_t sequence = 0;
    while (!proposals_.empty()) sequence = apply();
    if (fails(0.1)) {
      clock_.advance(wait);
      return {Outcome::kUncertain, 0, {"jetstream.unreachable", "the answer was lost", ""}};
    }
    if (sequence == 0 && fails(0.3)) return {Outcome::kStored, ids_.at(id_of(message)), {}};
    if (sequence == 0) return {Outcome::kTaken, 0, {"jetstream.raced", "another was first", ""}};
    return {Outcome::kStored, sequence, {}};
  }

  Result<std::optional<StoredMessage>> last(const std::string& subject, Duration wait) {
    if (!has_leader || fails(0.1)) {
      clock_.advance(wait);
      return fail("jetstream.unreachable", "no answer");
    }
    if (!fails(0.5)) {
      while (!proposals_.empty()) apply();
    }
    for (auto stored = stored_.rbegin(); stored != stored_.rend(); ++stored) {
      if (stored->message.subject != subject) continue;
      return StoredMessage{stored->sequence, stored->message.known, stored->message.attempt};
    }
    return std::nullopt;
  }

  Result<std::optional<StoredMessage>> at(uint64_t sequence, Duration wait) {
    if (!has_leader || fails(0.1)) {
      clock_.advance(wait);
      return fail("jetstream.unreachable", "no answer");
    }
    for (const Stored& stored : stored_) {
      if (stored.sequence == sequence) return StoredMessage{sequence, stored.message.known, stored.message.attempt};
    }
    return std::nullopt;
  }

  void settle() {
    while (!proposals_.empty()) apply();
    faults_ = false;
  }
  void purge() {
    stored_.clear();
    ids_.clear();
  }
  [[nodiscard]] const std::vector<Stored>& stored() const { return stored_; }
  bool has_leader = true;

  ManualClock& clock() { return clock_; }

 private:
  bool fails(double probability) { return faults_ && random_.chance(probability); }
  [[nodiscard]] uint64_t last_of(const std::string& subject) const {
    for (auto stored = stored_.rbegin(); stored != stored_.rend(); ++stored) {
      if (stored->message.subject == subject) return stored->sequence;
    }
    return 0;
  }
  // 0 when the message is not stored.
  uint64_t apply() {
    Message message = std::move(proposals_.front());
    proposals_.pop_front();
    if (ids_.contains(id_of(message))) return 0;
    if (message.after == 0 && last_of(message.subject) != 0) return 0;
    const auto before = std::ranges::find(stored_, message.after, &Stored::sequence);
    VERGE_ASSERT(message.after_attempt == (before == stored_.end() ? "" : before->message.attempt));
    ids_.emplace(id_of(message), ++sequence_);
    stored_.push_back({sequence_, std::move(message)});
    return sequence_;
  }
  static std::string id_of(const Message& message) { return fmt::format("{}/{}", message.subject, message.after); }

  Random& random_;
  ManualClock& clock_;
  bool faults_;
  uint64_t sequence_ = 0;
  std::vector<Stored> stored_;
  std::deque<Message> proposals_;
  std::map<std::string, uint64_t> ids_;  // of messages that are stored: where
};

class SimulatedStream final : public jetstream::Stream {
 public:
  explicit SimulatedStream(SimulatedCluster& cluster) : cluster_(cluster) {}
  Result<void> prepare(Duration) override {
    if (!cluster_.has_leader) return fail("jetstream.unreachable", "no leader");
    return {};
  }
  Result<std::optional<StoredMessage>> last(const std::string& subject, Duration wait) override {
    ++readings;
    return cluster_.last(subject, wait);
  }
  Result<std::optional<StoredMessage>> at(uint64_t sequence, Duration wait) override {
    return cluster_.at(sequence, wait);
  }
  Publication publish(const Message& message, Duration wait) override {
    step();
    const Publication published = cluster_.publish(message, wait);
    step();
    return published;
  }
  void pause(Duration duration) override { cluster_.clock().advance(duration); }
  [[nodiscard]] size_t message_bytes_max() const override { return bytes_max; }

  size_t bytes_max = 1U << 20;
  int readings = 0;
  // Called before and after each message; may throw, as if the process ended there.
  std::function<void()> step = [] {};

 private:
  SimulatedCluster& cluster_;
};

// The overflow's messages, which all parents share.
struct SimulatedOverflow {
  std::map<uint64_t, std::pair<std::string, std::string>> messages;  // sequence: subject, body
  uint64_t last = 0;
  bool has_leader = true;
  bool faults = false;
};

// `step` is called before and after each effect; it may throw, as if the process ended there.
class SimulatedOverflowStream final : public jetstream::OverflowStream {
 public:
  SimulatedOverflowStream(SimulatedOverflow& shared, Random& random, ManualClock& clock, std::function<void()> step)
      : shared_(shared), random_(random), clock_(clock), step_(std::move(step)) {}

  Result<void> prepare(Duration wait) override {
    if (silent(wait)) return lost();
    return {};
  }
  Publication add(const std::string& subject, const std::string& body, Duration wait) override {
    const auto no = [](Publication::Outcome outcome) {
      return Publication{outcome, 0, {"jetstream.unreachable", "no answer", ""}};
    };
    step_();
    if (!shared_.has_leader) return no(Publication::Outcome::kUnheard);
    if (silent(wait)) return no(Publication::Outcome::kUncertain);
    shared_.messages.emplace(++shared_.last, std::pair(subject, body));
    step_();
    if (silent(wait)) return no(Publication::Outcome::kUncertain);
    return {Publication::Outcome::kStored, shared_.last, {}};
  }
  Result<OverflowState> state(Duration wait) override {
    if (silent(wait)) return lost();
    const uint64_t first = shared_.messages.empty() ? shared_.last + 1 : shared_.messages.begin()->first;
    return OverflowState{.first = first, .last = shared_.last, .messages = shared_.messages.size()};
  }
  Result<bool> holds(const std::string& subject, Duration wait) override {
    if (silent(wait)) return lost();
    return std::ranges::any_of(shared_.messages, [&](const auto& message) { return message.second.first == subject; });
  }
  Result<std::optional<std::string>> get(uint64_t sequence, Duration wait) override {
    step_();
    if (silent(wait)) return lost();
    const auto found = shared_.messages.find(sequence);
    if (found == shared_.messages.end()) return std::nullopt;
    return found->second.second;
  }
  Result<void> remove(uint64_t sequence, Duration wait) override {
    step_();
    if (silent(wait)) return lost();
    shared_.messages.erase(sequence);
    step_();
    if (silent(wait)) return lost();
    return {};
  }
  Result<bool> keep_apart(Duration wait) override {
    if (silent(wait)) return lost();
    return true;
  }

 private:
  static std::unexpected<Error> lost() { return fail("jetstream.unreachable", "no answer"); }
  bool silent(Duration wait) {
    if (shared_.has_leader && !(shared_.faults && random_.chance(0.1))) return false;
    clock_.advance(wait);
    return true;
  }

  SimulatedOverflow& shared_;
  Random& random_;
  ManualClock& clock_;
  const std::function<void()> step_;
};

}  // namespace verge::tests
