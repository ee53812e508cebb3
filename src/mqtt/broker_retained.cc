// Retained messages: kept by the loop of their topic, sent page by page, and recorded.
#include <algorithm>

#include "base/assert.h"
#include "mqtt/broker.h"
#include "mqtt/broker_costs.h"

namespace verge::mqtt {
namespace {

constexpr size_t kRetainedPageBytes = 256U << 10;
constexpr size_t kChangedBytesMax = 32U << 20;  // of retained messages that are still to be recorded
constexpr size_t kRetainedBatchBytes = 1U << 20;

}  // namespace

void Broker::restore_retained(const MessagePointer& message) {
  VERGE_ASSERT(&retainer_of(message->topic) == this);
  // The bounds may be narrower than they were.
  if (!retained_.set(message)) {
    counters_.dropped.add();
    append_retained(record(), {.topic = message->topic, .properties = {}}, clocks());
  } else if (is_twin_document(message->topic)) {
    counters_.twins.add();
  }
  counters_.retained.set(retained_.size());
}

void Broker::send_retained(Session& session) {
  Connection* connection = session.connection();
  if (connection == nullptr || session.retained_asked || session.retained_wanted.empty()) return;
  const auto& [filter, cursor] = *session.retained_wanted.begin();
  if (answering_.contains(cursor.number)) return;
  if (!session.has_room(limits_, connection->stream().queued_bytes())) return;
  session.retained_asked = true;
  Broker* shard = shards_[cursor.shard];
  shard->loop_.post([this, shard, through = cursor.through,
                     request = PageRequest{.client_id = session.client_id(),
                                           .session = session.serial(),
                                           .filter = filter,
                                           .number = cursor.number,
                                           .shard = cursor.shard}]() mutable {
    const RetainedMessages::PageLimits limits{.bytes_max = std::min(kRetainedPageBytes, limits_.queue_bytes_max / 4)};
    RetainedMessages::Page page = shard->retained_.page(request.filter, through, limits, shard->loop_.now());
    loop_.post([this, request = std::move(request), page = std::move(page)]() mutable {
      take_retained(request, std::move(page));
    });
  });
}

void Broker::take_retained(const PageRequest& request, RetainedMessages::Page page) {
  Session* session = find_session(request.client_id, request.session);
  if (session == nullptr) return;
  session->retained_asked = false;
  const auto wanted = session->retained_wanted.find(request.filter);
  const bool is_wanted = wanted != session->retained_wanted.end() && wanted->second.number == request.number &&
                         wanted->second.shard == request.shard;
  if (!is_wanted) return send_retained(*session);  // unsubscribed, or subscribed again
  RetainedCursor& cursor = wanted->second;
  bool all_taken = true;
  for (const MessagePointer& message : page.messages) {
    if (session->news.covers(*message, cursor)) {
      cursor.through = message->topic;
      continue;
    }
    std::shared_ptr<Commit> commit;
    Connection* connection = session->connection();
    if (connection == nullptr) return;  // it goes on when the client comes back
    Delivery delivery{
        .message = message, .qos = std::min(cursor.options.qos, message->qos), .retain = true, .identifiers = {}};
    all_taken = session->can_take(delivery, limits_, connection->stream().queued_bytes());
    if (!all_taken) break;
    if (!may_receive(*session, *message)) {
      cursor.through = message->topic;
      continue;
    }
    if (cursor.identifier != 0) delivery.identifiers.push_back(cursor.identifier);
    deliver(*session, std::move(delivery), commit);
    if (commit) finish_part(commit);
    cursor.through = message->topic;
  }
  if (!all_taken) {
    // The rest of the page is asked for again.
  } else if (!page.complete) {
    cursor.through = page.through;
  } else if (++cursor.shard == shards_.size()) {
    session->retained_wanted.erase(wanted);
    if (session->retained_wanted.empty()) session->news.forget_all();
  } else {
    cursor.through.clear();
  }
  // In another turn, when what can be written is.
  loop_.post([this, client_id = request.client_id, serial = request.session] {
    if (Session* again = find_session(client_id, serial)) send_retained(*again);
  });
}

void Broker::send_retained_again(Session& session, const Message& message, uint8_t qos) {
  RetainedCursor& cursor = session.retained_wanted[message.topic];
  if (cursor.number == 0) cursor.options.qos = qos;
  cursor.number = next_serial_++;
  cursor.shard = 0;
  cursor.through.clear();
  send_retained(session);
}

void Broker::retain(const MessagePointer& message, const std::shared_ptr<Commit>& commit) {
  Broker& owner = retainer_of(message->topic);
  const std::shared_ptr<Commit> part = kept_.retained ? commit : nullptr;
  if (part) {
    part->awaits_retained = true;
    part->parts.fetch_add(1, std::memory_order_relaxed);
  }
  if (&owner == this) {
    keep_retained(message, part);
    return;
  }
  const bool taken = passages_.offer(owner.shard_, forwarded_bytes(*message),
                                     [&owner, message, part] { owner.keep_retained(message, part); });
  if (taken) return;
  note_forward_dropped();
  if (part) part->parts.fetch_sub(1, std::memory_order_relaxed);  // this loop's own is not named yet
}

bool Broker::keep_retained(const MessagePointer& message, const std::shared_ptr<Commit>& part) {
  const size_t bytes = forwarded_bytes(*message);
  // The disk does not keep up: what is not recorded is not kept.
  const bool is_refused = kept_.retained && changed_bytes_ + bytes > kChangedBytesMax;
  if (is_refused && part) part->is_refused.store(true, std::memory_order_relaxed);
  // What was published later may have come first, from another loop.
  const bool is_outdated = message->order < highest_order_ && retained_.has_later_than(*message);
  highest_order_ = std::max(highest_order_, message->order);
  const bool is_kept = !is_refused && (is_outdated || retained_.set(message));
  if (!is_kept) {
    counters_.dropped.add();
  } else if (kept_.retained && !is_outdated) {
    if (const auto before = changed_retained_.find(message); before != changed_retained_.end()) {
      changed_bytes_ -= forwarded_bytes(**before);
    }
    put(changed_retained_, message);
    changed_bytes_ += bytes;
  }
  counters_.retained.set(retained_.size());
  if (part) retained_parts_.push_back(part);
  if (kept_.retained) loop_.at_turn_end(*this);
  return is_kept;
}

// What nobody waits for is gathered while the batch before is under way, so that a topic that changes often costs no
// more than the disk gives.
void Broker::record_retained() {
  const bool is_awaited = !retained_parts_.empty() || !twin_answers_.empty();
  if (!changed_retained_.empty() && (retained_batches_ == 0 || is_awaited)) {
    const Clocks now = clocks();
    SessionJournal::Batch batch;
    batch.is_awaited = is_awaited;
    for (const MessagePointer& message : changed_retained_) {
      append_retained(batch.records, *message, now);
      batch.messages.push_back(message);
      if (batch.records.size() < kRetainedBatchBytes) continue;
      journal_->submit(std::exchange(batch, {.records = {}, .messages = {}, .is_awaited = batch.is_awaited}), {});
    }
    changed_retained_.clear();
    changed_bytes_ = 0;
    ++retained_batches_;
    journal_->submit(std::move(batch), [this](bool) {
      loop_.post([this] {
        --retained_batches_;
        if (!changed_retained_.empty()) record_retained();
      });
    });
  }
  for (const std::shared_ptr<Commit>& part : std::exchange(retained_parts_, {})) finish_part(part);
  if (twin_answers_.empty()) return;
  journal_->submit({.records = {}, .messages = {}, .is_awaited = true},
                   [this, answers = std::exchange(twin_answers_, {})](bool durable) mutable {
                     loop_.post([answers = std::move(answers), durable]() mutable {
                       for (TwinAnswering& each : answers) {
                         if (!durable) {
                           each.answer.error = {"twin.not-durable", "the change cannot be written to the disk now",
                                                "it may be there all the same: read the twin before repeating it"};
                         }
                         each.done(each.answer);
                       }
                     });
                   });
}

}  // namespace verge::mqtt
