#include "mqtt/encode.h"

#include "base/assert.h"

namespace verge::mqtt {
namespace {

constexpr size_t kRemainingLengthMax = 268'435'455;

void put_byte(std::string& out, uint8_t value) { out.push_back(static_cast<char>(value)); }
void put_two(std::string& out, uint16_t value) {
  put_byte(out, static_cast<uint8_t>(value >> 8));
  put_byte(out, static_cast<uint8_t>(value));
}
void put_four(std::string& out, uint32_t value) {
  put_two(out, static_cast<uint16_t>(value >> 16));
  put_two(out, static_cast<uint16_t>(value));
}
void put_variable(std::string& out, size_t value) {
  VERGE_ASSERT(value <= kRemainingLengthMax);
  while (value >= 0x80) {
    put_byte(out, static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  put_byte(out, static_cast<uint8_t>(value));
}
void put_text(std::string& out, std::string_view text) {
  VERGE_ASSERT(text.size() <= 65535);
  put_two(out, static_cast<uint16_t>(text.size()));
  out.append(text);
}

size_t variable_size(size_t value) { return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4; }

size_t publish_remaining_length(const Publish& publish, Version version, size_t properties_bytes) {
  size_t length = 2 + publish.topic.size() + (publish.qos > 0 ? 2 : 0) + publish.payload.size();
  if (version == Version::k5) length += variable_size(properties_bytes) + properties_bytes;
  return length;
}

void put_header(std::string& out, PacketType type, uint8_t flags, size_t remaining) {
  put_byte(out, static_cast<uint8_t>(static_cast<uint8_t>(type) << 4 | flags));
  put_variable(out, remaining);
}

void put_packet(std::string& out, PacketType type, uint8_t flags, std::string_view body) {
  put_header(out, type, flags, body.size());
  out.append(body);
}

void put_properties(std::string& out, const Properties& properties, Version version) {
  if (version != Version::k5) return;
  std::string encoded;
  append_properties(encoded, properties);
  put_variable(out, encoded.size());
  out.append(encoded);
}

}  // namespace

void append_properties(std::string& out, const Properties& properties) {
  const auto byte = [&](uint8_t identifier, const std::optional<uint8_t>& value) {
    if (value) put_byte(out, identifier), put_byte(out, *value);
  };
  const auto two = [&](uint8_t identifier, const std::optional<uint16_t>& value) {
    if (value) put_byte(out, identifier), put_two(out, *value);
  };
  const auto four = [&](uint8_t identifier, const std::optional<uint32_t>& value) {
    if (value) put_byte(out, identifier), put_four(out, *value);
  };
  const auto text = [&](uint8_t identifier, const std::optional<std::string_view>& value) {
    if (value) put_byte(out, identifier), put_text(out, *value);
  };
  byte(0x01, properties.payload_format);
  four(0x02, properties.message_expiry_s);
  text(0x03, properties.content_type);
  text(0x08, properties.response_topic);
  text(0x09, properties.correlation);
  for (const uint32_t identifier : properties.subscription_identifiers) {
    put_byte(out, 0x0b);
    put_variable(out, identifier);
  }
  four(0x11, properties.session_expiry_s);
  text(0x12, properties.assigned_client_id);
  two(0x13, properties.server_keep_alive_s);
  text(0x15, properties.authentication_method);
  text(0x16, properties.authentication_exchange);
  byte(0x17, properties.request_problem_information);
  four(0x18, properties.will_delay_s);
  byte(0x19, properties.request_response_information);
  text(0x1a, properties.response_information);
  text(0x1c, properties.server_reference);
  text(0x1f, properties.reason_string);
  two(0x21, properties.receive_maximum);
  two(0x22, properties.topic_alias_maximum);
  two(0x23, properties.topic_alias);
  byte(0x24, properties.maximum_qos);
  byte(0x25, properties.retain_available);
  for (const auto& [name, value] : properties.user) {
    put_byte(out, 0x26);
    put_text(out, name);
    put_text(out, value);
  }
  four(0x27, properties.maximum_packet_size);
  byte(0x28, properties.wildcard_available);
  byte(0x29, properties.subscription_identifiers_available);
  byte(0x2a, properties.shared_available);
}

void append_connect(std::string& out, const Connect& connect) {
  std::string body;
  put_text(body, "MQTT");
  put_byte(body, static_cast<uint8_t>(connect.version));
  int flags = connect.clean_start ? 0x02 : 0;
  if (connect.will) flags |= 0x04 | connect.will->qos << 3 | (connect.will->retain ? 0x20 : 0);
  if (connect.user_name) flags |= 0x80;
  if (connect.password) flags |= 0x40;
  put_byte(body, static_cast<uint8_t>(flags));
  put_two(body, connect.keep_alive_s);
  put_properties(body, connect.properties, connect.version);
  put_text(body, connect.client_id);
  if (connect.will) {
    put_properties(body, connect.will->properties, connect.version);
    put_text(body, connect.will->topic);
    put_text(body, connect.will->payload);
  }
  if (connect.user_name) put_text(body, *connect.user_name);
  if (connect.password) put_text(body, *connect.password);
  put_packet(out, PacketType::kConnect, 0, body);
}

void append_connack(std::string& out, const Connack& connack, Version version) {
  std::string body;
  put_byte(body, connack.session_present ? 1 : 0);
  put_byte(body, static_cast<uint8_t>(connack.reason));
  put_properties(body, connack.properties, version);
  put_packet(out, PacketType::kConnack, 0, body);
}

void append_publish(std::string& out, const Publish& publish, Version version) {
  std::string properties;
  append_properties(properties, publish.properties);
  append_publish(out, publish, version, properties);
}

size_t publish_packet_bytes(const Publish& publish, Version version, size_t properties_bytes) {
  const size_t remaining = publish_remaining_length(publish, version, properties_bytes);
  return 1 + variable_size(remaining) + remaining;
}

size_t subscription_identifier_bytes(uint32_t identifier) { return 1 + variable_size(identifier); }

void append_publish(std::string& out, const Publish& publish, Version version, std::string_view encoded_properties) {
  const size_t remaining = publish_remaining_length(publish, version, encoded_properties.size());
  const int flags = (publish.duplicate ? 8 : 0) | publish.qos << 1 | (publish.retain ? 1 : 0);
  put_header(out, PacketType::kPublish, static_cast<uint8_t>(flags), remaining);
  put_text(out, publish.topic);
  if (publish.qos > 0) put_two(out, publish.packet_id);
  if (version == Version::k5) {
    put_variable(out, encoded_properties.size());
    out.append(encoded_properties);
  }
  out.append(publish.payload);
}

void append_acknowledgement(std::string& out, PacketType type, const Acknowledgement& acknowledgement,
                            Version version) {
  const uint8_t flags = type == PacketType::kPubrel ? 2 : 0;
  if (version == Version::k5 && !acknowledgement.durability.empty()) {
    Properties properties;
    properties.user.emplace_back(kDurabilityProperty, acknowledgement.durability);
    std::string body;
    put_two(body, acknowledgement.packet_id);
    put_byte(body, static_cast<uint8_t>(acknowledgement.reason));
    put_properties(body, properties, version);
    return put_packet(out, type, flags, body);
  }
  const bool has_reason = version == Version::k5 && acknowledgement.reason != Reason::kSuccess;
  put_header(out, type, flags, has_reason ? 3 : 2);
  put_two(out, acknowledgement.packet_id);
  if (has_reason) put_byte(out, static_cast<uint8_t>(acknowledgement.reason));
}

void append_subscribe(std::string& out, const Subscribe& subscribe, Version version) {
  std::string body;
  put_two(body, subscribe.packet_id);
  put_properties(body, subscribe.properties, version);
  for (const SubscriptionRequest& request : subscribe.requests) {
    put_text(body, request.filter);
    int options = request.options.qos;
    if (version == Version::k5) {
      options |= (request.options.no_local ? 4 : 0) | (request.options.retain_as_published ? 8 : 0) |
                 request.options.retain_handling << 4;
    }
    put_byte(body, static_cast<uint8_t>(options));
  }
  put_packet(out, PacketType::kSubscribe, 2, body);
}

void append_suback(std::string& out, PacketType type, const Suback& suback, Version version) {
  std::string body;
  put_two(body, suback.packet_id);
  put_properties(body, {}, version);
  if (type == PacketType::kSuback || version == Version::k5) {
    for (const uint8_t code : suback.codes) put_byte(body, code);
  }
  put_packet(out, type, 0, body);
}

void append_unsubscribe(std::string& out, const Unsubscribe& unsubscribe, Version version) {
  std::string body;
  put_two(body, unsubscribe.packet_id);
  put_properties(body, {}, version);
  for (const std::string_view filter : unsubscribe.filters) put_text(body, filter);
  put_packet(out, PacketType::kUnsubscribe, 2, body);
}

void append_disconnect(std::string& out, Reason reason, Version version, std::string_view what) {
  if (version == Version::k5 && reason != Reason::kSuccess) {
    std::string body;
    put_byte(body, static_cast<uint8_t>(reason));
    if (!what.empty()) {
      Properties properties;
      properties.reason_string = what;
      put_properties(body, properties, version);
    }
    put_packet(out, PacketType::kDisconnect, 0, body);
  } else {
    put_header(out, PacketType::kDisconnect, 0, 0);
  }
}

void append_auth(std::string& out, const Auth& auth) {
  std::string body;
  put_byte(body, static_cast<uint8_t>(auth.reason));
  Properties properties;
  properties.authentication_method = auth.method;
  if (!auth.exchange.empty()) properties.authentication_exchange = auth.exchange;
  put_properties(body, properties, Version::k5);
  put_packet(out, PacketType::kAuth, 0, body);
}

void append_ping(std::string& out, PacketType type) { put_header(out, type, 0, 0); }

}  // namespace verge::mqtt
