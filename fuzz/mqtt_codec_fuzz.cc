// Parses the input as a stream of packets of either version; what parses is written again and must parse to the same.
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"

using namespace verge::mqtt;

namespace {

void check_publish(const Publish& publish, Version version) {
  std::string bytes;
  append_publish(bytes, publish, version);
  std::string_view rest = bytes;
  Frame frame;
  Violation violation;
  VERGE_ASSERT(next_frame(rest, 1U << 28, frame, violation) == Framing::kFrame && rest.empty());
  const auto again = parse_publish(frame, version);
  VERGE_ASSERT(again.has_value() && again->topic == publish.topic && again->payload == publish.payload &&
               again->qos == publish.qos && again->packet_id == publish.packet_id &&
               again->properties.user == publish.properties.user);
}

void parse(const Frame& frame, Version version) {
  switch (frame.type) {
    case PacketType::kConnect:
      (void)parse_connect(frame);
      break;
    case PacketType::kConnack:
      (void)parse_connack(frame, version);
      break;
    case PacketType::kPublish:
      if (const auto publish = parse_publish(frame, version)) check_publish(*publish, version);
      break;
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      (void)parse_acknowledgement(frame, version);
      break;
    case PacketType::kSubscribe:
      (void)parse_subscribe(frame, version);
      break;
    case PacketType::kUnsubscribe:
      (void)parse_unsubscribe(frame, version);
      break;
    case PacketType::kSuback:
    case PacketType::kUnsuback:
      (void)parse_suback(frame, version);
      break;
    case PacketType::kDisconnect:
      (void)parse_disconnect(frame, version);
      break;
    case PacketType::kAuth:
      (void)parse_auth(frame, version);
      break;
    default:
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  for (const Version version : {Version::k311, Version::k5}) {
    std::string_view input(reinterpret_cast<const char*>(bytes), size);
    Frame frame;
    Violation violation;
    while (next_frame(input, 1U << 20, frame, violation) == Framing::kFrame) parse(frame, version);
  }
  return 0;
}
