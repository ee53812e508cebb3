// What becomes of a message: who gets it, on which loop, and what its sender is told.
#include <algorithm>

#include "model/event.h"
#include "model/topic.h"
#include "mqtt/broker.h"
#include "mqtt/broker_costs.h"
#include "mqtt/encode.h"

namespace verge::mqtt {

Verdict Broker::take_publish(Connection& connection, const Publish& publish, const AckTicket& ticket, bool& commits) {
  counters_.received.add();
  const Session& session = *connection.session();
  if (std::optional<TwinRequest> twin = twin_request_of(publish.topic)) {
    return take_twin_request(session, publish, std::move(*twin), ticket, commits);
  }
  const Payload payload(publish.payload);
  const Verdict verdict =
      intake_.take({.client_id = session.client_id(),
                    .topic = publish.topic,
                    .payload = payload,
                    .qos = publish.qos,
                    .refusable = session.version() == Version::k5,
                    .received = loop_.now(),
                    .sequence = sequence_of(publish.properties).value_or(std::nullopt),
                    .traceparent = publish.properties.sole_user_property("traceparent").value_or("")},
                   ticket);
  matches_.clear();
  tree_.match(publish.topic, matches_);
  // A message that its publisher could be made to forget by a crash has its receipt made durable with it.
  const bool owes_receipt = publish.qos == 2 && session.durable_name() != 0;
  if (!publish.retain && matches_.empty() && !owes_receipt) return verdict;

  Message message{.topic = std::string(publish.topic),
                  .payload = payload,
                  .qos = publish.qos,
                  .retain = publish.retain,
                  .received = loop_.now(),
                  .order = publish.retain ? next_order() : 0,
                  .publisher = session.serial() * SubscriptionTree::kShardsMax + shard_ + 1};
  if (session.version() == Version::k5) {
    Properties forwarded = publish.properties;
    if (forwarded.message_expiry_s) message.expires = loop_.now() + std::chrono::seconds(*forwarded.message_expiry_s);
    forwarded.message_expiry_s.reset();
    forwarded.topic_alias.reset();
    append_properties(message.properties, forwarded);
  }
  const MessagePointer shared = std::make_shared<const Message>(std::move(message));
  std::shared_ptr<Commit> commit;
  if (owes_receipt || (publish.qos > 0 && matches_.is_durable && journal_ != nullptr) ||
      (ticket.number != 0 && publish.retain && kept_.retained)) {
    commit = std::make_shared<Commit>(shared, shards_.size());
    commit->ticket = ticket;
    if (owes_receipt) {
      commit->receipt_session = session.durable_name();
      commit->receipt = publish.packet_id;
    }
    commits = ticket.number != 0;
  }
  fan_out(shared, std::move(commit));
  return verdict;
}

void Broker::publish(const MessagePointer& message) {
  if (message->retain && message->order == 0) {
    Message numbered = *message;
    numbered.order = next_order();
    return publish(std::make_shared<const Message>(std::move(numbered)));
  }
  if (is_reserved_topic(message->topic)) {
    if (std::optional<TwinRequest> twin = twin_request_of(message->topic)) {
      return hand_on(std::move(*twin), message, nullptr);
    }
  }
  matches_.clear();
  tree_.match(message->topic, matches_);
  fan_out(message, nullptr);
}

void Broker::fan_out(const MessagePointer& message, std::shared_ptr<Commit> commit) {
  if (!commit && journal_ != nullptr && message->qos > 0 && matches_.is_durable) {
    commit = std::make_shared<Commit>(message, shards_.size());
  }
  uint64_t remote = matches_.remote_shards;
  while (remote != 0) {
    Broker* other = shards_[static_cast<size_t>(std::countr_zero(remote))];
    const bool takes_part = commit && (matches_.durable_shards & (remote & -remote)) != 0;
    remote &= remote - 1;
    if (takes_part) commit->parts.fetch_add(1, std::memory_order_relaxed);
    const bool taken =
        passages_.offer(other->shard_, forwarded_bytes(*message),
                        [other, message, part = takes_part ? commit : std::shared_ptr<Commit>()]() mutable {
                          other->matches_.clear();
                          other->tree_.match(message->topic, other->matches_);
                          other->deliver_local(message, part);
                          if (part) other->finish_part(part);
                        });
    if (taken) continue;
    note_forward_dropped();
    if (takes_part) commit->parts.fetch_sub(1, std::memory_order_relaxed);  // this loop's own is not named yet
  }
  for (const SubscriptionTree::Group* group : matches_.groups) share(*group, message, commit);
  deliver_local(message, commit);
  // Only now, so that whoever is sent what is retained knows that it has the message, if it has.
  if (message->retain) retain(message, commit);
  if (commit) finish_part(commit);
}

// Chosen in turn, over all loops: a loop has as many turns as it has members.
void Broker::share(const SubscriptionTree::Group& group, const MessagePointer& message,
                   std::shared_ptr<Commit>& commit) {
  const SubscriptionTree::Members& members = group.members;
  uint64_t turns = members.local.size();
  for (const SubscriptionTree::Remote& remote : members.remote) turns += remote.count;
  uint64_t turn = group.turn++ % turns;
  for (const SubscriptionTree::Remote& remote : members.remote) {
    if (turn < remote.count) return share_there(remote.shard, group.filter, message, 0, commit);
    turn -= remote.count;
  }
  share_here(group.filter, message, 0, commit);
}

void Broker::share_here(std::string_view filter, const MessagePointer& message, uint64_t asked,
                        std::shared_ptr<Commit>& commit) {
  const SubscriptionTree::Group* group = tree_.find_group(filter);
  if (group == nullptr) return;  // they have all left since
  if (deliver_to_member(*group, message, /*connected=*/true, commit)) return;
  asked |= 1ULL << shard_;
  for (const SubscriptionTree::Remote& remote : group->members.remote) {
    if ((asked >> remote.shard & 1) == 0) return share_there(remote.shard, group->filter, message, asked, commit);
  }
  deliver_to_member(*group, message, /*connected=*/false, commit);
}

void Broker::share_there(size_t shard, std::string filter, const MessagePointer& message, uint64_t asked,
                         const std::shared_ptr<Commit>& commit) {
  Broker* other = shards_[shard];
  if (commit) commit->parts.fetch_add(1, std::memory_order_relaxed);
  const size_t bytes = forwarded_bytes(*message) + filter.size();
  const bool taken =
      passages_.offer(shard, bytes, [other, filter = std::move(filter), message, asked, part = commit]() mutable {
        other->share_here(filter, message, asked, part);
        if (part) other->finish_part(part);
      });
  if (taken) return;
  note_forward_dropped();
  if (commit) commit->parts.fetch_sub(1, std::memory_order_relaxed);
}

bool Broker::deliver_to_member(const SubscriptionTree::Group& group, const MessagePointer& message, bool connected,
                               std::shared_ptr<Commit>& commit) {
  const std::vector<Subscription>& local = group.members.local;
  for (size_t tries = 0; tries < local.size(); ++tries) {
    const Subscription& chosen = local[group.local_turn++ % local.size()];
    if ((connected && chosen.session->connection() == nullptr) || !may_receive(*chosen.session, *message)) continue;
    Delivery delivery{.message = message,
                      .qos = std::min(message->qos, chosen.options.qos),
                      .retain = message->retain && chosen.options.retain_as_published,
                      .identifiers = {}};
    if (chosen.identifier != 0) delivery.identifiers.push_back(chosen.identifier);
    deliver(*chosen.session, std::move(delivery), commit);
    return true;
  }
  return false;
}

bool Broker::may_receive(const Session& session, const Message& message) const {
  return !session.is_granted_in_part || access_->may_receive(session.identity(), message.topic);
}

// One delivery a session, at the highest QoS of its matching subscriptions, naming all their identifiers (MQTT 5.0
// section 3.3.4).
void Broker::deliver_local(const MessagePointer& message, std::shared_ptr<Commit>& commit) {
  if (matches_.local.empty()) return;
  ++match_mark_;
  matched_ += matches_.local.size();
  std::vector<std::pair<Session*, Delivery>> deliveries;
  for (const Subscription* subscription : matches_.local) {
    Session& session = *subscription->session;
    if (subscription->options.no_local &&
        session.serial() * SubscriptionTree::kShardsMax + shard_ + 1 == message->publisher) {
      continue;
    }
    if (!may_receive(session, *message)) continue;
    if (session.match_mark != match_mark_) {
      session.match_mark = match_mark_;
      session.match_index = deliveries.size();
      deliveries.emplace_back(&session, Delivery{.message = message});
    }
    Delivery& delivery = deliveries[session.match_index].second;
    delivery.qos = std::max(delivery.qos, std::min(message->qos, subscription->options.qos));
    delivery.retain |= message->retain && subscription->options.retain_as_published;
    if (subscription->identifier != 0) delivery.identifiers.push_back(subscription->identifier);
  }
  for (auto& [session, delivery] : deliveries) {
    const uint8_t qos = delivery.qos;
    const bool is_given = deliver(*session, std::move(delivery), commit);
    if (!message->retain || session->retained_wanted.empty()) continue;
    if (is_given) {
      session->news.note(*message, qos, next_serial_++);
    } else {
      session->news.forget(*message);
    }
  }
  if (message->is_decision) {
    // After the commands were appended: their streams are flushed before this is called back.
    decisions_.push_back(message->received);
    loop_.at_turn_end(*this);
  }
}

bool Broker::deliver(Session& session, Delivery delivery, std::shared_ptr<Commit>& commit) {
  Connection* connection = session.connection();
  const size_t waiting = connection == nullptr ? 0 : connection->stream().queued_bytes();
  std::string* output = connection == nullptr ? nullptr : &connection->stream().output();
  const size_t bytes = Session::bytes_of(delivery);
  if (connection == nullptr && delivery.qos > 0 && away_bytes_ + bytes > limits_.away_bytes_max) {
    note_away_dropped(1);
    return false;
  }
  if (session.durable_name() != 0 && delivery.qos > 0) {
    if (!commit) commit = std::make_shared<Commit>(delivery.message, shards_.size());
    StoredTarget target{.session = session.durable_name(),
                        .qos = delivery.qos,
                        .retain = delivery.retain,
                        .identifiers = delivery.identifiers};
    if (session.deliver(std::move(delivery), limits_, waiting, loop_.now(), output) == Session::Fate::kDropped) {
      counters_.dropped.add();
      return false;
    }
    target.number = session.last_number();
    commit->targets[shard_].push_back(std::move(target));
    if (connection == nullptr) away_bytes_ += bytes;
    counters_.away_bytes.set(away_bytes_);
    return true;
  }
  switch (session.deliver(std::move(delivery), limits_, waiting, loop_.now(), output)) {
    case Session::Fate::kSent:
      counters_.sent.add();
      return true;
    case Session::Fate::kDropped:
      counters_.dropped.add();
      return false;
    case Session::Fate::kQueued:
      if (connection == nullptr) away_bytes_ += bytes;
      counters_.away_bytes.set(away_bytes_);
      return true;
  }
  return false;
}

void Broker::note_forward_dropped() {
  counters_.dropped.add();
  counters_.forward_dropped.add();
}

}  // namespace verge::mqtt
