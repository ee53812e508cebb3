// Packets to bytes, appended to an output buffer. The caller keeps strings within 65,535 bytes and packets within
// 256 MiB; an assertion holds it to that.
#pragma once

#include <string>
#include <string_view>

#include "mqtt/packet.h"

namespace verge::mqtt {

void append_connect(std::string& out, const Connect& connect);
void append_connack(std::string& out, const Connack& connack, Version version);
void append_publish(std::string& out, const Publish& publish, Version version);
// As append_publish, with properties that are already encoded (without their length).
void append_publish(std::string& out, const Publish& publish, Version version, std::string_view encoded_properties);
// How many bytes that packet has, with `properties_bytes` of encoded properties.
size_t publish_packet_bytes(const Publish& publish, Version version, size_t properties_bytes);
// What a subscription identifier takes among the properties, a message expiry, and a topic alias.
size_t subscription_identifier_bytes(uint32_t identifier);
inline constexpr size_t kMessageExpiryBytes = 5;
inline constexpr size_t kTopicAliasBytes = 3;

void append_acknowledgement(std::string& out, PacketType type, const Acknowledgement& acknowledgement, Version version);
void append_subscribe(std::string& out, const Subscribe& subscribe, Version version);
void append_suback(std::string& out, PacketType type, const Suback& suback, Version version);
void append_unsubscribe(std::string& out, const Unsubscribe& unsubscribe, Version version);
// `what`: words for people, in 5.0 only.
void append_disconnect(std::string& out, Reason reason, Version version, std::string_view what = {});
void append_auth(std::string& out, const Auth& auth);
void append_ping(std::string& out, PacketType type);

// The properties alone, without their length.
void append_properties(std::string& out, const Properties& properties);

}  // namespace verge::mqtt
