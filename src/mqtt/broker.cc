#include "mqtt/broker.h"

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "base/hash.h"
#include "base/log.h"
#include "model/event.h"
#include "model/topic.h"
#include "mqtt/encode.h"

namespace verge::mqtt {
namespace {

constexpr Duration kSweepPeriod = std::chrono::seconds(1);
constexpr Duration kDrainMax = std::chrono::seconds(10);
constexpr Duration kQuiet = std::chrono::seconds(10);  // between lines of the same kind
constexpr std::string_view kSequenceProperty = "verge-sequence";
constexpr size_t kRetainedPageBytes = 256U << 10;

// What the containers and the allocator take, rounded up: a session with its empty queues, a subscription, and a level
// of its filter in the tree of a loop.
constexpr size_t kSessionBytes = 2048;
constexpr size_t kSubscriptionBytes = 256;
constexpr size_t kLevelBytes = 256;

// A message on its way, with the task that carries it.
size_t forwarded_bytes(const Message& message) {
  constexpr size_t kTaskBytes = 128;
  return sizeof(Message) + kTaskBytes + message.topic.size() + message.payload.size() + message.properties.size();
}

size_t session_bytes(std::string_view client_id) { return kSessionBytes + 2 * client_id.size(); }
size_t subscription_bytes(std::string_view filter) {
  const auto levels = static_cast<size_t>(std::ranges::count(filter, '/')) + 1;
  return kSubscriptionBytes + 3 * filter.size() + levels * kLevelBytes;
}

}  // namespace

std::expected<std::optional<uint64_t>, std::string_view> sequence_of(const Properties& properties) {
  for (const auto& [name, value] : properties.user) {
    if (name != kSequenceProperty) continue;
    uint64_t sequence = 0;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), sequence);
    const bool is_number = problem == std::errc{} && end == value.data() + value.size();
    if (!is_number || sequence > kSourceSequenceMax) return std::unexpected(value);
    return sequence;
  }
  return std::nullopt;
}

Broker::Broker(runtime::Loop& loop, size_t shard, const Limits& limits, Intake& intake)
    : loop_(loop),
      shard_(shard),
      limits_(limits),
      intake_(intake),
      shards_{},
      passages_(loop, {.tasks_max = limits.forward_max, .bytes_max = limits.forward_bytes_max}),
      random_(system_seed()),
      retained_(limits.retained_max, limits.retained_bytes_max),
      away_full_(kQuiet),
      sweep_timer_(loop) {
  sweep_timer_.after(kSweepPeriod, [this] { sweep(); });
}

Broker::~Broker() { loop_.forget_turn_end(*this); }

void Broker::join(std::vector<Broker*> shards) {
  VERGE_ASSERT(shards.size() <= SubscriptionTree::kShardsMax && shards[shard_] == this);
  shards_ = std::move(shards);
  std::vector<runtime::Loop*> loops;
  for (Broker* shard : shards_) loops.push_back(&shard->loop_);
  passages_.join(loops);
}

void Broker::accept(net::Socket socket) {
  counters_.connections_total.add();
  adopt(std::move(socket), {});
}

void Broker::adopt(net::Socket socket, std::string bytes) {
  if (connections_.size() >= limits_.connections_max) {
    counters_.connections_refused.add();
    return;
  }
  const uint64_t serial = next_serial_++;
  auto [place, inserted] =
      connections_.emplace(serial, std::make_unique<Connection>(*this, loop_, std::move(socket), serial));
  counters_.connections.add();
  if (bytes.empty()) return;
  place->second->on_bytes(bytes);
  counters_.received_bytes.subtract(bytes.size());  // counted where they were read
}

Broker& Broker::home_of(std::string_view client_id) const { return *shards_[hash64(client_id) % shards_.size()]; }
Broker& Broker::retainer_of(std::string_view topic) const { return *shards_[hash64(topic, 1) % shards_.size()]; }

// Random until it belongs to this loop.
std::string Broker::new_client_id() {
  while (true) {
    std::string id = fmt::format("auto-{:016x}", random_.next());
    if (&home_of(id) == this) return id;
  }
}

bool Broker::has_room_for_session(std::string_view client_id) const {
  if (sessions_.find(client_id) != sessions_.end()) return true;
  return sessions_.size() < limits_.sessions_max &&
         session_bytes_ + session_bytes(client_id) <= limits_.session_bytes_max;
}

Session& Broker::open_session(const Connect& connect, Connection& connection, bool& present) {
  if (const auto existing = sessions_.find(connect.client_id);
      existing != sessions_.end() && existing->second->connection() != nullptr) {
    // This may end the session.
    existing->second->connection()->disconnect(Reason::kSessionTakenOver, /*with_will=*/true,
                                               "the client connected again");
  }
  auto found = sessions_.find(connect.client_id);
  if (found != sessions_.end() && (connect.clean_start || found->second->has_expired(loop_.now()))) {
    end_session(*found->second);
    found = sessions_.end();
  }
  // The delayed will of a session that is taken up in time is not sent [MQTT-3.1.3-9].
  if (found != sessions_.end()) delayed_wills_.erase(found->second->serial());
  present = found != sessions_.end();
  if (!present) {
    std::string id(connect.client_id);
    found = sessions_.emplace(id, std::make_unique<Session>(id, next_serial_++)).first;
    session_bytes_ += session_bytes(id);
    counters_.sessions.add();
  }
  Session& session = *found->second;
  if (present) count_back(session);
  session.attach(connection, connect.version, connect.properties.receive_maximum.value_or(65535),
                 connect.properties.maximum_packet_size.value_or(0));
  // 3.1.1 keeps a session that is not clean without limit; here the configured one.
  Duration expiry = std::chrono::seconds(connect.properties.session_expiry_s.value_or(0));
  if (connect.version == Version::k311) expiry = connect.clean_start ? Duration(0) : limits_.session_expiry_max;
  session.set_expiry(std::min(expiry, limits_.session_expiry_max));
  return session;
}

void Broker::end_session(Session& session) {
  std::vector<std::string> filters;
  for (const auto& [filter, options] : session.subscriptions) filters.push_back(filter);
  for (const std::string& filter : filters) forget_subscription(session, filter);
  spread(Change::kRemoved, filters, std::nullopt);
  session_bytes_ -= session_bytes(session.client_id());
  if (session.connection() == nullptr) count_back(session);
  counters_.sessions.subtract();
  if (const auto will = delayed_wills_.find(session.serial()); will != delayed_wills_.end()) {
    Message message = std::move(will->second.message);
    delayed_wills_.erase(will);
    publish_will(std::move(message));
  }
  sessions_.erase(session.client_id());
}

Session* Broker::find_session(std::string_view client_id, uint64_t serial) const {
  const auto found = sessions_.find(client_id);
  return found != sessions_.end() && found->second->serial() == serial ? found->second.get() : nullptr;
}

Reason Broker::refusal_of(const Session& session, std::string_view filter, size_t place) const {
  if (filter.starts_with("$share/")) return Reason::kSharedSubscriptionsNotSupported;
  if (place >= limits_.filters_a_packet_max) return Reason::kQuotaExceeded;
  if (!is_topic_filter(filter)) return Reason::kTopicFilterInvalid;
  if (session.subscriptions.contains(filter)) return Reason::kSuccess;
  const bool one_too_many = session.subscriptions.size() >= limits_.subscriptions_max ||
                            session.subscription_bytes + filter.size() > limits_.subscription_bytes_max ||
                            session_bytes_ + subscription_bytes(filter) > limits_.session_bytes_max;
  return one_too_many ? Reason::kQuotaExceeded : Reason::kSuccess;
}

void Broker::subscribe(Connection& connection, const Subscribe& request) {
  Session& session = *connection.session();
  PendingAnswer pending{.number = next_serial_++,
                        .connection = connection.serial(),
                        .type = PacketType::kSuback,
                        .answer = {.packet_id = request.packet_id, .codes = {}}};
  const uint32_t identifier =
      request.properties.subscription_identifiers.empty() ? 0 : request.properties.subscription_identifiers[0];
  std::vector<std::string> added;
  for (const SubscriptionRequest& wanted : request.requests) {
    const Reason refusal = refusal_of(session, wanted.filter, pending.answer.codes.size());
    if (refusal != Reason::kSuccess) {
      pending.answer.codes.push_back(session.version() == Version::k5 ? static_cast<uint8_t>(refusal) : 0x80);
      continue;
    }
    SubscriptionOptions granted = wanted.options;
    granted.qos = std::min<uint8_t>(granted.qos, 1);
    pending.answer.codes.push_back(granted.qos);
    const bool is_new = tree_.add(wanted.filter, {.session = &session, .options = granted, .identifier = identifier});
    session.subscriptions[std::string(wanted.filter)] = granted;
    if (is_new) {
      counters_.subscriptions.add();
      session.subscription_bytes += wanted.filter.size();
      session_bytes_ += subscription_bytes(wanted.filter);
      added.emplace_back(wanted.filter);
    }
    if (granted.retain_handling == 0 || (granted.retain_handling == 1 && is_new)) {
      session.retained_wanted[std::string(wanted.filter)] = {
          .number = pending.number, .options = granted, .identifier = identifier, .through = {}};
    }
  }
  spread(Change::kAdded, added, std::move(pending));
}

void Broker::unsubscribe(Connection& connection, const Unsubscribe& request) {
  Session& session = *connection.session();
  PendingAnswer pending{.number = next_serial_++,
                        .connection = connection.serial(),
                        .type = PacketType::kUnsuback,
                        .answer = {.packet_id = request.packet_id, .codes = {}}};
  std::vector<std::string> removed;
  for (const std::string_view filter : request.filters) {
    const bool existed = forget_subscription(session, filter);
    if (existed) removed.emplace_back(filter);
    pending.answer.codes.push_back(static_cast<uint8_t>(existed ? Reason::kSuccess : Reason::kNoSubscriptionExisted));
  }
  spread(Change::kRemoved, removed, std::move(pending));
}

bool Broker::forget_subscription(Session& session, std::string_view filter) {
  if (!tree_.remove(filter, &session)) return false;
  session.subscription_bytes -= filter.size();
  session_bytes_ -= subscription_bytes(filter);
  counters_.subscriptions.subtract();
  if (const auto wanted = session.retained_wanted.find(filter); wanted != session.retained_wanted.end()) {
    session.retained_wanted.erase(wanted);
  }
  session.subscriptions.erase(session.subscriptions.find(filter));
  return true;
}

// What is posted to a loop is done there in order, so the answers come in the order of the requests.
void Broker::spread(Change change, const std::vector<std::string>& filters, std::optional<PendingAnswer> answer) {
  const bool is_awaited = answer.has_value();
  const uint64_t number = is_awaited ? answer->number : 0;
  if (is_awaited) {
    answer->loops_missing = shards_.size();
    answering_.emplace(number, std::move(*answer));
  }
  size_t bytes = 0;
  for (const std::string& filter : filters) bytes += sizeof(filter) + filter.size();
  for (Broker* other : shards_) {
    if (other == this || (filters.empty() && !is_awaited)) continue;
    passages_.post(other->shard_, bytes, [this, other, change, filters, is_awaited, number] {
      for (const std::string& filter : filters) {
        if (change == Change::kAdded) {
          other->tree_.add_remote(filter, shard_);
        } else {
          other->tree_.remove_remote(filter, shard_);
        }
      }
      if (is_awaited) loop_.post([this, number] { count_answer(number); });
    });
  }
  if (is_awaited) count_answer(number);
}

void Broker::count_answer(uint64_t number) {
  const auto place = answering_.find(number);
  VERGE_ASSERT(place != answering_.end());
  if (--place->second.loops_missing > 0) return;
  const PendingAnswer done = std::move(place->second);
  answering_.erase(place);
  const auto found = connections_.find(done.connection);
  if (found == connections_.end() || found->second->session() == nullptr) return;
  Connection& connection = *found->second;
  connection.answer(done.type, done.answer);
  if (connection.stream().is_open()) send_retained(*connection.session());
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
    Connection* connection = session->connection();
    if (connection == nullptr) return;  // it goes on when the client comes back
    Delivery delivery{.message = message,
                      .qos = std::min<uint8_t>({cursor.options.qos, message->qos, 1}),
                      .retain = true,
                      .identifiers = {}};
    all_taken = session->can_take(delivery, limits_, connection->stream().queued_bytes());
    if (!all_taken) break;
    if (cursor.identifier != 0) delivery.identifiers.push_back(cursor.identifier);
    deliver(*session, std::move(delivery));
    cursor.through = message->topic;
  }
  if (!all_taken) {
    // The rest of the page is asked for again.
  } else if (!page.complete) {
    cursor.through = page.through;
  } else if (++cursor.shard == shards_.size()) {
    session->retained_wanted.erase(wanted);
  } else {
    cursor.through.clear();
  }
  // In another turn, when what can be written is.
  loop_.post([this, client_id = request.client_id, serial = request.session] {
    if (Session* again = find_session(client_id, serial)) send_retained(*again);
  });
}

Verdict Broker::take_publish(Connection& connection, const Publish& publish, const AckTicket& ticket) {
  counters_.received.add();
  const Session& session = *connection.session();
  const Payload payload(publish.payload);
  const Verdict verdict = intake_.take({.client_id = session.client_id(),
                                        .topic = publish.topic,
                                        .payload = payload,
                                        .qos = publish.qos,
                                        .refusable = session.version() == Version::k5,
                                        .received = loop_.now(),
                                        .sequence = sequence_of(publish.properties).value_or(std::nullopt)},
                                       ticket);
  matches_.clear();
  tree_.match(publish.topic, matches_);
  if (!publish.retain && matches_.local.empty() && matches_.remote_shards == 0) return verdict;

  Message message{.topic = std::string(publish.topic),
                  .payload = payload,
                  .qos = publish.qos,
                  .retain = publish.retain,
                  .received = loop_.now(),
                  .publisher = session.serial() * SubscriptionTree::kShardsMax + shard_ + 1};
  if (session.version() == Version::k5) {
    Properties forwarded = publish.properties;
    if (forwarded.message_expiry_s) message.expires = loop_.now() + std::chrono::seconds(*forwarded.message_expiry_s);
    forwarded.message_expiry_s.reset();
    append_properties(message.properties, forwarded);
  }
  fan_out(std::make_shared<const Message>(std::move(message)));
  return verdict;
}

void Broker::publish(const MessagePointer& message) {
  matches_.clear();
  tree_.match(message->topic, matches_);
  fan_out(message);
}

// Uses matches_, which the caller has filled for the message's topic.
void Broker::fan_out(const MessagePointer& message) {
  if (message->retain) retain(message);
  uint64_t remote = matches_.remote_shards;
  while (remote != 0) {
    Broker* other = shards_[static_cast<size_t>(std::countr_zero(remote))];
    remote &= remote - 1;
    const bool taken = passages_.offer(other->shard_, forwarded_bytes(*message), [other, message] {
      other->matches_.clear();
      other->tree_.match(message->topic, other->matches_);
      other->deliver_local(message);
    });
    if (!taken) note_forward_dropped();
  }
  deliver_local(message);
}

// One delivery a session, at the highest QoS of its matching subscriptions, naming all their identifiers (MQTT 5.0
// section 3.3.4).
void Broker::deliver_local(const MessagePointer& message) {
  if (matches_.local.empty()) return;
  ++match_mark_;
  std::vector<std::pair<Session*, Delivery>> deliveries;
  for (const Subscription* subscription : matches_.local) {
    Session& session = *subscription->session;
    if (subscription->options.no_local &&
        session.serial() * SubscriptionTree::kShardsMax + shard_ + 1 == message->publisher) {
      continue;
    }
    if (session.match_mark != match_mark_) {
      session.match_mark = match_mark_;
      session.match_index = deliveries.size();
      deliveries.emplace_back(&session, Delivery{.message = message});
    }
    Delivery& delivery = deliveries[session.match_index].second;
    delivery.qos = std::max(delivery.qos, std::min<uint8_t>({message->qos, subscription->options.qos, 1}));
    delivery.retain |= message->retain && subscription->options.retain_as_published;
    if (subscription->identifier != 0) delivery.identifiers.push_back(subscription->identifier);
  }
  for (auto& [session, delivery] : deliveries) deliver(*session, std::move(delivery));
  if (message->is_decision) {
    // After the commands were appended: their streams are flushed before this is called back.
    decisions_.push_back(message->received);
    loop_.at_turn_end(*this);
  }
}

void Broker::deliver(Session& session, Delivery delivery) {
  Connection* connection = session.connection();
  const size_t waiting = connection == nullptr ? 0 : connection->stream().queued_bytes();
  std::string* output = connection == nullptr ? nullptr : &connection->stream().output();
  const size_t bytes = Session::bytes_of(delivery);
  if (connection == nullptr && delivery.qos > 0 && away_bytes_ + bytes > limits_.away_bytes_max) {
    return note_away_dropped(1);
  }
  switch (session.deliver(std::move(delivery), limits_, waiting, loop_.now(), output)) {
    case Session::Fate::kSent:
      counters_.sent.add();
      break;
    case Session::Fate::kDropped:
      counters_.dropped.add();
      break;
    case Session::Fate::kQueued:
      if (connection == nullptr) away_bytes_ += bytes;
      counters_.away_bytes.set(away_bytes_);
      break;
  }
}

// What the client was sent and has not acknowledged is kept whatever the bound says: it may have it.
void Broker::count_away(Session& session) {
  away_bytes_ += session.waiting_bytes();
  if (away_bytes_ > limits_.away_bytes_max) {
    const size_t before = session.waiting_bytes();
    const size_t dropped = session.drop_newest(away_bytes_ - limits_.away_bytes_max);
    away_bytes_ -= before - session.waiting_bytes();
    if (dropped > 0) note_away_dropped(dropped);
  }
  counters_.away_bytes.set(away_bytes_);
}

void Broker::count_back(const Session& session) {
  away_bytes_ -= session.waiting_bytes();
  counters_.away_bytes.set(away_bytes_);
}

void Broker::note_away_dropped(size_t count) {
  counters_.dropped.add(count);
  counters_.away_dropped.add(count);
  const std::optional<uint64_t> others = away_full_.due(loop_.now());
  if (!others) return;
  log_warning("mqtt",
              "messages for clients that are away are dropped: {} bytes of them wait on this event loop, its part of "
              "mqtt.away_bytes_max; raise it, or lower mqtt.session_expiry_max",
              away_bytes_);
}

void Broker::retain(const MessagePointer& message) {
  Broker& owner = retainer_of(message->topic);
  const auto keep = [&owner, message] {
    if (!owner.retained_.set(message)) owner.counters_.dropped.add();
    owner.counters_.retained.set(owner.retained_.size());
  };
  if (&owner == this) {
    keep();
  } else if (!passages_.offer(owner.shard_, forwarded_bytes(*message), keep)) {
    note_forward_dropped();
  }
}

void Broker::note_forward_dropped() {
  counters_.dropped.add();
  counters_.forward_dropped.add();
}

void Broker::await_room(const Connection& connection) {
  counters_.forward_held.add();
  passages_.await_room([this, serial = connection.serial()] {
    if (const auto found = connections_.find(serial); found != connections_.end()) found->second->has_room_again();
  });
}

bool Broker::count_input(size_t before, size_t now) {
  if (before == now) return true;
  input_bytes_ += now - before;
  counters_.input_bytes.set(input_bytes_);
  if (now <= before || now <= limits_.input_bytes_granted || input_bytes_ <= limits_.input_bytes_max) return true;
  counters_.input_refused.add();
  return false;
}

void Broker::acknowledge(const AckTicket& ticket, Reason reason) {
  if (const auto found = connections_.find(ticket.connection); found != connections_.end()) {
    found->second->acknowledge(ticket.number, reason);
  } else {
    settle_outstanding(ticket, reason);
  }
}

void Broker::settle_outstanding(const AckTicket& ticket, Reason reason) {
  const auto place = outstanding_.find(ticket.connection);
  if (place == outstanding_.end()) return;
  Outstanding& outstanding = place->second;
  const auto named = outstanding.packet_ids.find(ticket.number);
  if (named == outstanding.packet_ids.end()) return;
  const uint16_t packet_id = named->second;
  Session* session = find_session(outstanding.client_id, outstanding.session);
  outstanding.packet_ids.erase(named);
  if (outstanding.packet_ids.empty()) outstanding_.erase(place);
  if (session == nullptr) return;
  const std::optional<AckTicket> repeated = session->receipts.settle(packet_id, ticket, !is_failure(reason));
  if (repeated) acknowledge(*repeated, reason);
}

void Broker::connection_ended(Connection& connection) {
  const auto place = connections_.find(connection.serial());
  if (place == connections_.end()) return;
  ended_.push_back({std::move(place->second), loop_.now()});
  connections_.erase(place);
  counters_.connections.subtract();
  loop_.at_turn_end(*this);

  Session* session = connection.session();
  std::unique_ptr<Message> will = connection.take_will();
  if (session == nullptr || session->connection() != &connection) return;
  session->detach(loop_.now());
  count_away(*session);
  if (will) {
    if (const auto expiry = connection.will_expiry()) will->expires = loop_.now() + *expiry;
    if (connection.will_delay() > Duration(0)) {
      delayed_wills_[session->serial()] = {loop_.now() + connection.will_delay(), std::move(*will)};
    } else {
      publish_will(std::move(*will));
    }
  }
  if (session->has_expired(loop_.now())) return end_session(*session);
  Outstanding outstanding{.client_id = session->client_id(), .session = session->serial(), .packet_ids = {}};
  for (const auto& [number, packet_id] : session->receipts.awaited_of(connection.serial())) {
    outstanding.packet_ids.emplace(number, packet_id);
  }
  if (!outstanding.packet_ids.empty()) outstanding_.emplace(connection.serial(), std::move(outstanding));
}

void Broker::publish_will(Message will) {
  will.received = loop_.now();
  const auto message = std::make_shared<const Message>(std::move(will));
  intake_.take({.client_id = {},
                .topic = message->topic,
                .payload = message->payload,
                .qos = 0,
                .received = message->received,
                .sequence = std::nullopt},
               {});
  publish(message);
}

void Broker::on_turn_end() {
  if (!decisions_.empty()) {
    const MonotonicTime now = loop_.tick();
    for (const MonotonicTime received : decisions_) counters_.decision.record(now - received);
    decisions_.clear();
  }
  // Those that still have output to write stay for a while; each sweep looks again.
  std::erase_if(ended_, [now = loop_.now()](const Ended& ended) {
    return !ended.connection->stream().is_draining() || now - ended.since > kDrainMax;
  });
}

void Broker::sweep() {
  const MonotonicTime now = loop_.now();
  std::vector<Connection*> checked;
  for (const auto& [serial, connection] : connections_) checked.push_back(connection.get());
  for (Connection* connection : checked) connection->check_deadline(now);

  std::vector<Session*> expired;
  for (const auto& [id, session] : sessions_) {
    if (session->has_expired(now)) expired.push_back(session.get());
    send_retained(*session);  // which may have found no room, and then nothing told it that there was some
  }
  for (Session* session : expired) end_session(*session);

  std::vector<Message> due;
  std::erase_if(delayed_wills_, [&](auto& entry) {
    if (entry.second.due > now) return false;
    due.push_back(std::move(entry.second.message));
    return true;
  });
  for (Message& will : due) publish_will(std::move(will));

  loop_.at_turn_end(*this);
  sweep_timer_.after(kSweepPeriod, [this] { sweep(); });
}

void Broker::stop_reading() {
  stopped_ = true;
  for (const auto& [serial, connection] : connections_) connection->stream().pause_reading();
}

void Broker::shut_down() {
  std::vector<Connection*> open;
  for (const auto& [serial, connection] : connections_) open.push_back(connection.get());
  for (Connection* connection : open) {
    connection->disconnect(Reason::kServerShuttingDown, /*with_will=*/true, "the node is shutting down");
  }
}

}  // namespace verge::mqtt
