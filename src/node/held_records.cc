#include "node/held_records.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"
#include "model/event.h"

namespace verge::node {
namespace {

using Fate = spool::Submission::Fate;

constexpr size_t kSliceBytes = 1U << 20;
constexpr Duration kRetry = std::chrono::milliseconds(200);
constexpr Duration kLogEvery = std::chrono::seconds(10);

// What is refused for other reasons will be for ever.
bool may_find_room(const Error& error) {
  return error.code == "spool.full" || error.code == "spool.busy" || error.code.starts_with("storage.");
}

}  // namespace

void HeldRecords::hold(spool::Submission& submission, size_t begin, size_t end, const mqtt::AckTicket& ticket) {
  Held held{.ticket = ticket};
  for (size_t i = begin; i < end; ++i) {
    if (submission.fates[i] != Fate::kRefused) continue;
    held.bytes += submission.items[i].event.size();
    held.items.push_back(std::move(submission.items[i]));
  }
  hold(std::move(held));
}

void HeldRecords::hold_unawaited(spool::Submission submission, size_t begin) {
  Held held;
  uint64_t given_up = 0;
  for (size_t i = begin; i < submission.fates.size(); ++i) {
    if (submission.fates[i] != Fate::kRefused) continue;
    spool::Submission::Item& item = submission.items[i];
    ByteReader reader(item.event);
    const std::optional<EventView> event = read_event(reader);
    const bool is_message = event && event->kind == EventKind::kMessage;
    const size_t room = is_message ? kBytesMax / 2 : kBytesMax;
    if (!may_find_room(submission.error) || bytes_ + held.bytes + item.event.size() > room) {
      ++given_up;
      continue;
    }
    held.bytes += item.event.size();
    held.items.push_back(std::move(item));
  }
  if (!held.items.empty()) hold(std::move(held));
  if (given_up > 0) give_up(given_up, submission.error);
}

void HeldRecords::give_up(uint64_t records, const Error& error) {
  given_up_.add(records);
  if (loop_.now() < next_log_) return;
  next_log_ = loop_.now() + kLogEvery;
  log_error("rules", "records that rules made are given up, {} here so far: {}", given_up_.value(), error.line());
}

void HeldRecords::hold(Held held) {
  bytes_ += held.bytes;
  held_.push_back(std::move(held));
  awaiting_space_.set(held_.size());
  if (!is_offering_ && !timer_.pending()) timer_.after(kRetry, [this] { offer(); });
}

// The oldest of them, and as long as some find room, the next.
void HeldRecords::offer() {
  spool::Submission slice;
  std::vector<Held> offered;
  size_t bytes = 0;
  while (!held_.empty() && bytes < kSliceBytes) {
    bytes += held_.front().bytes;
    offered.push_back(std::move(held_.front()));
    held_.pop_front();
    std::ranges::move(offered.back().items, std::back_inserter(slice.items));
  }
  is_offering_ = true;
  spool_.submit(std::move(slice), loop_, spool::Urgency::kAwaited,
                [this, offered = std::move(offered), since = loop_.now()](spool::Submission submission) mutable {
                  if (shown_) shown_(submission, since);
                  settle(std::move(submission), std::move(offered));
                });
}

void HeldRecords::settle(spool::Submission submission, std::vector<Held> offered) {
  is_offering_ = false;
  bool some_stored = false;
  size_t next = 0;
  std::vector<Held> again;
  for (Held& held : offered) {
    bytes_ -= held.bytes;
    Held refused{.ticket = held.ticket};
    uint64_t given_up = 0;
    for (const size_t end = next + held.items.size(); next < end; ++next) {
      if (submission.fates[next] != Fate::kRefused) {
        some_stored = true;
        continue;
      }
      if (!held.ticket && !may_find_room(submission.error)) {
        ++given_up;
        continue;
      }
      refused.bytes += submission.items[next].event.size();
      refused.items.push_back(std::move(submission.items[next]));
    }
    if (given_up > 0) give_up(given_up, submission.error);
    if (refused.items.empty()) {
      if (held.ticket) stored_(*held.ticket);
    } else {
      bytes_ += refused.bytes;
      again.push_back(std::move(refused));
    }
  }
  held_.insert(held_.begin(), std::move_iterator(again.begin()), std::move_iterator(again.end()));
  awaiting_space_.set(held_.size());
  if (held_.empty()) return;
  if (some_stored) {
    offer();
  } else {
    timer_.after(kRetry, [this] { offer(); });
  }
}

}  // namespace verge::node
