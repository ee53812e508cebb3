#include "mqtt/connection.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "model/topic.h"
#include "mqtt/broker.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"

namespace verge::mqtt {
namespace {

// The classes of durability.
constexpr std::string_view kNone = "none";
constexpr std::string_view kLocal = "local";
constexpr std::string_view kParent = "parent";
// An acknowledgement that tells the class.
constexpr size_t kToldBytesMax = 34;

// The frame that the packet is.
Frame whole_frame(std::string_view packet) {
  Frame frame;
  Violation problem;
  const Framing framing = next_frame(packet, packet.size(), frame, problem);
  VERGE_ASSERT(framing == Framing::kFrame);
  return frame;
}

// After so many matches with subscriptions a client is read no further until others had their turn: less than a
// millisecond.
constexpr uint64_t kTurnMatchesMax = 512;

bool asks_for_durability(const Properties& properties) {
  return std::ranges::any_of(properties.user,
                             [](const UserProperty& each) { return each.first == kDurabilityProperty; });
}

}  // namespace

Connection::Connection(Broker& broker, runtime::Loop& loop, net::Socket socket, uint64_t serial)
    : broker_(broker),
      loop_(loop),
      serial_(serial),
      stream_(loop, std::move(socket), *this),
      last_received_(loop.now()),
      silence_max_(broker.limits_.connect_timeout) {}

Connection::~Connection() {
  loop_.forget_turn_end(*this);
  broker_.count_input(input_bytes_, 0);
}

void Connection::on_bytes(std::string_view bytes) {
  broker_.counters_.received_bytes.add(bytes.size());
  // Until CONNECT the time counts from the start, however slowly it comes.
  if (session_ != nullptr) last_received_ = loop_.now();
  bytes = input_.begin(bytes);
  taking_input_ = true;
  const uint64_t matched = broker_.matched_;
  while (stream_.is_open() && !is_held()) {
    Frame frame;
    Violation problem;
    const size_t before = bytes.size();
    const Framing framing = next_frame(bytes, broker_.limits_.packet_bytes_max, frame, problem);
    if (framing == Framing::kNeedMore) break;
    if (framing == Framing::kViolation) {
      violation(problem);
      break;
    }
    const uint64_t crowded = broker_.passages_.crowded();
    if (!take_frame(frame, bytes)) break;
    keep_pace(frame.type, before - bytes.size());
    if (broker_.passages_.crowded() != crowded) hold_until_room();
    hold_while_output_waits();
    if (broker_.matched_ - matched >= kTurnMatchesMax && !bytes.empty()) end_turn();
  }
  taking_input_ = false;
  if (!stream_.is_open()) return;
  send_ready_acks();
  keep_input(bytes);
}

void Connection::keep_input(std::string_view rest) {
  input_.keep(rest);
  if (count_input()) return;
  input_.keep({});
  aliases_.clear();
  alias_bytes_ = 0;
  count_input();
  disconnect(Reason::kQuotaExceeded, /*with_will=*/true, "too much is held of packets that are not whole");
}

bool Connection::count_input() {
  const size_t now = input_.kept_bytes() + alias_bytes_;
  return broker_.count_input(std::exchange(input_bytes_, now), now);
}

void Connection::on_closed(std::string_view reason) {
  log_debug("mqtt", "{} lost client '{}': {}", stream_.peer().text(), session_ ? session_->client_id() : "", reason);
  finish(/*with_will=*/true);
}

void Connection::on_drained() {
  if (session_ == nullptr) return;
  session_->resume_queue(broker_.limits_, loop_.now(), stream_.output());
  broker_.record_done(*session_);
  broker_.send_retained(*session_);
  go_on();
}

bool Connection::is_held() const {
  return paused_ || output_waits_ || awaits_room_ || is_too_fast_ || had_its_turn_ || authenticating_ ||
         answers_awaited_ >= broker_.limits_.answers_max || broker_.stopped_;
}

void Connection::hold_while_too_many() {
  if (!has_too_many_pending()) return;
  send_ready_acks();
  if (!has_too_many_pending()) return;
  paused_ = true;
  hold();
}

void Connection::hold() {
  held_ = true;
  stream_.pause_reading();
}

void Connection::hold_while_output_waits() {
  if (!stream_.is_open() || stream_.queued_bytes() <= broker_.limits_.queue_bytes_max) return;
  output_waits_ = true;
  hold();
  // Most of it may be no more than what this turn has yet to write.
  loop_.at_turn_end(*this);
}

void Connection::hold_until_room() {
  if (!stream_.is_open()) return;
  awaits_room_ = true;
  hold();
  broker_.await_room(*this);
}

// Of one that publishes to many overlapping subscriptions, what was read at once would keep its loop for long.
void Connection::end_turn() {
  if (!stream_.is_open()) return;
  had_its_turn_ = true;
  hold();
  broker_.await_turn(*this);
}

void Connection::has_its_turn() {
  had_its_turn_ = false;
  go_on();
}

void Connection::has_room_again() {
  awaits_room_ = false;
  go_on();
}

void Connection::keep_pace(PacketType type, size_t bytes) {
  const Rates& rates = broker_.rates_;
  const MonotonicTime now = loop_.now();
  const uint64_t messages = type == PacketType::kPublish ? 1 : 0;
  message_pace_.take(messages, rates.client.messages, now);
  byte_pace_.take(bytes, rates.client.bytes, now);
  broker_.message_pace_.take(messages, rates.total.messages, now);
  broker_.byte_pace_.take(bytes, rates.total.bytes, now);
  if (!stream_.is_open()) return;
  const MonotonicTime own = std::max(message_pace_.due(), byte_pace_.due());
  if (own > now && rates.client_policy == Rates::Policy::kDisconnect) {
    broker_.counters_.rate_closed.add();
    return disconnect(Reason::kMessageRateTooHigh, /*with_will=*/true, "it sends more in a second than it may");
  }
  const MonotonicTime due = std::max({own, broker_.message_pace_.due(), broker_.byte_pace_.due()});
  if (due <= now) return;
  is_too_fast_ = true;
  hold();
  broker_.await_pace(*this, due);
}

void Connection::may_send_again() {
  is_too_fast_ = false;
  go_on();
}

void Connection::on_turn_end() { go_on(); }

// Reads on where nothing forbids it any more.
void Connection::go_on() {
  if (!stream_.is_open() || !held_) return;
  if (stream_.queued_bytes() <= broker_.limits_.queue_bytes_max) output_waits_ = false;
  if (!has_too_many_pending(/*share=*/2)) paused_ = false;
  if (is_held()) return;
  held_ = false;
  stream_.resume_reading();
  on_bytes({});
}

bool Connection::take_frame(const Frame& frame, std::string_view rest) {
  if (session_ == nullptr) {
    if (enhanced_ && frame.type == PacketType::kAuth) return take_auth(frame);
    if (enhanced_ && frame.type == PacketType::kDisconnect) {
      stream_.close_when_drained();
      finish(/*with_will=*/false);
      return false;
    }
    if (frame.type == PacketType::kConnect && !enhanced_) return take_connect(frame, rest);
    return violation({Reason::kProtocolError, "the first packet is not CONNECT"});
  }
  switch (frame.type) {
    case PacketType::kPublish:
      return take_publish(frame);
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return take_acknowledgement(frame);
    case PacketType::kSubscribe:
      return take_subscribe(frame);
    case PacketType::kUnsubscribe:
      return take_unsubscribe(frame);
    case PacketType::kPingreq:
      if (!frame.body.empty()) return violation({Reason::kMalformedPacket, "PINGREQ has a body"});
      append_ping(stream_.output(), PacketType::kPingresp);
      return true;
    case PacketType::kDisconnect:
      return take_disconnect(frame);
    case PacketType::kAuth:
      return take_auth(frame);
    case PacketType::kConnect:
      return violation({Reason::kProtocolError, "a second CONNECT"});
    default:
      return violation({Reason::kProtocolError, "a packet that only servers send"});
  }
}

bool Connection::take_connect(const Frame& frame, std::string_view rest) {
  const Parsed<Connect> parsed = parse_connect(frame);
  if (!parsed) {
    broker_.counters_.violations.add();
    // "MQTT" with its length, then the version: where that is 5, so is the answer.
    const bool is_5 = frame.body.size() > 6 && frame.body[6] == 5;
    refuse_connect(is_5 ? Version::k5 : Version::k311, parsed.error().reason, parsed.error().what);
    return false;
  }
  const Connect& connect = *parsed;
  version_ = connect.version;
  packet_bytes_max_ = connect.properties.maximum_packet_size.value_or(0);
  takes_problems_ = connect.properties.request_problem_information.value_or(1) != 0;  // [MQTT-3.1.2-29]
  if (connect.client_id.empty() && version_ == Version::k311 && !connect.clean_start) {
    refuse_connect(version_, Reason::kClientIdentifierNotValid, "an empty client id with a kept session");
    return false;
  }
  if (connect.client_id.size() > broker_.limits_.client_id_bytes_max) {
    refuse_connect(version_, Reason::kClientIdentifierNotValid, "the client id is too long to name a device");
    return false;
  }
  if (connect.client_id.starts_with(kBridgeClients) != is_bridge_) {
    refuse_connect(version_, Reason::kClientIdentifierNotValid, "a client id that only bridges have");
    return false;
  }
  if (is_bridge_) return accept_connect(connect, {});
  if (connect.will && is_reserved_topic(connect.will->topic)) {
    refuse_connect(version_, Reason::kTopicNameInvalid, "a will on a topic of the node's own");
    return false;
  }
  Broker& home = connect.client_id.empty() ? broker_ : broker_.home_of(connect.client_id);
  if (&home != &broker_) {
    // The rest of the input goes along: the other loop starts over at CONNECT.
    std::string bytes;
    append_connect(bytes, connect);
    bytes.append(rest);
    auto moving = std::make_shared<net::Socket>(stream_.release());
    home.loop().post([&home, moving, bytes = std::move(bytes)] { home.adopt(std::move(*moving), bytes); });
    finish(/*with_will=*/false);
    return false;
  }
  if (connect.properties.authentication_method) return begin_exchange(connect);
  if (broker_.certificate_users_ && stream_.peer_is_verified()) {
    const std::string user = stream_.peer_alternative_name();
    if (!user.empty()) return accept_connect(connect, user);
    refuse_connect(version_, Reason::kNotAuthorized, "its certificate names nobody");
    return false;
  }
  return broker_.authenticator_ ? authenticate(connect) : accept_connect(connect, {});
}

bool Connection::begin_exchange(const Connect& connect) {
  const std::string_view method = connect.properties.authentication_method.value_or(std::string_view());
  auto exchange = broker_.authenticator_ ? broker_.authenticator_->begin(method) : nullptr;
  if (!exchange) {
    refuse_connect(version_, Reason::kBadAuthenticationMethod, "its method of authentication is not offered");
    return false;
  }
  enhanced_ = std::make_unique<Enhanced>(std::string(method), std::move(exchange));
  append_connect(connect_, connect);
  if (connect.properties.authentication_exchange) {
    return go_on_with_exchange(*connect.properties.authentication_exchange);
  }
  append_auth(stream_.output(),
              {.reason = Reason::kContinueAuthentication, .method = enhanced_->method, .exchange = {}});
  return true;
}

bool Connection::take_auth(const Frame& frame) {
  const Parsed<Auth> auth = parse_auth(frame, version_);
  if (!auth) return violation(auth.error());
  if (!enhanced_) return violation({Reason::kProtocolError, "AUTH, and its CONNECT named no method"});
  if (auth->method != enhanced_->method) {
    return violation({Reason::kBadAuthenticationMethod, "another method than that of its CONNECT"});
  }
  const bool is_under_way = enhanced_->exchange != nullptr;
  if (auth->reason == Reason::kReauthenticate && session_ != nullptr && !is_under_way) {
    enhanced_->exchange = broker_.authenticator_ ? broker_.authenticator_->begin(auth->method) : nullptr;
    if (!enhanced_->exchange) {
      return violation({Reason::kBadAuthenticationMethod, "its method of authentication is not offered any more"});
    }
  } else if (auth->reason != Reason::kContinueAuthentication || !is_under_way) {
    return violation({Reason::kProtocolError, "AUTH that nothing asked for"});
  }
  return go_on_with_exchange(auth->exchange);
}

bool Connection::go_on_with_exchange(std::string_view said) {
  const std::string answer = enhanced_->exchange->take(said);
  switch (enhanced_->exchange->state()) {
    case AuthenticationExchange::State::kGoesOn:
      append_auth(stream_.output(),
                  {.reason = Reason::kContinueAuthentication, .method = enhanced_->method, .exchange = answer});
      return true;
    case AuthenticationExchange::State::kDone:
      return end_exchange(answer);
    case AuthenticationExchange::State::kFailed:
      break;
  }
  constexpr std::string_view kWhat = "it did not prove who it is";
  if (session_ == nullptr) {
    refuse_connect(version_, Reason::kBadUserNameOrPassword, kWhat);
  } else {
    disconnect(Reason::kNotAuthorized, /*with_will=*/true, kWhat);
  }
  return false;
}

bool Connection::end_exchange(std::string_view answer) {
  const std::unique_ptr<AuthenticationExchange> exchange = std::move(enhanced_->exchange);
  if (session_ != nullptr) {
    if (session_->user != exchange->user()) {
      disconnect(Reason::kNotAuthorized, /*with_will=*/true, "it would be another user from now on");
      return false;
    }
    append_auth(stream_.output(), {.reason = Reason::kSuccess, .method = enhanced_->method, .exchange = answer});
    return true;
  }
  const std::string packet = std::exchange(connect_, {});
  const Parsed<Connect> connect = parse_connect(whole_frame(packet));
  VERGE_ASSERT(connect.has_value());
  return accept_connect(*connect, exchange->user(), answer);
}

bool Connection::authenticate(const Connect& connect) {
  if (!connect.user_name || connect.user_name->empty()) {
    if (broker_.authenticator_->admits_anonymous(stream_.peer())) return accept_connect(connect, {});
    refuse_connect(version_, Reason::kNotAuthorized, "it gives no user name");
    return false;
  }
  append_connect(connect_, connect);
  authenticating_ = true;
  hold();
  broker_.authenticator_->check(
      std::string(*connect.user_name), std::string(connect.password.value_or(std::string_view())), loop_,
      [&broker = broker_, serial = serial_](bool is_right) { broker.authenticated(serial, is_right); });
  return true;
}

void Connection::authenticated(bool is_right) {
  if (!stream_.is_open() || !std::exchange(authenticating_, false)) return;
  const std::string packet = std::exchange(connect_, {});
  if (!is_right) {
    return refuse_connect(version_, Reason::kBadUserNameOrPassword, "the user name or password is wrong");
  }
  const Parsed<Connect> connect = parse_connect(whole_frame(packet));
  VERGE_ASSERT(connect.has_value());
  if (accept_connect(*connect, connect->user_name.value_or(std::string_view()))) go_on();
}

bool Connection::accept_connect(const Connect& connect, std::string_view user, std::string_view proof) {
  const Identity identity{.user = user, .client_id = connect.client_id};
  if (connect.will && !broker_.access_->may_publish(identity, connect.will->topic)) {
    refuse_connect(version_, Reason::kNotAuthorized, "a will on a topic that the client may not publish to");
    return false;
  }
  const bool has_users = broker_.authenticator_ || broker_.certificate_users_;
  if (has_users && broker_.is_of_another(connect.client_id, user)) {
    refuse_connect(version_, Reason::kNotAuthorized, "the client id has a session of another user");
    return false;
  }
  if (!broker_.has_room_for_session(connect.client_id)) {
    refuse_connect(version_, Reason::kQuotaExceeded, "there are too many sessions");
    return false;
  }
  std::string assigned;
  Connect accepted = connect;
  if (accepted.client_id.empty()) {
    assigned = broker_.new_client_id();
    accepted.client_id = assigned;
  }
  Connack connack;
  if (enhanced_) {
    connack.properties.authentication_method = enhanced_->method;
    if (!proof.empty()) connack.properties.authentication_exchange = proof;
  }
  uint16_t keep_alive_s = connect.keep_alive_s;
  if (version_ == Version::k5) {
    const auto most = std::chrono::duration_cast<std::chrono::seconds>(broker_.limits_.keep_alive_max).count();
    if (most > 0 && !is_bridge_ && (keep_alive_s == 0 || keep_alive_s > most))
      keep_alive_s = static_cast<uint16_t>(most);
    if (!assigned.empty()) connack.properties.assigned_client_id = assigned;
    connack.properties.receive_maximum = static_cast<uint16_t>(std::min<size_t>(broker_.limits_.pending_max, 65535));
    connack.properties.maximum_packet_size = static_cast<uint32_t>(broker_.limits_.packet_bytes_max);
    if (broker_.limits_.topic_aliases_max > 0) {
      connack.properties.topic_alias_maximum = static_cast<uint16_t>(broker_.limits_.topic_aliases_max);
    }
    if (keep_alive_s != connect.keep_alive_s) connack.properties.server_keep_alive_s = keep_alive_s;
    const auto expiry_max =
        std::chrono::duration_cast<std::chrono::seconds>(broker_.limits_.session_expiry_max).count();
    if (connect.properties.session_expiry_s.value_or(0) > static_cast<uint64_t>(expiry_max)) {
      connack.properties.session_expiry_s = static_cast<uint32_t>(expiry_max);
    }
  }
  std::string answer;
  append_connack(answer, connack, version_);
  if (!fits(answer.size())) {  // [MQTT-3.1.2-24]
    refuse_connect(version_, Reason::kPacketTooLarge, "the client's maximum packet size is below that of CONNACK");
    return false;
  }
  session_ = &broker_.open_session(accepted, user, *this, connack.session_present);
  last_received_ = loop_.now();
  silence_max_ = std::chrono::milliseconds(keep_alive_s * 1500);
  keep_will(connect);
  broker_.record_will(*session_, will_.get(), will_delay_, will_expiry_);
  append_connack(stream_.output(), connack, version_);
  session_->resume(broker_.limits_, loop_.now(), stream_.output());
  // The disk may have failed when they were to be recorded first.
  for (const uint64_t number : session_->unrecorded()) broker_.record_received(*session_, number);
  broker_.counters_.dropped.add(session_->take_dropped());
  broker_.record_done(*session_);
  broker_.send_retained(*session_);
  return true;
}

void Connection::keep_will(const Connect& connect) {
  session_expiry_s_ = connect.properties.session_expiry_s.value_or(0);
  if (!connect.will) return;
  will_ = std::make_unique<Message>(Message{.topic = std::string(connect.will->topic),
                                            .payload = Payload(connect.will->payload),
                                            .qos = connect.will->qos,
                                            .retain = connect.will->retain});
  Properties forwarded = connect.will->properties;
  if (forwarded.will_delay_s) will_delay_ = std::chrono::seconds(*forwarded.will_delay_s);
  if (forwarded.message_expiry_s) will_expiry_ = std::chrono::seconds(*forwarded.message_expiry_s);
  forwarded.will_delay_s.reset();
  forwarded.message_expiry_s.reset();
  append_properties(will_->properties, forwarded);
}

bool Connection::take_publish(const Frame& frame) {
  Parsed<Publish> publish = parse_publish(frame, version_);
  if (!publish) return violation(publish.error());
  if (const auto alias = publish->properties.topic_alias; alias && !resolve_alias(*alias, *publish)) return false;
  if (!publish->properties.subscription_identifiers.empty()) {
    return violation({Reason::kProtocolError, "a client does not send subscription identifiers"});
  }
  // With a number that is none a repetition would be stored twice, and nobody would know.
  const bool is_badly_numbered = !sequence_of(publish->properties).has_value();
  const bool asks_for_twin = is_reserved_topic(publish->topic) && twin_request_of(publish->topic).has_value();
  const bool forbidden = (is_reserved_topic(publish->topic) && !asks_for_twin) || is_badly_numbered ||
                         (!is_bridge_ && !broker_.access_->may_publish(session_->identity(), publish->topic));
  if (forbidden) broker_.counters_.forbidden.add();
  if (publish->qos == 0) {
    if (forbidden) return true;
    bool commits = false;
    broker_.take_publish(*this, *publish, {}, commits);
    return stream_.is_open();
  }
  const PacketType type = publish->qos == 1 ? PacketType::kPuback : PacketType::kPubrec;
  const std::optional<PacketType> last = publish->qos == 2 ? last_pending(publish->packet_id) : std::nullopt;
  // Behind a PUBREL whose PUBCOMP is still to come, the identifier names another message.
  const Receipts::State receipt =
      publish->qos == 2 && !last ? session_->receipts.state(publish->packet_id) : Receipts::State::kNone;
  const bool is_repeated = last == PacketType::kPubrec || receipt != Receipts::State::kNone;
  if (!is_repeated && ++unfinished_ > broker_.limits_.pending_max && version_ == Version::k5) {
    return violation({Reason::kReceiveMaximumExceeded, "more publishes at once than the receive maximum allows"});
  }
  if (forbidden) {
    // 3.1.1 cannot say no; there the message is dropped as [MQTT-3.3.5-2] allows.
    if (type == PacketType::kPubrec && version_ == Version::k311) {
      session_->receipts.begin(publish->packet_id, {});
      session_->receipts.settle(publish->packet_id, {}, /*kept=*/true);
    }
    acks_.push_back({.packet_id = publish->packet_id,
                     .type = type,
                     .waits = 0,
                     .reason = is_badly_numbered         ? Reason::kImplementationSpecific
                               : version_ == Version::k5 ? Reason::kNotAuthorized
                                                         : Reason::kSuccess,
                     .bytes = 0});
    hold_while_too_many();
    return true;
  }
  if (last == PacketType::kPubrec) return true;  // repeated before its PUBREC, which is still to come
  const bool is_new = receipt == Receipts::State::kNone;
  // Those of earlier connections of the session among them.
  if (is_new && publish->qos == 2 && session_->receipts.awaited() >= 2 * broker_.limits_.pending_max) {
    disconnect(Reason::kQuotaExceeded, /*with_will=*/true, "too many of its publishes at QoS 2 are not durable yet");
    return false;
  }
  const AckTicket ticket{broker_.shard(), serial_, first_ack_ + acks_.size()};
  acks_.push_back({.packet_id = publish->packet_id,
                   .type = type,
                   .waits = 1,
                   .reason = Reason::kSuccess,
                   .bytes = static_cast<uint32_t>(frame.body.size())});
  pending_bytes_ += frame.body.size();
  if (receipt == Receipts::State::kAwaited) session_->receipts.repeat(publish->packet_id, ticket);
  if (publish->qos == 2 && is_new) session_->receipts.begin(publish->packet_id, ticket);
  Verdict verdict = receipt == Receipts::State::kAwaited ? Verdict::kPending : Verdict::kAccepted;
  bool commits = false;
  if (is_new) {
    acks_.back().waits = 2;  // for the node's word, and for what is made durable of it
    verdict = broker_.take_publish(*this, *publish, ticket, commits);
    // What the broker found last is this topic's.
    if (version_ == Version::k5 && !asks_for_twin && broker_.matches_.empty() && stream_.is_open()) {
      acks_.back().reason = Reason::kNoMatchingSubscribers;
    }
    if (takes_problems_ && asks_for_durability(publish->properties) && stream_.is_open()) {
      acks_.back().durability = commits || verdict == Verdict::kPending ? kLocal : kNone;
    }
    if (!commits) settle_publish(ticket);
  }
  if (verdict == Verdict::kAccepted) settle_publish(ticket);
  if (!stream_.is_open()) return false;
  hold_while_too_many();
  return true;
}

bool Connection::resolve_alias(size_t alias, Publish& publish) {
  if (alias == 0 || alias > broker_.limits_.topic_aliases_max) {
    return violation({Reason::kTopicAliasInvalid, "the topic alias is 0 or above the maximum"});
  }
  if (!publish.topic.empty()) {
    if (aliases_.size() < alias) aliases_.resize(alias);
    std::string& topic = aliases_[alias - 1];
    alias_bytes_ += publish.topic.size() - topic.size();
    topic = publish.topic;
    return true;
  }
  if (alias > aliases_.size() || aliases_[alias - 1].empty()) {
    return violation({Reason::kProtocolError, "a topic alias that stands for no topic"});
  }
  publish.topic = aliases_[alias - 1];
  return true;
}

// What need not be waited for.
void Connection::settle_publish(const AckTicket& ticket) {
  if (!stream_.is_open()) return broker_.acknowledge(ticket, Reason::kSuccess);  // the session may wait for it
  PendingAck& pending = acks_[ticket.number - first_ack_];
  if (--pending.waits == 0 && pending.type == PacketType::kPubrec) {
    session_->receipts.settle(pending.packet_id, ticket, /*kept=*/!is_failure(pending.reason));
  }
}

std::pair<uint8_t, Reason> Connection::answers_to_come(uint64_t number) const {
  if (number < first_ack_ || number - first_ack_ >= acks_.size()) return {1, Reason::kSuccess};
  const PendingAck& pending = acks_[number - first_ack_];
  return {std::max<uint8_t>(pending.waits, 1), pending.reason};
}

void Connection::release(uint64_t number) {
  append_acknowledgement(stream_.output(), PacketType::kPubrel, {packet_id_of(number), Reason::kSuccess}, version_);
}

std::optional<PacketType> Connection::last_pending(uint16_t packet_id) const {
  for (const PendingAck& pending : std::views::reverse(acks_)) {
    if (pending.packet_id == packet_id && pending.type != PacketType::kPuback) return pending.type;
  }
  return std::nullopt;
}

bool Connection::awaits_pubrec(uint16_t packet_id) const {
  return std::ranges::any_of(acks_, [&](const PendingAck& pending) {
    return pending.packet_id == packet_id && pending.type == PacketType::kPubrec;
  });
}

void Connection::acknowledge(uint64_t number, Reason reason, bool at_parent) {
  if (number < first_ack_ || number - first_ack_ >= acks_.size()) return;
  PendingAck& pending = acks_[number - first_ack_];
  if (at_parent && !pending.durability.empty()) pending.durability = kParent;
  if (is_failure(reason)) pending.reason = reason;
  if (pending.waits == 0 || --pending.waits > 0) return;
  reason = pending.reason;
  if (pending.type == PacketType::kPubcomp && is_failure(reason)) {
    // It has no such reason; the client releases again on its next connection.
    return disconnect(reason, /*with_will=*/true, "a release cannot be made durable");
  }
  if (pending.type == PacketType::kPubrec) {
    if (is_failure(reason)) broker_.record_refusal(*session_, pending.packet_id);
    session_->receipts.settle(pending.packet_id, {broker_.shard(), serial_, number}, !is_failure(reason));
  }
  if (version_ == Version::k311 && is_failure(reason)) {
    // 3.1.1 cannot say no to a publish: without its acknowledgement the client sends it again later.
    return disconnect(reason, /*with_will=*/true, "a publish cannot be stored");
  }
  if (taking_input_) return;
  send_ready_acks();
  if (paused_) go_on();
}

void Connection::send_ready_acks() {
  while (!acks_.empty() && acks_.front().waits == 0) {
    PendingAck& pending = acks_.front();
    // A PUBREC behind it is for another message of the identifier, whose receipt that is now.
    if (pending.type == PacketType::kPubcomp && !awaits_pubrec(pending.packet_id) &&
        !session_->receipts.release(pending.packet_id)) {
      pending.reason = Reason::kPacketIdentifierNotFound;
    }
    // Left out where the client takes no packet so long [MQTT-3.4.2-3] [MQTT-3.5.2-3].
    const bool tells = !is_failure(pending.reason) && fits(kToldBytesMax);
    send_acknowledgement(pending.type, {.packet_id = pending.packet_id,
                                        .reason = pending.reason,
                                        .durability = tells ? pending.durability : std::string_view()});
    pending_bytes_ -= pending.bytes;
    acks_.pop_front();
    ++first_ack_;
  }
}

void Connection::send_acknowledgement(PacketType type, const Acknowledgement& acknowledgement) {
  const bool is_end = type != PacketType::kPubrec || is_failure(acknowledgement.reason);
  if (is_end && unfinished_ > 0) --unfinished_;
  append_acknowledgement(stream_.output(), type, acknowledgement, version_);
}

// More than the limits divided by `share`.
bool Connection::has_too_many_pending(size_t share) const {
  return acks_.size() >= broker_.limits_.pending_max / share ||
         (pending_bytes_ >= broker_.limits_.pending_bytes_max / share && !acks_.empty());
}

bool Connection::take_acknowledgement(const Frame& frame) {
  const Parsed<Acknowledgement> acknowledgement = parse_acknowledgement(frame, version_);
  if (!acknowledgement) return violation(acknowledgement.error());
  switch (frame.type) {
    case PacketType::kPubrec:
      if (!is_failure(acknowledgement->reason)) {
        const uint64_t number = session_->number_of(acknowledgement->packet_id);
        const Session::Receipt receipt = session_->note_received(acknowledgement->packet_id);
        if (receipt == Session::Receipt::kRecord) {
          broker_.record_received(*session_, number);
        } else {
          const bool known = receipt == Session::Receipt::kRelease;
          append_acknowledgement(
              stream_.output(), PacketType::kPubrel,
              {acknowledgement->packet_id, known ? Reason::kSuccess : Reason::kPacketIdentifierNotFound}, version_);
        }
        return true;
      }
      [[fallthrough]];
    case PacketType::kPuback:
    case PacketType::kPubcomp:
      session_->acknowledge(frame.type, acknowledgement->packet_id, broker_.limits_, loop_.now(), stream_.output());
      broker_.record_done(*session_);
      broker_.send_retained(*session_);
      return true;
    case PacketType::kPubrel: {
      const bool is_durable = session_->durable_name() != 0;
      if (const auto last = last_pending(acknowledgement->packet_id)) {
        // A release that could be recorded before what it releases: the client repeats it.
        if (is_durable) return true;
        // Its PUBREC has not gone out yet: PUBCOMP follows that.
        if (*last == PacketType::kPubrec) {
          acks_.push_back({.packet_id = acknowledgement->packet_id,
                           .type = PacketType::kPubcomp,
                           .waits = 0,
                           .reason = Reason::kSuccess,
                           .bytes = 0});
          hold_while_too_many();
        }
        return true;
      }
      if (is_durable && session_->receipts.state(acknowledgement->packet_id) == Receipts::State::kKept) {
        const AckTicket ticket{broker_.shard(), serial_, first_ack_ + acks_.size()};
        acks_.push_back({.packet_id = acknowledgement->packet_id,
                         .type = PacketType::kPubcomp,
                         .waits = 1,
                         .reason = Reason::kSuccess,
                         .bytes = 0});
        broker_.record_release(*session_, acknowledgement->packet_id, ticket);
        hold_while_too_many();
        return true;
      }
      const bool known = session_->receipts.release(acknowledgement->packet_id);
      send_acknowledgement(PacketType::kPubcomp,
                           {.packet_id = acknowledgement->packet_id,
                            .reason = known ? Reason::kSuccess : Reason::kPacketIdentifierNotFound});
      return true;
    }
    default:
      return false;  // no other type comes here
  }
}

bool Connection::take_subscribe(const Frame& frame) {
  const Parsed<Subscribe> subscribe = parse_subscribe(frame, version_);
  if (!subscribe) return violation(subscribe.error());
  const bool asks_for_both = std::ranges::any_of(subscribe->requests, [](const SubscriptionRequest& request) {
    return request.options.no_local && is_shared_filter(request.filter);
  });
  if (asks_for_both)
    return violation({Reason::kProtocolError, "no local with a shared subscription"});  // [MQTT-3.8.3-4]
  ++answers_awaited_;
  broker_.subscribe(*this, *subscribe);
  if (is_held()) hold();
  return stream_.is_open();
}

void Connection::answer(PacketType type, const Suback& answer) {
  std::string packet;
  append_suback(packet, type, answer, version_);
  if (!fits(packet.size())) {
    disconnect(Reason::kPacketTooLarge, /*with_will=*/true, "the answer is larger than the client's maximum");
    return;
  }
  stream_.write(packet);
  --answers_awaited_;
  if (!taking_input_ && answers_awaited_ <= broker_.limits_.answers_max / 2) go_on();
}

bool Connection::take_unsubscribe(const Frame& frame) {
  const Parsed<Unsubscribe> unsubscribe = parse_unsubscribe(frame, version_);
  if (!unsubscribe) return violation(unsubscribe.error());
  ++answers_awaited_;
  broker_.unsubscribe(*this, *unsubscribe);
  if (is_held()) hold();
  return stream_.is_open();
}

bool Connection::take_disconnect(const Frame& frame) {
  const Parsed<Disconnect> parsed = parse_disconnect(frame, version_);
  if (!parsed) return violation(parsed.error());
  const Disconnect& request = *parsed;
  if (request.session_expiry_s) {
    if (session_expiry_s_ == 0 && *request.session_expiry_s != 0) {
      return violation({Reason::kProtocolError, "a session that was to end cannot be kept"});  // [MQTT-3.14.2-2]
    }
    session_->set_expiry(
        std::min<Duration>(std::chrono::seconds(*request.session_expiry_s), broker_.limits_.session_expiry_max));
  }
  stream_.close_when_drained();
  finish(/*with_will=*/request.reason == Reason::kDisconnectWithWill);
  return false;
}

bool Connection::violation(const Violation& problem) {
  broker_.counters_.violations.add();
  disconnect(problem.reason, /*with_will=*/true, problem.what);
  return false;
}

void Connection::disconnect(Reason reason, bool with_will, std::string_view what) {
  if (!stream_.is_open()) return;
  log_debug("mqtt", "closing {} (client '{}'): {}", stream_.peer().text(), session_ ? session_->client_id() : "", what);
  if (session_ != nullptr && version_ == Version::k5) {
    std::string packet;
    append_disconnect(packet, reason, version_, what);
    if (!fits(packet.size())) {
      packet.clear();
      append_disconnect(packet, reason, version_);
    }
    stream_.write(packet);
  }
  stream_.close_when_heard();
  finish(with_will);
}

// 3.1.1 section 3.2.2.3 has five codes of its own.
void Connection::refuse_connect(Version version, Reason reason, std::string_view what) {
  log_debug("mqtt", "refusing {}: {}", stream_.peer().text(), what);
  broker_.counters_.connections_refused.add();
  uint8_t code = static_cast<uint8_t>(reason);
  if (version == Version::k311) {
    code = reason == Reason::kUnsupportedProtocolVersion ? 1
           : reason == Reason::kClientIdentifierNotValid ? 2
           : reason == Reason::kQuotaExceeded            ? 3
           : reason == Reason::kBadUserNameOrPassword    ? 4
           : reason == Reason::kNotAuthorized            ? 5
                                                         : 0;
  }
  std::string packet;
  if (code != 0) append_connack(packet, {.reason = static_cast<Reason>(code)}, version);
  if (fits(packet.size())) stream_.write(packet);
  stream_.close_when_heard();
  finish(/*with_will=*/false);
}

void Connection::check_deadline(MonotonicTime now) {
  // While its output waits the client is not heard, but seen to take it, or not.
  if (output_waits_ && stream_.sent_bytes() != std::exchange(sent_when_looked_, stream_.sent_bytes())) {
    last_received_ = now;
  }
  if (silence_max_ == Duration(0) || paused_ || awaits_room_ || is_too_fast_ || now - last_received_ <= silence_max_)
    return;
  if (session_ == nullptr) {
    stream_.close();
    finish(false);
  } else {
    disconnect(Reason::kKeepAliveTimeout, /*with_will=*/true, "no packet within one and a half keep-alive periods");
  }
}

void Connection::finish(bool with_will) {
  if (!with_will) will_.reset();
  broker_.connection_ended(*this);
}

}  // namespace verge::mqtt
