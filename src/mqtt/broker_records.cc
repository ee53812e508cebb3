// What is made durable: the records of sessions, and the parts of a message's commit that must be on the disk first.
#include "base/assert.h"
#include "mqtt/broker.h"
#include "mqtt/broker_costs.h"

namespace verge::mqtt {

void Broker::record_in(SessionJournal& journal, const Clock& clock, Kept kept) {
  journal_ = &journal;
  clock_ = &clock;
  kept_ = kept;
}

void Broker::restore(const StoredSession& stored, const Clocks& now) {
  VERGE_ASSERT(&home_of(stored.client_id) == this);
  // Damage may have cost the end of an earlier one.
  if (sessions_.contains(stored.client_id)) return append_ended(record(), stored.session);
  auto made = std::make_unique<Session>(stored.client_id, next_serial_++);
  Session& session = *made;
  const int64_t away_us = stored.left_us == 0 ? 0 : std::max<int64_t>(now.wall_us - stored.left_us, 0);
  session.restore(stored, now.monotonic - std::chrono::microseconds(away_us));
  sessions_.emplace(stored.client_id, std::move(made));
  durable_sessions_.emplace(session.durable_name(), &session);
  session_bytes_ += session_bytes(stored.client_id);
  counters_.sessions.add();
  for (const auto& [filter, held] : stored.subscriptions) {
    tree_.add(filter,
              {.session = &session, .options = held.options, .identifier = held.identifier, .is_durable = true});
    for (Broker* other : shards_) {
      if (other != this) other->tree_.add_remote(filter, shard_, /*is_durable=*/true);
    }
    session.subscriptions[filter] = held.options;
    counters_.subscriptions.add();
    session.subscription_bytes += filter.size();
    session_bytes_ += subscription_bytes(filter);
  }
  if (stored.will) {
    const StoredWill& will = *stored.will;
    session.has_stored_will = true;
    DelayedWill& delayed = delayed_wills_[session.serial()];
    delayed = {.due = now.monotonic - std::chrono::microseconds(away_us) + std::chrono::seconds(will.delay_s),
               .message = will.message,
               .durable_name = session.durable_name()};
    if (will.expiry_s) delayed.message.expires = delayed.due + std::chrono::seconds(*will.expiry_s);
  }
  count_away(session);
  record_done(session);
}

void Broker::record_will(Session& session, const Message* will, Duration delay, std::optional<Duration> expiry) {
  if (session.durable_name() == 0) return;
  const auto seconds = [](Duration duration) {
    return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
  };
  if (will != nullptr) {
    append_will(record(), session.durable_name(), *will, seconds(delay),
                expiry ? std::optional(seconds(*expiry)) : std::nullopt);
  } else if (session.has_stored_will) {
    append_will_gone(record(), session.durable_name());
  }
  session.has_stored_will = will != nullptr;
}

void Broker::finish_part(const std::shared_ptr<Commit>& commit) {
  flush_records();  // what was recorded here before must not come after it
  if (commit->parts.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  std::vector<const StoredTarget*> targets;
  for (const std::vector<StoredTarget>& part : commit->targets) {
    for (const StoredTarget& target : part) targets.push_back(&target);
  }
  const auto answer = [this, commit](bool durable) {  // on the journal's thread; shards_ does not change
    for (Broker* shard : shards_) {
      if (commit->targets[shard->shard_].empty()) continue;
      shard->loop_.post([shard, commit, durable] { shard->settle(*commit, durable); });
    }
    if (commit->ticket.number == 0) return;
    Broker* shard = shards_[commit->ticket.shard];
    shard->loop_.post([shard, commit, durable] {
      shard->acknowledge(commit->ticket, durable ? Reason::kSuccess : Reason::kQuotaExceeded);
    });
  };
  if (commit->is_refused.load(std::memory_order_relaxed)) return answer(false);
  SessionJournal::Batch batch{.records = {}, .messages = {}, .is_awaited = true};
  if (!targets.empty() || commit->receipt_session != 0) {
    batch.is_publish = true;
    batch.messages.push_back(commit->message);
    append_published(batch.records, *commit->message, targets, commit->receipt_session, commit->receipt, clocks());
  }
  batch.records.append(commit->also);
  // What is to be retained of it is under way before: an empty batch behind that waits for it.
  if (batch.records.empty() && !commit->awaits_retained) return answer(true);
  journal_->submit(std::move(batch), answer);
}

void Broker::settle(const Commit& commit, bool durable) {
  for (const StoredTarget& target : commit.targets[shard_]) {
    const auto found = durable_sessions_.find(target.session);
    if (found == durable_sessions_.end()) continue;
    Session& session = *found->second;
    Connection* connection = session.connection();
    if (!durable) {
      const size_t before = session.waiting_bytes();
      if (session.withdraw(target.number)) counters_.dropped.add();
      session.news.forget(*commit.message);
      if (commit.message->retain && !target.retain) send_retained_again(session, *commit.message, target.qos);
      if (connection == nullptr) away_bytes_ -= before - session.waiting_bytes();
    } else if (!session.commit(target.number)) {
      append_done(record(), target.session, target.number);  // it was dropped meanwhile
    }
    if (connection == nullptr || connection->stream().queued_bytes() > limits_.queue_bytes_max) continue;
    counters_.sent.add(session.resume_queue(limits_, loop_.now(), connection->stream().output()));
    record_done(session);
  }
}

std::string& Broker::record() {
  if (records_.empty()) loop_.at_turn_end(*this);
  return records_;
}

void Broker::record_done(Session& session) {
  if (session.durable_name() == 0) return;
  for (const uint64_t number : session.take_done()) append_done(record(), session.durable_name(), number);
}

void Broker::record_left(const Session& session) {
  if (session.durable_name() == 0) return;
  const auto expiry_s = std::chrono::duration_cast<std::chrono::seconds>(session.expiry()).count();
  append_left(record(), session.durable_name(), static_cast<uint32_t>(expiry_s), clock_->wall().microseconds);
}

void Broker::record_release(const Session& session, uint16_t packet_id, const AckTicket& ticket) {
  append_released(record(), session.durable_name(), packet_id);
  recorded_.tickets.push_back(ticket);
}

// Its receipt may be in the log, while the client may use the identifier for another message.
void Broker::record_refusal(const Session& session, uint16_t packet_id) {
  if (session.durable_name() != 0) append_released(record(), session.durable_name(), packet_id);
}

void Broker::record_received(const Session& session, uint64_t number) {
  append_received(record(), session.durable_name(), number);
  recorded_.received.emplace_back(session.durable_name(), number);
}

void Broker::flush_records() {
  if (records_.empty() && recorded_.empty()) return;
  SessionJournal::Batch batch{.records = std::exchange(records_, {}), .messages = {}, .is_awaited = !recorded_.empty()};
  if (recorded_.empty()) return journal_->submit(std::move(batch), {});
  journal_->submit(std::move(batch), [this, recorded = std::exchange(recorded_, {})](bool durable) mutable {
    loop_.post([this, recorded = std::move(recorded), durable] { take_recorded(recorded, durable); });
  });
}

void Broker::take_recorded(const Recorded& recorded, bool durable) {
  for (const AckTicket& ticket : recorded.tickets) {
    acknowledge(ticket, durable ? Reason::kSuccess : Reason::kQuotaExceeded);
  }
  for (const auto& [name, number] : recorded.received) {
    const auto found = durable_sessions_.find(name);
    if (found == durable_sessions_.end()) continue;
    Connection* connection = found->second->connection();
    if (!durable) {
      // The client repeats its PUBREC, or is sent the message again, on the next connection.
      if (connection != nullptr) {
        connection->disconnect(Reason::kQuotaExceeded, /*with_will=*/true, "its PUBREC cannot be made durable");
      }
    } else if (found->second->note_recorded(number) && connection != nullptr) {
      connection->release(number);
    }
  }
  for (const uint64_t number : recorded.answers) count_answer(number);
}

Clocks Broker::clocks() const { return {.wall_us = clock_->wall().microseconds, .monotonic = clock_->monotonic()}; }

}  // namespace verge::mqtt
