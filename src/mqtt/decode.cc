#include "mqtt/decode.h"

#include "base/text.h"
#include "model/topic.h"

namespace verge::mqtt {
namespace {

std::unexpected<Violation> malformed(std::string_view what) {
  return std::unexpected(Violation{Reason::kMalformedPacket, what});
}
std::unexpected<Violation> protocol_error(std::string_view what) {
  return std::unexpected(Violation{Reason::kProtocolError, what});
}

// Reads the big-endian fields of MQTT from the front of a body; after a read past the end, ok() is false for good.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  uint8_t byte() { return static_cast<uint8_t>(take(1)); }
  uint16_t two_bytes() { return static_cast<uint16_t>(take(2)); }
  uint32_t four_bytes() { return static_cast<uint32_t>(take(4)); }

  uint32_t variable() {
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
      const uint8_t next = byte();
      value |= static_cast<uint32_t>(next & 0x7f) << shift;
      if (next < 0x80) {
        if (shift > 0 && next == 0) ok_ = false;  // not the shortest form [MQTT-1.5.5-1]
        return value;
      }
    }
    ok_ = false;
    return 0;
  }

  std::string_view bytes(size_t count) {
    if (rest_.size() < count) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::string_view binary() { return bytes(two_bytes()); }

  // UTF-8 without U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2].
  std::string_view text() {
    const std::string_view value = binary();
    if (value.find('\0') != std::string_view::npos || !is_utf8(value)) ok_ = false;
    return value;
  }

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  uint64_t take(size_t count) {
    const std::string_view raw = bytes(count);
    uint64_t value = 0;
    for (const char c : raw) value = value << 8 | static_cast<uint8_t>(c);
    return value;
  }

  std::string_view rest_;
  bool ok_ = true;
};

// One bit a place where properties stand, for the table of what is allowed where.
enum Place : uint16_t {
  kInConnect = 1 << 0,
  kInConnack = 1 << 1,
  kInPublish = 1 << 2,
  kInWill = 1 << 3,
  kInAcknowledgement = 1 << 4,
  kInSubscribe = 1 << 5,
  kInSuback = 1 << 6,
  kInUnsubscribe = 1 << 7,
  kInDisconnect = 1 << 8,
  kInAuth = 1 << 9,
};

// What is wrong with a property, if anything. A value that MQTT 5.0 section 2.2.2.2 and 3 forbid is a protocol error,
// as is a second one; one that is unknown, not allowed here or of no such type makes the packet malformed.
enum class PropertyFault : uint8_t { kNone, kMalformed, kProtocolError };

template <class T>
PropertyFault set_once(std::optional<T>& member, T value) {
  if (member) return PropertyFault::kProtocolError;
  member = value;
  return PropertyFault::kNone;
}

// As set_once, where only some values are allowed.
template <class T, class Allowed>
PropertyFault set_checked(std::optional<T>& member, T value, Allowed allowed) {
  return allowed(value) ? set_once(member, value) : PropertyFault::kProtocolError;
}

// Reads one property, whose place in the table 2-4 of MQTT 5.0 `place` must allow.
PropertyFault read_property(FieldReader& reader, Place place, Properties& out) {
  const uint32_t identifier = reader.variable();
  const auto allowed = [&](int places) { return (place & places) != 0; };
  const auto is_flag = [](uint8_t value) { return value <= 1; };
  const auto is_positive = [](auto value) { return value > 0; };
  switch (identifier) {
    case 0x01:
      if (!allowed(kInPublish | kInWill)) break;
      return set_checked(out.payload_format, reader.byte(), is_flag);
    case 0x02:
      if (!allowed(kInPublish | kInWill)) break;
      return set_once(out.message_expiry_s, reader.four_bytes());
    case 0x03:
      if (!allowed(kInPublish | kInWill)) break;
      return set_once(out.content_type, reader.text());
    case 0x08:
      if (!allowed(kInPublish | kInWill)) break;
      return set_once(out.response_topic, reader.text());
    case 0x09:
      if (!allowed(kInPublish | kInWill)) break;
      return set_once(out.correlation, reader.binary());
    case 0x0b: {
      if (!allowed(kInPublish | kInSubscribe)) break;
      const uint32_t subscription = reader.variable();
      const bool again = place == kInSubscribe && !out.subscription_identifiers.empty();
      if (subscription == 0 || again) return PropertyFault::kProtocolError;
      out.subscription_identifiers.push_back(subscription);
      return PropertyFault::kNone;
    }
    case 0x11:
      if (!allowed(kInConnect | kInConnack | kInDisconnect)) break;
      return set_once(out.session_expiry_s, reader.four_bytes());
    case 0x12:
      if (!allowed(kInConnack)) break;
      return set_once(out.assigned_client_id, reader.text());
    case 0x13:
      if (!allowed(kInConnack)) break;
      return set_once(out.server_keep_alive_s, reader.two_bytes());
    case 0x15:
      if (!allowed(kInConnect | kInConnack | kInAuth)) break;
      return set_once(out.authentication_method, reader.text());
    case 0x16:
      if (!allowed(kInConnect | kInConnack | kInAuth)) break;
      return set_once(out.authentication_exchange, reader.binary());
    case 0x17:
      if (!allowed(kInConnect)) break;
      return set_checked(out.request_problem_information, reader.byte(), is_flag);
    case 0x18:
      if (!allowed(kInWill)) break;
      return set_once(out.will_delay_s, reader.four_bytes());
    case 0x19:
      if (!allowed(kInConnect)) break;
      return set_checked(out.request_response_information, reader.byte(), is_flag);
    case 0x1a:
      if (!allowed(kInConnack)) break;
      return set_once(out.response_information, reader.text());
    case 0x1c:
      if (!allowed(kInConnack | kInDisconnect)) break;
      return set_once(out.server_reference, reader.text());
    case 0x1f:
      if (!allowed(kInConnack | kInAcknowledgement | kInSuback | kInDisconnect | kInAuth)) break;
      return set_once(out.reason_string, reader.text());
    case 0x21:
      if (!allowed(kInConnect | kInConnack)) break;
      return set_checked(out.receive_maximum, reader.two_bytes(), is_positive);
    case 0x22:
      if (!allowed(kInConnect | kInConnack)) break;
      return set_once(out.topic_alias_maximum, reader.two_bytes());
    case 0x23:
      if (!allowed(kInPublish)) break;
      return set_once(out.topic_alias, reader.two_bytes());
    case 0x24:
      if (!allowed(kInConnack)) break;
      return set_checked(out.maximum_qos, reader.byte(), is_flag);
    case 0x25:
      if (!allowed(kInConnack)) break;
      return set_once(out.retain_available, reader.byte());
    case 0x26: {
      const std::string_view name = reader.text();
      out.user.emplace_back(name, reader.text());
      return PropertyFault::kNone;
    }
    case 0x27:
      if (!allowed(kInConnect | kInConnack)) break;
      return set_checked(out.maximum_packet_size, reader.four_bytes(), is_positive);
    case 0x28:
      if (!allowed(kInConnack)) break;
      return set_once(out.wildcard_available, reader.byte());
    case 0x29:
      if (!allowed(kInConnack)) break;
      return set_once(out.subscription_identifiers_available, reader.byte());
    case 0x2a:
      if (!allowed(kInConnack)) break;
      return set_once(out.shared_available, reader.byte());
    default:
      break;
  }
  return PropertyFault::kMalformed;
}

// The length and then the properties, where the version has them.
std::expected<void, Violation> read_properties(FieldReader& reader, Version version, Place place, Properties& out) {
  if (version != Version::k5) return {};
  FieldReader properties(reader.bytes(reader.variable()));
  if (!reader.ok()) return malformed("the properties are cut short");
  while (!properties.empty()) {
    const PropertyFault fault = read_property(properties, place, out);
    // What is cut short has no value to be wrong.
    if (!properties.ok()) return malformed("a property is cut short or its text is not UTF-8");
    if (fault == PropertyFault::kMalformed) return malformed("a property that is unknown or not allowed there");
    if (fault == PropertyFault::kProtocolError) return protocol_error("a property twice, or with a forbidden value");
  }
  return {};
}

std::expected<void, Violation> read_will(FieldReader& reader, Version version, Will& will) {
  if (auto read = read_properties(reader, version, kInWill, will.properties); !read) return read;
  will.topic = reader.text();
  will.payload = reader.binary();
  if (!reader.ok() || !is_topic_name(will.topic)) return malformed("the will is malformed");
  return {};
}

}  // namespace

std::string_view FrameInput::begin(std::string_view bytes) {
  is_kept_ = !kept_.empty();
  if (!is_kept_) return bytes;
  kept_.append(bytes);
  return kept_;
}

void FrameInput::keep(std::string_view rest) {
  if (rest.empty()) {
    // An idle connection holds no buffer.
    std::string().swap(kept_);
  } else if (is_kept_ && rest.size() < kept_.capacity() / 4) {
    kept_ = std::string(rest);
  } else if (is_kept_) {
    kept_.erase(0, kept_.size() - rest.size());
  } else {
    kept_.assign(rest);
  }
}

Framing next_frame(std::string_view& input, size_t packet_bytes_max, Frame& frame, Violation& violation) {
  if (input.empty()) return Framing::kNeedMore;
  size_t length = 0;
  size_t header = 1;
  for (unsigned shift = 0;; shift += 7, ++header) {
    if (shift == 28) {
      violation = {Reason::kMalformedPacket, "the remaining length has more than four bytes"};
      return Framing::kViolation;
    }
    if (header >= input.size()) return Framing::kNeedMore;
    const auto byte = static_cast<uint8_t>(input[header]);
    length |= static_cast<size_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  ++header;
  const auto first = static_cast<uint8_t>(input[0]);
  frame.type = static_cast<PacketType>(first >> 4);
  frame.flags = first & 0x0f;
  if ((first >> 4) == 0) {
    violation = {Reason::kMalformedPacket, "packet type 0 is reserved"};
    return Framing::kViolation;
  }
  const bool is_two = frame.type == PacketType::kPubrel || frame.type == PacketType::kSubscribe ||
                      frame.type == PacketType::kUnsubscribe;
  if (frame.type != PacketType::kPublish && frame.flags != (is_two ? 2 : 0)) {
    violation = {Reason::kMalformedPacket, "reserved flags are set"};
    return Framing::kViolation;
  }
  if (header + length > packet_bytes_max) {
    violation = {Reason::kPacketTooLarge, "the packet is larger than mqtt.packet_bytes_max"};
    return Framing::kViolation;
  }
  if (input.size() < header + length) return Framing::kNeedMore;
  frame.body = input.substr(header, length);
  input.remove_prefix(header + length);
  return Framing::kFrame;
}

Parsed<Connect> parse_connect(const Frame& frame) {
  FieldReader reader(frame.body);
  Connect connect;
  const std::string_view protocol = reader.text();
  const uint8_t version = reader.byte();
  if (!reader.ok()) return malformed("CONNECT is cut short");
  if (protocol != "MQTT" || (version != 4 && version != 5)) {
    return std::unexpected(Violation{Reason::kUnsupportedProtocolVersion, "the protocol is neither MQTT 3.1.1 nor 5"});
  }
  connect.version = static_cast<Version>(version);
  const uint8_t flags = reader.byte();
  connect.clean_start = (flags & 0x02) != 0;
  connect.keep_alive_s = reader.two_bytes();
  if ((flags & 0x01) != 0) return malformed("CONNECT has its reserved flag set");
  if (auto read = read_properties(reader, connect.version, kInConnect, connect.properties); !read) {
    return std::unexpected(read.error());
  }
  if (connect.properties.authentication_exchange && !connect.properties.authentication_method) {
    return protocol_error("authentication data without a method");
  }
  connect.client_id = reader.text();
  const auto will_qos = static_cast<uint8_t>(flags >> 3 & 3);
  if ((flags & 0x04) != 0) {
    connect.will.emplace();
    connect.will->qos = will_qos;
    connect.will->retain = (flags & 0x20) != 0;
    if (will_qos == 3) return malformed("a will at QoS 3");
    if (auto read = read_will(reader, connect.version, *connect.will); !read) return std::unexpected(read.error());
  } else if ((flags & 0x38) != 0) {
    return malformed("will flags without a will");
  }
  if ((flags & 0x80) != 0) connect.user_name = reader.text();
  if ((flags & 0x40) != 0) {
    if (connect.version == Version::k311 && (flags & 0x80) == 0) return malformed("a password without a user name");
    connect.password = reader.binary();
  }
  if (!reader.ok() || !reader.empty()) return malformed("CONNECT has the wrong length or bad text");
  return connect;
}

Parsed<Connack> parse_connack(const Frame& frame, Version version) {
  FieldReader reader(frame.body);
  Connack connack;
  const uint8_t flags = reader.byte();
  connack.session_present = (flags & 1) != 0;
  connack.reason = static_cast<Reason>(reader.byte());
  if (flags > 1) return malformed("CONNACK has reserved flags set");
  if (auto read = read_properties(reader, version, kInConnack, connack.properties); !read) {
    return std::unexpected(read.error());
  }
  if (!reader.ok() || !reader.empty()) return malformed("CONNACK has the wrong length");
  return connack;
}

namespace {

// Of a text of UTF-8 that is no topic name.
std::string_view what_is_wrong_with_topic(std::string_view topic) {
  if (topic.empty()) return "the topic name is empty";
  if (topic.find_first_of("+#") != std::string_view::npos) return "the topic name has a wildcard";
  static_assert(kTopicLevelsMax == 128);
  return "the topic name has more than 128 levels";
}

// MQTT 5.0 sections 3.4.2.1, 3.5.2.1, 3.6.2.1 and 3.7.2.1.
bool is_reason_of(PacketType type, Reason reason) {
  switch (reason) {
    case Reason::kSuccess:
      return true;
    case Reason::kPacketIdentifierNotFound:
      return type == PacketType::kPubrel || type == PacketType::kPubcomp;
    case Reason::kNoMatchingSubscribers:
    case Reason::kUnspecified:
    case Reason::kImplementationSpecific:
    case Reason::kNotAuthorized:
    case Reason::kTopicNameInvalid:
    case Reason::kPacketIdentifierInUse:
    case Reason::kQuotaExceeded:
    case Reason::kPayloadFormatInvalid:
      return type == PacketType::kPuback || type == PacketType::kPubrec;
    default:
      return false;
  }
}

}  // namespace

Parsed<Publish> parse_publish(const Frame& frame, Version version) {
  FieldReader reader(frame.body);
  Publish publish;
  publish.duplicate = (frame.flags & 8) != 0;
  publish.qos = frame.flags >> 1 & 3;
  publish.retain = (frame.flags & 1) != 0;
  if (publish.qos == 3) return malformed("QoS 3 does not exist");
  if (publish.qos == 0 && publish.duplicate) return malformed("DUP is set at QoS 0");
  publish.topic = reader.text();
  if (publish.qos > 0) {
    publish.packet_id = reader.two_bytes();
    if (reader.ok() && publish.packet_id == 0) return malformed("packet identifier 0");
  }
  if (!reader.ok()) return malformed("PUBLISH is cut short or its topic is not UTF-8");
  if (auto read = read_properties(reader, version, kInPublish, publish.properties); !read) {
    return std::unexpected(read.error());
  }
  const bool by_alias = publish.topic.empty() && publish.properties.topic_alias.has_value();
  if (!by_alias && !is_topic_name(publish.topic)) {
    return std::unexpected(Violation{Reason::kTopicNameInvalid, what_is_wrong_with_topic(publish.topic)});
  }
  if (publish.properties.response_topic && !is_topic_name(*publish.properties.response_topic)) {
    return protocol_error("the response topic is no topic name");
  }
  publish.payload = reader.rest();
  return publish;
}

Parsed<Acknowledgement> parse_acknowledgement(const Frame& frame, Version version) {
  FieldReader reader(frame.body);
  Acknowledgement acknowledgement;
  acknowledgement.packet_id = reader.two_bytes();
  if (version == Version::k5 && !reader.empty()) {
    acknowledgement.reason = static_cast<Reason>(reader.byte());
    Properties properties;
    if (!reader.empty()) {
      if (auto read = read_properties(reader, version, kInAcknowledgement, properties); !read) {
        return std::unexpected(read.error());
      }
    }
  }
  if (!reader.ok() || !reader.empty()) return malformed("an acknowledgement has the wrong length");
  if (acknowledgement.packet_id == 0) return malformed("packet identifier 0");
  if (!is_reason_of(frame.type, acknowledgement.reason)) {
    return protocol_error("an acknowledgement has no such reason");  // [MQTT-3.4.2-1] and its kind
  }
  return acknowledgement;
}

Parsed<Subscribe> parse_subscribe(const Frame& frame, Version version) {
  FieldReader reader(frame.body);
  Subscribe subscribe;
  subscribe.packet_id = reader.two_bytes();
  if (reader.ok() && subscribe.packet_id == 0) return malformed("packet identifier 0");
  if (auto read = read_properties(reader, version, kInSubscribe, subscribe.properties); !read) {
    return std::unexpected(read.error());
  }
  while (reader.ok() && !reader.empty()) {
    SubscriptionRequest request;
    request.filter = reader.text();
    const uint8_t options = reader.byte();
    request.options.qos = options & 3;
    if (version == Version::k5) {
      request.options.no_local = (options & 4) != 0;
      request.options.retain_as_published = (options & 8) != 0;
      request.options.retain_handling = options >> 4 & 3;
    }
    const int reserved = version == Version::k5 ? 0xc0 : 0xfc;
    if ((options & reserved) != 0) return malformed("reserved bits of the subscription options are set");
    if (request.options.qos == 3) return malformed("QoS 3 does not exist");
    if (request.options.retain_handling == 3) return protocol_error("retain handling 3 does not exist");
    subscribe.requests.push_back(request);
  }
  if (!reader.ok()) return malformed("SUBSCRIBE is cut short or a filter is not UTF-8");
  if (subscribe.requests.empty()) return protocol_error("SUBSCRIBE without a topic filter");
  return subscribe;
}

Parsed<Unsubscribe> parse_unsubscribe(const Frame& frame, Version version) {
  FieldReader reader(frame.body);
  Unsubscribe unsubscribe;
  Properties properties;
  unsubscribe.packet_id = reader.two_bytes();
  if (reader.ok() && unsubscribe.packet_id == 0) return malformed("packet identifier 0");
  if (auto read = read_properties(reader, version, kInUnsubscribe, properties); !read) {
    return std::unexpected(read.error());
  }
  while (reader.ok() && !reader.empty()) unsubscribe.filters.push_back(reader.text());
  if (!reader.ok()) return malformed("UNSUBSCRIBE is cut short or a filter is not UTF-8");
  if (unsubscribe.filters.empty()) return protocol_error("UNSUBSCRIBE without a topic filter");
  return unsubscribe;
}

Parsed<Suback> parse_suback(const Frame& frame, Version version) {
  FieldReader reader(frame.body);
  Suback suback;
  Properties properties;
  suback.packet_id = reader.two_bytes();
  if (auto read = read_properties(reader, version, kInSuback, properties); !read) return std::unexpected(read.error());
  while (reader.ok() && !reader.empty()) suback.codes.push_back(reader.byte());
  if (!reader.ok()) return malformed("SUBACK is cut short");
  return suback;
}

Parsed<Disconnect> parse_disconnect(const Frame& frame, Version version) {
  Disconnect disconnect;
  if (version == Version::k311) {
    if (!frame.body.empty()) return malformed("DISCONNECT of 3.1.1 has no body");
    return disconnect;
  }
  FieldReader reader(frame.body);
  Properties properties;
  if (!reader.empty()) disconnect.reason = static_cast<Reason>(reader.byte());
  if (!reader.empty()) {
    if (auto read = read_properties(reader, version, kInDisconnect, properties); !read) {
      return std::unexpected(read.error());
    }
  }
  if (!reader.ok() || !reader.empty()) return malformed("DISCONNECT has the wrong length");
  disconnect.session_expiry_s = properties.session_expiry_s;
  return disconnect;
}

// Without a body it says success, which only servers do, and without a method, which has to be there.
Parsed<Auth> parse_auth(const Frame& frame, Version version) {
  if (version == Version::k311) return protocol_error("MQTT 3.1.1 has no AUTH");
  FieldReader reader(frame.body);
  Auth auth;
  Properties properties;
  if (!reader.empty()) auth.reason = static_cast<Reason>(reader.byte());
  if (!reader.empty()) {
    if (auto read = read_properties(reader, version, kInAuth, properties); !read) return std::unexpected(read.error());
  }
  if (!reader.ok() || !reader.empty()) return malformed("AUTH has the wrong length");
  const bool is_known = auth.reason == Reason::kSuccess || auth.reason == Reason::kContinueAuthentication ||
                        auth.reason == Reason::kReauthenticate;
  if (!is_known) return protocol_error("AUTH has no such reason");  // [MQTT-3.15.2-1]
  if (!properties.authentication_method) return protocol_error("AUTH names no method");
  auth.method = *properties.authentication_method;
  auth.exchange = properties.authentication_exchange.value_or(std::string_view());
  return auth;
}

}  // namespace verge::mqtt
