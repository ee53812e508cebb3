#include "mqtt/session_image.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/bytes.h"

namespace verge::mqtt {
namespace {

enum class Kind : uint8_t {
  kOpened = 1,
  kLeft = 2,
  kEnded = 3,
  kSubscribed = 4,
  kUnsubscribed = 5,
  kPublished = 6,
  kReceived = 7,
  kDone = 8,
  kReleased = 9,
  kWill = 10,
  kWillGone = 11,
  kRetained = 12,
};

constexpr uint8_t kQosBits = 3;
constexpr uint8_t kRetain = 4;
constexpr uint8_t kNoLocal = 4;
constexpr uint8_t kRetainAsPublished = 8;
constexpr uint32_t kNoExpiry = UINT32_MAX;

void append_kind(std::string& batch, Kind kind) { append_fixed(batch, static_cast<uint8_t>(kind)); }
void append_named(std::string& batch, Kind kind, uint64_t session) {
  append_kind(batch, kind);
  append_fixed(batch, session);
}

int64_t microseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// 0: never.
int64_t wall_of(MonotonicTime time, const Clocks& clocks) {
  if (time == MonotonicTime::max()) return 0;
  return clocks.wall_us + microseconds(time - clocks.monotonic);
}

MonotonicTime monotonic_of(int64_t wall_us, const Clocks& clocks) {
  if (wall_us == 0) return MonotonicTime::max();
  // Decades on either side are as good as ever: bytes that a disk changed may say anything.
  constexpr int64_t kFar = 1'000'000'000'000'000;
  int64_t away = 0;
  if (__builtin_sub_overflow(wall_us, clocks.wall_us, &away)) away = wall_us < 0 ? -kFar : kFar;
  if (away >= kFar) return MonotonicTime::max();
  return clocks.monotonic + std::chrono::microseconds(std::max(away, -kFar));
}

void append_texts(std::string& batch, const Message& message) {
  append_sized(batch, message.topic);
  append_sized(batch, message.properties);
  append_sized(batch, message.payload.view());
}

uint8_t flags_of(const Message& message) { return static_cast<uint8_t>(message.qos | (message.retain ? kRetain : 0)); }

void set_flags(Message& message, uint8_t flags) {
  message.qos = flags & kQosBits;
  message.retain = (flags & kRetain) != 0;
}

void read_texts(ByteReader& in, Message& message) {
  message.topic = in.sized();
  message.properties = in.sized();
  message.payload = Payload(in.sized());
}

StoredWill read_will(ByteReader& in) {
  StoredWill will{.message = {.topic = {}, .properties = {}}};
  will.delay_s = in.fixed<uint32_t>();
  if (const auto expiry_s = in.fixed<uint32_t>(); expiry_s != kNoExpiry) will.expiry_s = expiry_s;
  set_flags(will.message, in.fixed<uint8_t>());
  read_texts(in, will.message);
  return will;
}

Message read_retained(ByteReader& in, const Clocks& clocks) {
  Message message{.topic = {}, .properties = {}};
  set_flags(message, in.fixed<uint8_t>());
  message.received = clocks.monotonic;
  message.expires = monotonic_of(static_cast<int64_t>(in.fixed<uint64_t>()), clocks);
  read_texts(in, message);
  return message;
}

struct Published {
  Message message;
  uint64_t receipt_session = 0;
  uint16_t receipt = 0;
  std::vector<StoredTarget> targets;
};

// `with_message`: also the texts of the message.
std::optional<Published> read_published(ByteReader& in, bool with_message, const Clocks& clocks) {
  Published read;
  read.receipt_session = in.fixed<uint64_t>();
  read.receipt = in.fixed<uint16_t>();
  const auto flags = in.fixed<uint8_t>();
  const auto expires_us = static_cast<int64_t>(in.fixed<uint64_t>());
  const std::string_view topic = in.sized();
  const std::string_view properties = in.sized();
  const std::string_view payload = in.sized();
  if (with_message) {
    read.message.topic = topic;
    read.message.properties = properties;
    read.message.payload = Payload(payload);
    set_flags(read.message, flags);
    read.message.received = clocks.monotonic;
    read.message.expires = monotonic_of(expires_us, clocks);
  }
  for (uint64_t left = in.varint(); left > 0 && in.ok(); --left) {
    StoredTarget& target = read.targets.emplace_back();
    target.session = in.fixed<uint64_t>();
    target.number = in.varint();
    const auto how = in.fixed<uint8_t>();
    target.qos = how & kQosBits;
    target.retain = (how & kRetain) != 0;
    for (uint64_t identifiers = in.varint(); identifiers > 0 && in.ok(); --identifiers) {
      target.identifiers.push_back(static_cast<uint32_t>(in.varint()));
    }
  }
  return in.ok() ? std::optional(std::move(read)) : std::nullopt;
}

}  // namespace

void append_opened(std::string& batch, const StoredSession& session) {
  append_named(batch, Kind::kOpened, session.session);
  append_sized(batch, session.client_id);
  append_sized(batch, session.user);
  append_fixed(batch, static_cast<uint8_t>(session.version));
  append_fixed(batch, static_cast<uint8_t>(session.is_granted_in_part));
  append_fixed(batch, session.expiry_s);
  append_fixed(batch, static_cast<uint64_t>(session.left_us));
  append_varint(batch, session.last_number);
}

void append_left(std::string& batch, uint64_t session, uint32_t expiry_s, int64_t left_us) {
  append_named(batch, Kind::kLeft, session);
  append_fixed(batch, expiry_s);
  append_fixed(batch, static_cast<uint64_t>(left_us));
}

void append_ended(std::string& batch, uint64_t session) { append_named(batch, Kind::kEnded, session); }

void append_subscribed(std::string& batch, uint64_t session, std::string_view filter,
                       const StoredSession::Subscription& subscription) {
  append_named(batch, Kind::kSubscribed, session);
  append_sized(batch, filter);
  const SubscriptionOptions& options = subscription.options;
  append_fixed(batch, static_cast<uint8_t>(options.qos | (options.no_local ? kNoLocal : 0) |
                                           (options.retain_as_published ? kRetainAsPublished : 0) |
                                           options.retain_handling << 4));
  append_varint(batch, subscription.identifier);
}

void append_unsubscribed(std::string& batch, uint64_t session, std::string_view filter) {
  append_named(batch, Kind::kUnsubscribed, session);
  append_sized(batch, filter);
}

void append_published(std::string& batch, const Message& message, std::span<const StoredTarget* const> targets,
                      uint64_t receipt_session, uint16_t receipt, const Clocks& clocks) {
  append_named(batch, Kind::kPublished, receipt_session);
  append_fixed(batch, receipt);
  append_fixed(batch, flags_of(message));
  append_fixed(batch, static_cast<uint64_t>(wall_of(message.expires, clocks)));
  append_texts(batch, message);
  append_varint(batch, targets.size());
  for (const StoredTarget* target : targets) {
    append_fixed(batch, target->session);
    append_varint(batch, target->number);
    append_fixed(batch, static_cast<uint8_t>(target->qos | (target->retain ? kRetain : 0)));
    append_varint(batch, target->identifiers.size());
    for (const uint32_t identifier : target->identifiers) append_varint(batch, identifier);
  }
}

void append_received(std::string& batch, uint64_t session, uint64_t number) {
  append_named(batch, Kind::kReceived, session);
  append_varint(batch, number);
}

void append_done(std::string& batch, uint64_t session, uint64_t number) {
  append_named(batch, Kind::kDone, session);
  append_varint(batch, number);
}

void append_released(std::string& batch, uint64_t session, uint16_t receipt) {
  append_named(batch, Kind::kReleased, session);
  append_fixed(batch, receipt);
}

void append_will(std::string& batch, uint64_t session, const Message& message, uint32_t delay_s,
                 std::optional<uint32_t> expiry_s) {
  append_named(batch, Kind::kWill, session);
  append_fixed(batch, delay_s);
  append_fixed(batch, expiry_s.value_or(kNoExpiry));
  append_fixed(batch, flags_of(message));
  append_texts(batch, message);
}

void append_will_gone(std::string& batch, uint64_t session) { append_named(batch, Kind::kWillGone, session); }

void append_retained(std::string& batch, const Message& message, const Clocks& clocks) {
  append_kind(batch, Kind::kRetained);
  append_fixed(batch, flags_of(message));
  append_fixed(batch, static_cast<uint64_t>(wall_of(message.expires, clocks)));
  append_texts(batch, message);
}

void put(MessagesByTopic& messages, MessagePointer message) {
  const auto found = messages.find(message);
  if (found == messages.end()) {
    messages.insert(std::move(message));
    return;
  }
  auto node = messages.extract(found);
  node.value() = std::move(message);
  messages.insert(std::move(node));
}

StoredSession* SessionImage::find(uint64_t session) {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : &found->second;
}

bool SessionImage::apply(std::string_view records, std::span<const MessagePointer> messages, const Clocks& clocks) {
  ByteReader in(records);
  size_t next_message = 0;
  while (!in.empty()) {
    const auto kind = static_cast<Kind>(in.fixed<uint8_t>());
    if (kind == Kind::kPublished) {
      const bool is_given = next_message < messages.size();
      std::optional<Published> published = read_published(in, !is_given, clocks);
      if (!published) return false;
      const MessagePointer message =
          is_given ? messages[next_message++] : std::make_shared<const Message>(std::move(published->message));
      if (StoredSession* publisher = find(published->receipt_session)) publisher->receipts.insert(published->receipt);
      for (StoredTarget& target : published->targets) {
        StoredSession* session = find(target.session);
        if (session == nullptr) continue;
        session->last_number = std::max(session->last_number, target.number);
        session->waiting[target.number] = {.message = message,
                                           .qos = target.qos,
                                           .retain = target.retain,
                                           .identifiers = std::move(target.identifiers)};
      }
      continue;
    }
    if (kind == Kind::kRetained) {
      const bool is_given = next_message < messages.size();
      Message read = read_retained(in, clocks);
      if (!in.ok()) return false;
      if (read.payload.empty()) {
        if (is_given) ++next_message;
        if (const auto found = retained_.find(std::string_view(read.topic)); found != retained_.end()) {
          retained_.erase(found);
        }
      } else {
        put(retained_, is_given ? messages[next_message++] : std::make_shared<const Message>(std::move(read)));
      }
      continue;
    }
    const auto name = in.fixed<uint64_t>();
    StoredSession* session = find(name);
    switch (kind) {
      case Kind::kOpened: {
        StoredSession opened;
        opened.session = name;
        opened.client_id = in.sized();
        opened.user = in.sized();
        opened.version = in.fixed<uint8_t>() == static_cast<uint8_t>(Version::k311) ? Version::k311 : Version::k5;
        opened.is_granted_in_part = in.fixed<uint8_t>() != 0;
        opened.expiry_s = in.fixed<uint32_t>();
        opened.left_us = static_cast<int64_t>(in.fixed<uint64_t>());
        opened.last_number = in.varint();
        if (!in.ok() || name == 0) return false;
        if (session != nullptr) {
          opened.last_number = std::max(opened.last_number, session->last_number);
          opened.subscriptions = std::move(session->subscriptions);
          opened.waiting = std::move(session->waiting);
          opened.receipts = std::move(session->receipts);
          opened.will = std::move(session->will);
        }
        sessions_.insert_or_assign(name, std::move(opened));
        break;
      }
      case Kind::kLeft: {
        const auto expiry_s = in.fixed<uint32_t>();
        const auto left_us = static_cast<int64_t>(in.fixed<uint64_t>());
        if (session == nullptr || !in.ok()) break;
        session->expiry_s = expiry_s;
        session->left_us = left_us;
        break;
      }
      case Kind::kEnded:
        sessions_.erase(name);
        break;
      case Kind::kSubscribed: {
        const std::string_view filter = in.sized();
        const auto options = in.fixed<uint8_t>();
        const auto identifier = static_cast<uint32_t>(in.varint());
        if (session == nullptr || !in.ok()) break;
        session->subscriptions[std::string(filter)] = {
            .options = {.qos = static_cast<uint8_t>(options & kQosBits),
                        .no_local = (options & kNoLocal) != 0,
                        .retain_as_published = (options & kRetainAsPublished) != 0,
                        .retain_handling = static_cast<uint8_t>(options >> 4 & 3)},
            .identifier = identifier};
        break;
      }
      case Kind::kUnsubscribed: {
        const std::string_view filter = in.sized();
        if (session == nullptr) break;
        if (const auto held = session->subscriptions.find(filter); held != session->subscriptions.end()) {
          session->subscriptions.erase(held);
        }
        break;
      }
      case Kind::kReceived: {
        const uint64_t number = in.varint();
        if (session == nullptr || !in.ok()) break;
        session->last_number = std::max(session->last_number, number);
        session->waiting[number] = {.message = nullptr, .qos = 2, .received = true, .identifiers = {}};
        break;
      }
      case Kind::kDone: {
        const uint64_t number = in.varint();
        if (session != nullptr) session->waiting.erase(number);
        break;
      }
      case Kind::kReleased: {
        const auto receipt = in.fixed<uint16_t>();
        if (session != nullptr) session->receipts.erase(receipt);
        break;
      }
      case Kind::kWill: {
        StoredWill will = read_will(in);
        if (session != nullptr && in.ok()) session->will = std::make_unique<StoredWill>(std::move(will));
        break;
      }
      case Kind::kWillGone:
        if (session != nullptr) session->will.reset();
        break;
      default:
        return false;
    }
    if (!in.ok()) return false;
  }
  return true;
}

void SessionImage::snapshot(size_t batch_bytes, const Clocks& clocks,
                            const std::function<bool(std::string_view batch)>& take) {
  std::erase_if(retained_, [&](const MessagePointer& message) { return message->expires <= clocks.monotonic; });
  std::string batch;
  bool goes_on = true;
  const auto next = [&]() -> std::string& {
    if (batch.size() >= batch_bytes) {
      goes_on = goes_on && take(batch);
      batch.clear();
    }
    return batch;
  };
  // A message that waits for many is written once.
  std::unordered_map<const Message*, std::vector<StoredTarget>> targets;
  for (const auto& [name, session] : sessions_) {
    append_opened(next(), session);
    for (const auto& [filter, subscription] : session.subscriptions) {
      append_subscribed(next(), name, filter, subscription);
    }
    for (const uint16_t receipt : session.receipts) append_published(next(), {}, {}, name, receipt, clocks);
    if (session.will) {
      append_will(next(), name, session.will->message, session.will->delay_s, session.will->expiry_s);
    }
    for (const auto& [number, waiting] : session.waiting) {
      if (waiting.received) {
        append_received(next(), name, number);
      } else {
        targets[waiting.message.get()].push_back({.session = name,
                                                  .number = number,
                                                  .qos = waiting.qos,
                                                  .retain = waiting.retain,
                                                  .identifiers = waiting.identifiers});
      }
    }
    if (!goes_on) return;
  }
  std::vector<const StoredTarget*> each;
  for (const auto& [message, stored] : targets) {
    each.clear();
    for (const StoredTarget& target : stored) each.push_back(&target);
    append_published(next(), *message, each, 0, 0, clocks);
    if (!goes_on) return;
  }
  for (const MessagePointer& message : retained_) {
    append_retained(next(), *message, clocks);
    if (!goes_on) return;
  }
  if (!batch.empty()) take(batch);
}

}  // namespace verge::mqtt
