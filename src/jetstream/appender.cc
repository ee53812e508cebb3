#include "jetstream/appender.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "jetstream/known_set.h"

namespace verge::jetstream {
namespace {

constexpr size_t kOpenAttemptsMax = 16;
constexpr uint64_t kSequenceMax = 1ULL << 62;
// Room for the headers beside the known set: names, subject twice, numbers.
constexpr size_t kHeaderBytes = 1024;

// Closes the oldest holes that the floor covers, if there are too many.
void close_holes(IntervalSet& known, uint64_t floor, const Appender::Complete& complete) {
  const std::vector<IntervalSet::Interval>& intervals = known.intervals();
  if (intervals.size() <= Appender::kHolesKept || floor <= intervals.front().end || !complete()) return;
  known.raise_floor(std::min(floor, intervals[intervals.size() - Appender::kHolesKept].begin));
}

// The child's floor, as far as it holds of the stream: whoever reads a message takes it at its word. Sequences begin
// with 1.
uint64_t floor_in(const IntervalSet& known, uint64_t floor) {
  const IntervalSet::Interval gap = known.first_gap(1, floor);
  return gap.begin < gap.end ? gap.begin : floor;
}

}  // namespace

std::string Appender::subject_of(std::string_view stream_name, const Batch& batch) {
  return fmt::format("{}.{}.{}.{}", stream_name, batch.node.text(), batch.incarnation.text(), name_of(batch.stream));
}

Appender::Subject& Appender::subject_of(const std::string& name) {
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    subjects_.splice(subjects_.begin(), subjects_, found->second);
    return *found->second;
  }
  if (subjects_.size() >= subjects_max_ && !subjects_.empty()) {
    by_name_.erase(subjects_.back().name);
    subjects_.pop_back();
  }
  subjects_.push_front({.name = name});
  by_name_.emplace(subjects_.front().name, subjects_.begin());
  return subjects_.front();
}

size_t share_that_fits(size_t count, size_t bytes, size_t room) {
  const auto share =
      static_cast<size_t>(0.9 * static_cast<double>(count) * static_cast<double>(room) / static_cast<double>(bytes));
  return std::clamp<size_t>(share, 1, count - 1);
}

void Appender::append(Batch& batch, MonotonicTime deadline, const Complete& complete) {
  batch.fates.resize(batch.records.size(), Batch::Fate::kRefused);
  Subject& subject = subject_of(subject_of(name_, batch));
  Waits waits;
  while (true) {
    const Step next = step(subject, batch, waits, complete);
    if (next == Step::kDone) return;
    if (next == Step::kAgain) continue;
    if (clock_.monotonic() + kPause >= deadline) return;  // batch.error says what was last in the way
    stream_.pause(kPause);
  }
}

Appender::Step Appender::step(Subject& subject, Batch& batch, Waits& waits, const Complete& complete) {
  if (!subject.current) {
    if (const Result<void> known = read(subject, waits.read); !known) {
      batch.error = known.error();
      waits.read = std::min(kReadWaitMax, waits.read * 2);
      return known.error().code == "jetstream.foreign" ? Step::kDone : Step::kPause;
    }
  }
  std::vector<size_t> places = unsettled(subject, batch);
  if (places.empty()) {
    batch.error = {};
    return Step::kDone;
  }
  IntervalSet after;
  Result<Message> message = message_of(subject, batch, places, after, complete);
  if (!message) {
    batch.error = message.error();
    return Step::kDone;
  }
  message->attempt = fmt::format("{}.{}", writer_, ++attempts_);
  const Publication published = stream_.publish(*message, waits.publish);
  batch.error = published.error;
  switch (published.outcome) {
    case Publication::Outcome::kStored:
      if (const Result<bool> there = is_there(published.sequence, *message, waits.read); !there || !*there) {
        subject.current = false;
        remember(subject, batch, places, *message);
        batch.error =
            there ? Error{"jetstream.raced", "another message has its place", "send it again soon"} : there.error();
        return Step::kPause;
      }
      ++messages_;
      subject.last = published.sequence;
      subject.last_attempt = message->attempt;
      subject.known = std::move(after);
      subject.open.clear();  // they follow a message that is no longer the last
      for (const size_t place : places) batch.fates[place] = Batch::Fate::kAppended;
      return Step::kAgain;
    case Publication::Outcome::kTaken:
      subject.current = false;
      return Step::kPause;
    case Publication::Outcome::kUnheard:
      return Step::kPause;
    case Publication::Outcome::kUncertain:
      subject.current = false;
      waits.publish = std::min(kPublishWaitMax, waits.publish * 2);
      remember(subject, batch, places, *message);
      return Step::kPause;
    case Publication::Outcome::kRefused:
      return Step::kDone;
  }
  return Step::kDone;
}

Result<bool> Appender::is_there(uint64_t sequence, const Message& message, Duration wait) {
  const Result<std::optional<StoredMessage>> answer = stream_.at(sequence, wait);
  if (!answer) return std::unexpected(answer.error());
  const std::optional<StoredMessage>& stored = *answer;
  return stored && stored->attempt == message.attempt;
}

void Appender::remember(Subject& subject, const Batch& batch, const std::vector<size_t>& places,
                        const Message& message) {
  IntervalSet sequences;
  for (const size_t place : places) sequences.insert(batch.records[place].sequence);
  if (subject.open.size() >= kOpenAttemptsMax) subject.open.erase(subject.open.begin());
  subject.open.push_back({message.attempt, message.after, std::move(sequences)});
}

Result<void> Appender::read(Subject& subject, Duration wait) {
  const Result<std::optional<StoredMessage>> answer = stream_.last(subject.name, wait);
  if (!answer) return std::unexpected(answer.error());
  const StoredMessage last = answer->value_or(StoredMessage{});  // none: sequence 0
  if (last.sequence < subject.last) {
    const MonotonicTime now = clock_.monotonic();
    const MonotonicTime since = subject.behind_since.value_or(now);
    subject.behind_since = since;
    if (now - since < kBehindMax) {
      return fail("jetstream.behind",
                  fmt::format("the stream has message {} as the last of {}, and has acknowledged {}", last.sequence,
                              subject.name, subject.last),
                  "a server that has just become leader catches up by itself; after a purge this ends in 30 s");
    }
    log_warning("jetstream", "{} was at {} and is at {}: was the stream purged? What came before may be stored again",
                subject.name, subject.last, last.sequence);
  }
  subject.behind_since.reset();
  std::optional<IntervalSet> known = read_known(last.known);
  if (!known || (last.sequence > 0 && last.known.empty())) {
    return fail("jetstream.foreign",
                fmt::format("message {} on {} does not say what is known after it", last.sequence, subject.name),
                "let only Verge write to this stream's subjects; delete that message");
  }
  for (const Attempt& attempt : subject.open) {
    if (last.sequence == 0 || attempt.id != last.attempt) continue;
    ++messages_;
    for (const IntervalSet::Interval& interval : attempt.sequences.intervals()) subject.own.insert(interval);
  }
  std::erase_if(subject.open, [&](const Attempt& attempt) { return attempt.after != last.sequence; });
  subject.last = last.sequence;
  subject.last_attempt = last.attempt;
  subject.known = *std::move(known);
  subject.current = true;
  return {};
}

std::vector<size_t> Appender::unsettled(Subject& subject, Batch& batch) {
  std::vector<size_t> places;
  for (size_t i = 0; i < batch.records.size(); ++i) {
    if (batch.fates[i] != Batch::Fate::kRefused) continue;
    const uint64_t sequence = batch.records[i].sequence;
    if (sequence >= batch.floor && !subject.known.contains(sequence)) {
      places.push_back(i);
    } else if (subject.own.contains(sequence)) {
      subject.own.erase(sequence);
      batch.fates[i] = Batch::Fate::kAppended;
    } else {
      batch.fates[i] = Batch::Fate::kKnown;
    }
  }
  return places;
}

Result<Message> Appender::message_of(const Subject& subject, const Batch& batch, std::vector<size_t>& places,
                                     IntervalSet& after, const Complete& complete) const {
  const size_t room = stream_.message_bytes_max();
  while (true) {
    after = subject.known;
    std::vector<const Batch::Record*> records;
    for (const size_t place : places) {
      records.push_back(&batch.records[place]);
      after.insert(batch.records[place].sequence);
    }
    close_holes(after, batch.floor, complete);
    Message message{.subject = subject.name,
                    .after = subject.last,
                    .after_attempt = subject.last_attempt,
                    .known = write_known(after)};
    if (records.back()->sequence > kSequenceMax || after.intervals().size() > kKnownRangesMax ||
        message.known.size() > kKnownBytesMax) {
      return fail("jetstream.holes", fmt::format("too many sequences of {} are missing", subject.name),
                  "send the missing ones first");
    }
    message.body = batch.encode(records, floor_in(after, batch.floor));
    const size_t bytes = message.body.size() + message.known.size() + kHeaderBytes;
    if (bytes <= room) return message;
    if (places.size() == 1) {
      return fail("jetstream.too-large",
                  fmt::format("record {} of {} makes a message of {} bytes, the servers take {}",
                              records.front()->sequence, subject.name, bytes, room),
                  "raise max_payload of the NATS servers");
    }
    places.resize(share_that_fits(places.size(), bytes, room));
  }
}

}  // namespace verge::jetstream
