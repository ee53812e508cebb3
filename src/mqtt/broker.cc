#include "mqtt/broker.h"

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "base/hash.h"
#include "base/log.h"
#include "model/event.h"
#include "model/topic.h"
#include "mqtt/broker_costs.h"
#include "mqtt/encode.h"

namespace verge::mqtt {
namespace {

constexpr Duration kSweepPeriod = std::chrono::seconds(1);
constexpr Duration kDrainMax = std::chrono::seconds(10);
constexpr Duration kLingerMax = std::chrono::seconds(2);  // for a client to hear why it was closed
constexpr Duration kQuiet = std::chrono::seconds(10);     // between lines of the same kind
constexpr std::string_view kSequenceProperty = "verge-sequence";

}  // namespace

std::expected<std::optional<uint64_t>, std::string_view> sequence_of(const Properties& properties) {
  const std::optional<std::string_view> value = properties.user_property(kSequenceProperty);
  if (!value) return std::nullopt;
  uint64_t sequence = 0;
  const auto [end, problem] = std::from_chars(value->data(), value->data() + value->size(), sequence);
  const bool is_number = problem == std::errc{} && end == value->data() + value->size();
  if (!is_number || sequence > kSourceSequenceMax) return std::unexpected(*value);
  return sequence;
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
      pace_timer_(loop),
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

void Broker::accept_bridge(net::Socket socket) {
  const uint64_t serial = next_serial_++;
  auto connection = std::make_unique<Connection>(*this, loop_, std::move(socket), serial);
  connection->be_bridge();
  connections_.emplace(serial, std::move(connection));
  counters_.connections_total.add();
  counters_.connections.add();
}

void Broker::forget_receipts(std::string_view client_id) {
  const auto found = sessions_.find(client_id);
  if (found == sessions_.end()) return;
  Session& session = *found->second;
  for (uint32_t packet_id = 1; packet_id <= kPacketIds; ++packet_id) {
    if (!session.receipts.release(static_cast<uint16_t>(packet_id)) || session.durable_name() == 0) continue;
    append_released(record(), session.durable_name(), static_cast<uint16_t>(packet_id));
  }
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

size_t Broker::shard_of(std::string_view client_id, size_t shards) { return hash64(client_id) % shards; }

Broker& Broker::home_of(std::string_view client_id) const { return *shards_[shard_of(client_id, shards_.size())]; }

Broker& Broker::retainer_of(std::string_view topic) const {
  return *shards_[retaining_shard_of(topic, shards_.size())];
}

// What belongs to a twin is on one loop.
size_t Broker::retaining_shard_of(std::string_view topic, size_t shards) {
  return hash64(twin_of_topic(topic), 1) % shards;
}

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

bool Broker::is_of_another(std::string_view client_id, std::string_view user) const {
  const auto found = sessions_.find(client_id);
  return found != sessions_.end() && found->second->user != user;
}

void Broker::authenticated(uint64_t connection, bool is_right) {
  if (const auto found = connections_.find(connection); found != connections_.end()) {
    found->second->authenticated(is_right);
  }
}

Session& Broker::open_session(const Connect& connect, std::string_view user, Connection& connection, bool& present) {
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
  session.user = user;
  const size_t aliases =
      std::min<size_t>(connect.properties.topic_alias_maximum.value_or(0), limits_.topic_aliases_max);
  session.attach(connection, connect.version,
                 {.receive_maximum = connect.properties.receive_maximum.value_or(65535),
                  .packet_bytes_max = connect.properties.maximum_packet_size.value_or(0),
                  .topic_aliases_max = static_cast<uint16_t>(aliases)});
  // 3.1.1 keeps a session that is not clean without limit; here the configured one.
  Duration expiry = std::chrono::seconds(connect.properties.session_expiry_s.value_or(0));
  if (connect.version == Version::k311) expiry = connect.clean_start ? Duration(0) : limits_.session_expiry_max;
  session.set_expiry(connection.is_bridge() ? expiry : std::min(expiry, limits_.session_expiry_max));
  if (journal_ == nullptr) return session;
  if (!present && kept_.sessions && session.expiry() > Duration(0)) {
    session.make_durable(random_.next() | 1);
    durable_sessions_.emplace(session.durable_name(), &session);
  }
  if (session.durable_name() != 0) append_opened(record(), session.stored());
  return session;
}

void Broker::end_session(Session& session) {
  std::vector<std::string> filters;
  for (const auto& [filter, options] : session.subscriptions) filters.push_back(filter);
  for (const std::string& filter : filters) forget_subscription(session, filter);
  spread(Change::kRemoved, session, filters, std::nullopt);
  std::string ended;
  if (session.durable_name() != 0) {
    append_ended(ended, session.durable_name());
    durable_sessions_.erase(session.durable_name());
  }
  session_bytes_ -= session_bytes(session.client_id());
  if (session.connection() == nullptr) count_back(session);
  counters_.sessions.subtract();
  if (const auto will = delayed_wills_.find(session.serial()); will != delayed_wills_.end()) {
    Message message = std::move(will->second.message);
    delayed_wills_.erase(will);
    publish_will(std::move(message), std::move(ended));
  } else if (!ended.empty()) {
    record().append(ended);
  }
  sessions_.erase(session.client_id());
}

Session* Broker::find_session(std::string_view client_id, uint64_t serial) const {
  const auto found = sessions_.find(client_id);
  return found != sessions_.end() && found->second->serial() == serial ? found->second.get() : nullptr;
}

Reason Broker::refusal_of(const Session& session, const SubscriptionRequest& request, size_t place) const {
  if (place >= limits_.filters_a_packet_max) return Reason::kQuotaExceeded;
  const std::string_view filter = request.filter;
  if (is_shared_filter(filter) ? !split_shared_filter(filter) : !is_topic_filter(filter)) {
    return Reason::kTopicFilterInvalid;
  }
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
    Reason refusal = refusal_of(session, wanted, pending.answer.codes.size());
    const bool is_shared = is_shared_filter(wanted.filter);
    if (refusal == Reason::kSuccess) {
      const std::optional<SharedFilter> shared = is_shared ? split_shared_filter(wanted.filter) : std::nullopt;
      const AccessRules::Grant grant =
          connection.is_bridge() ? AccessRules::Grant::kWhole
                                 : access_->may_subscribe(session.identity(), shared ? shared->filter : wanted.filter);
      if (grant == AccessRules::Grant::kNone) refusal = Reason::kNotAuthorized;
      if (grant == AccessRules::Grant::kNoneUnsaid) refusal = Reason::kUnspecified;
      if (grant == AccessRules::Grant::kInPart) session.is_granted_in_part = true;
    }
    if (refusal != Reason::kSuccess) {
      pending.answer.codes.push_back(session.version() == Version::k5 ? static_cast<uint8_t>(refusal) : 0x80);
      continue;
    }
    const SubscriptionOptions granted = wanted.options;
    pending.answer.codes.push_back(granted.qos);
    const bool is_new = tree_.add(
        wanted.filter,
        {.session = &session, .options = granted, .identifier = identifier, .is_durable = session.durable_name() != 0});
    if (session.durable_name() != 0) {
      append_subscribed(record(), session.durable_name(), wanted.filter,
                        {.options = granted, .identifier = identifier});
    }
    session.subscriptions[std::string(wanted.filter)] = granted;
    if (is_new) {
      counters_.subscriptions.add();
      session.subscription_bytes += wanted.filter.size();
      session_bytes_ += subscription_bytes(wanted.filter);
      added.emplace_back(wanted.filter);
    }
    // Those of shared subscriptions are sent none (MQTT 5.0 section 4.8.2).
    if (!is_shared && (granted.retain_handling == 0 || (granted.retain_handling == 1 && is_new))) {
      session.retained_wanted[std::string(wanted.filter)] = {
          .number = pending.number, .options = granted, .identifier = identifier, .through = {}};
    }
  }
  spread(Change::kAdded, session, added, std::move(pending));
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
  spread(Change::kRemoved, session, removed, std::move(pending));
}

bool Broker::forget_subscription(Session& session, std::string_view filter) {
  if (!tree_.remove(filter, &session)) return false;
  session.subscription_bytes -= filter.size();
  session_bytes_ -= subscription_bytes(filter);
  counters_.subscriptions.subtract();
  if (const auto wanted = session.retained_wanted.find(filter); wanted != session.retained_wanted.end()) {
    session.retained_wanted.erase(wanted);
  }
  if (session.durable_name() != 0) append_unsubscribed(record(), session.durable_name(), filter);
  session.subscriptions.erase(session.subscriptions.find(filter));
  return true;
}

// What is posted to a loop is done there in order, so the answers come in the order of the requests.
void Broker::spread(Change change, const Session& session, const std::vector<std::string>& filters,
                    std::optional<PendingAnswer> answer) {
  const bool is_durable = session.durable_name() != 0;
  const bool is_awaited = answer.has_value();
  const uint64_t number = is_awaited ? answer->number : 0;
  if (is_awaited) {
    answer->loops_missing = shards_.size();
    if (is_durable) {
      ++answer->loops_missing;
      recorded_.answers.push_back(number);
      record();
    }
    answering_.emplace(number, std::move(*answer));
  }
  size_t bytes = 0;
  for (const std::string& filter : filters) bytes += sizeof(filter) + filter.size();
  for (Broker* other : shards_) {
    if (other == this || (filters.empty() && !is_awaited)) continue;
    passages_.post(other->shard_, bytes, [this, other, change, filters, is_awaited, number, is_durable] {
      for (const std::string& filter : filters) {
        if (change == Change::kAdded) {
          other->tree_.add_remote(filter, shard_, is_durable);
        } else {
          other->tree_.remove_remote(filter, shard_, is_durable);
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

// What the client was sent and has not acknowledged is kept whatever the bound says: it may have it.
void Broker::count_away(Session& session) {
  away_bytes_ += session.waiting_bytes();
  if (away_bytes_ > limits_.away_bytes_max) {
    const size_t before = session.waiting_bytes();
    const size_t dropped = session.drop_newest(away_bytes_ - limits_.away_bytes_max);
    away_bytes_ -= before - session.waiting_bytes();
    if (dropped > 0) note_away_dropped(dropped);
    record_done(session);
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

void Broker::await_room(const Connection& connection) {
  counters_.forward_held.add();
  passages_.await_room([this, serial = connection.serial()] {
    if (const auto found = connections_.find(serial); found != connections_.end()) found->second->has_room_again();
  });
}

void Broker::await_pace(const Connection& connection, MonotonicTime due) {
  counters_.rate_held.add();
  const auto place = paced_.emplace(due, connection.serial());
  if (place == paced_.begin()) watch_pace();
}

void Broker::await_turn(const Connection& connection) {
  counters_.turns_ended.add();
  loop_.post([this, serial = connection.serial()] {
    if (const auto found = connections_.find(serial); found != connections_.end()) found->second->has_its_turn();
  });
}

void Broker::watch_pace() {
  if (paced_.empty()) return pace_timer_.cancel();
  const MonotonicTime due = std::max({paced_.begin()->first, message_pace_.due(), byte_pace_.due()});
  pace_timer_.after(std::max(due - loop_.now(), Duration(0)), [this] { release_paced(); });
}

// One after the other, as long as all together may send: who waits the longest goes first.
void Broker::release_paced() {
  const MonotonicTime now = loop_.now();
  while (!paced_.empty() && paced_.begin()->first <= now && message_pace_.due() <= now && byte_pace_.due() <= now) {
    const uint64_t serial = paced_.begin()->second;
    paced_.erase(paced_.begin());
    if (const auto found = connections_.find(serial); found != connections_.end()) found->second->may_send_again();
  }
  watch_pace();
}

bool Broker::count_input(size_t before, size_t now) {
  if (before == now) return true;
  input_bytes_ += now - before;
  counters_.input_bytes.set(input_bytes_);
  if (now <= before || now <= limits_.input_bytes_granted || input_bytes_ <= limits_.input_bytes_max) return true;
  counters_.input_refused.add();
  return false;
}

void Broker::acknowledge(const AckTicket& ticket, Reason reason, bool at_parent) {
  if (const auto found = connections_.find(ticket.connection); found != connections_.end()) {
    found->second->acknowledge(ticket.number, reason, at_parent);
  } else {
    settle_outstanding(ticket, reason);
  }
}

void Broker::settle_outstanding(const AckTicket& ticket, Reason reason) {
  const auto place = outstanding_.find(ticket.connection);
  if (place == outstanding_.end()) return;
  Outstanding& outstanding = place->second;
  const auto named = outstanding.publishes.find(ticket.number);
  if (named == outstanding.publishes.end()) return;
  if (is_failure(reason)) named->second.reason = reason;
  if (--named->second.waits > 0) return;
  reason = named->second.reason;
  const uint16_t packet_id = named->second.packet_id;
  Session* session = find_session(outstanding.client_id, outstanding.session);
  outstanding.publishes.erase(named);
  if (outstanding.publishes.empty()) outstanding_.erase(place);
  if (session == nullptr) return;
  if (is_failure(reason)) record_refusal(*session, packet_id);
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
  record_left(*session);
  if (will) {
    if (const auto expiry = connection.will_expiry()) will->expires = loop_.now() + *expiry;
    if (connection.will_delay() > Duration(0)) {
      delayed_wills_[session->serial()] = {loop_.now() + connection.will_delay(), std::move(*will),
                                           session->durable_name()};
    } else {
      std::string gone;
      if (session->durable_name() != 0) append_will_gone(gone, session->durable_name());
      session->has_stored_will = false;
      publish_will(std::move(*will), std::move(gone));
    }
  } else {
    record_will(*session, nullptr, {}, {});
  }
  if (session->has_expired(loop_.now())) return end_session(*session);
  Outstanding outstanding{.client_id = session->client_id(), .session = session->serial(), .publishes = {}};
  for (const auto& [number, packet_id] : session->receipts.awaited_of(connection.serial())) {
    const auto [waits, reason] = connection.answers_to_come(number);
    outstanding.publishes.emplace(number,
                                  Outstanding::Awaited{.packet_id = packet_id, .waits = waits, .reason = reason});
  }
  if (!outstanding.publishes.empty()) outstanding_.emplace(connection.serial(), std::move(outstanding));
}

void Broker::publish_will(Message will, std::string also) {
  will.received = loop_.now();
  if (will.retain) will.order = next_order();
  const auto message = std::make_shared<const Message>(std::move(will));
  intake_.take({.client_id = {},
                .topic = message->topic,
                .payload = message->payload,
                .qos = 0,
                .received = message->received,
                .sequence = std::nullopt,
                .traceparent = {}},
               {});
  matches_.clear();
  tree_.match(message->topic, matches_);
  std::shared_ptr<Commit> commit;
  if (!also.empty()) {
    commit = std::make_shared<Commit>(message, shards_.size());
    commit->also = std::move(also);
  }
  fan_out(message, std::move(commit));
}

void Broker::on_turn_end() {
  record_retained();
  flush_records();
  if (!decisions_.empty()) {
    const MonotonicTime now = loop_.tick();
    for (const MonotonicTime received : decisions_) counters_.decision.record(now - received);
    decisions_.clear();
  }
  // Those that still have output to write stay for a while; each sweep looks again.
  std::erase_if(ended_, [now = loop_.now()](const Ended& ended) {
    const net::TcpStream& stream = ended.connection->stream();
    return !stream.is_draining() || now - ended.since > (stream.is_lingering() ? kLingerMax : kDrainMax);
  });
}

void Broker::sweep() {
  const MonotonicTime now = loop_.now();
  std::vector<Connection*> checked;
  for (const auto& [serial, connection] : connections_) {
    connection->give_back();
    checked.push_back(connection.get());
  }
  for (Connection* connection : checked) connection->check_deadline(now);

  std::vector<Session*> expired;
  for (const auto& [id, session] : sessions_) {
    if (session->has_expired(now)) expired.push_back(session.get());
    session->give_back();
    send_retained(*session);  // which may have found no room, and then nothing told it that there was some
  }
  for (Session* session : expired) end_session(*session);

  std::vector<DelayedWill> due;
  std::erase_if(delayed_wills_, [&](auto& entry) {
    if (entry.second.due > now) return false;
    due.push_back(std::move(entry.second));
    return true;
  });
  for (DelayedWill& will : due) {
    std::string gone;
    if (will.durable_name != 0) append_will_gone(gone, will.durable_name);
    publish_will(std::move(will.message), std::move(gone));
  }
  // Those of a part of the topics each time; they are sent to nobody meanwhile.
  retained_.clear_expired({}, now);
  counters_.retained.set(retained_.size());

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
