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
constexpr Duration kLingerMax = std::chrono::seconds(2);  // for a client to hear why it was closed
constexpr Duration kQuiet = std::chrono::seconds(10);     // between lines of the same kind
constexpr std::string_view kSequenceProperty = "verge-sequence";
constexpr size_t kRetainedPageBytes = 256U << 10;
constexpr size_t kChangedBytesMax = 32U << 20;  // of retained messages that are still to be recorded
constexpr size_t kRetainedBatchBytes = 1U << 20;

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

void Broker::record_in(SessionJournal& journal, const Clock& clock, Kept kept) {
  journal_ = &journal;
  clock_ = &clock;
  kept_ = kept;
}

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
  } else {
    cursor.through.clear();
  }
  // In another turn, when what can be written is.
  loop_.post([this, client_id = request.client_id, serial = request.session] {
    if (Session* again = find_session(client_id, serial)) send_retained(*again);
  });
}

Verdict Broker::take_publish(Connection& connection, const Publish& publish, const AckTicket& ticket, bool& commits) {
  counters_.received.add();
  const Session& session = *connection.session();
  if (std::optional<TwinRequest> twin = twin_request_of(publish.topic)) {
    return take_twin_request(session, publish, std::move(*twin), ticket, commits);
  }
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
  // A message that its publisher could be made to forget by a crash has its receipt made durable with it.
  const bool owes_receipt = publish.qos == 2 && session.durable_name() != 0;
  if (!publish.retain && matches_.empty() && !owes_receipt) return verdict;

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
  if (message->retain) retain(message, commit);
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
  for (auto& [session, delivery] : deliveries) deliver(*session, std::move(delivery), commit);
  if (message->is_decision) {
    // After the commands were appended: their streams are flushed before this is called back.
    decisions_.push_back(message->received);
    loop_.at_turn_end(*this);
  }
}

void Broker::deliver(Session& session, Delivery delivery, std::shared_ptr<Commit>& commit) {
  Connection* connection = session.connection();
  const size_t waiting = connection == nullptr ? 0 : connection->stream().queued_bytes();
  std::string* output = connection == nullptr ? nullptr : &connection->stream().output();
  const size_t bytes = Session::bytes_of(delivery);
  if (connection == nullptr && delivery.qos > 0 && away_bytes_ + bytes > limits_.away_bytes_max) {
    return note_away_dropped(1);
  }
  if (session.durable_name() != 0 && delivery.qos > 0) {
    if (!commit) commit = std::make_shared<Commit>(delivery.message, shards_.size());
    StoredTarget target{.session = session.durable_name(),
                        .qos = delivery.qos,
                        .retain = delivery.retain,
                        .identifiers = delivery.identifiers};
    if (session.deliver(std::move(delivery), limits_, waiting, loop_.now(), output) == Session::Fate::kDropped) {
      return counters_.dropped.add();
    }
    target.number = session.last_number();
    commit->targets[shard_].push_back(std::move(target));
    if (connection == nullptr) away_bytes_ += bytes;
    return counters_.away_bytes.set(away_bytes_);
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
  const bool is_kept = !is_refused && retained_.set(message);
  if (!is_kept) {
    counters_.dropped.add();
  } else if (kept_.retained) {
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

void Broker::await_pace(const Connection& connection, MonotonicTime due) {
  counters_.rate_held.add();
  const auto place = paced_.emplace(due, connection.serial());
  if (place == paced_.begin()) watch_pace();
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
  const auto message = std::make_shared<const Message>(std::move(will));
  intake_.take({.client_id = {},
                .topic = message->topic,
                .payload = message->payload,
                .qos = 0,
                .received = message->received,
                .sequence = std::nullopt},
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
