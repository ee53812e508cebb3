#include <gtest/gtest.h>

#include "base/random.h"
#include "mqtt/decode.h"
#include "mqtt/encode.h"
#include "tests/support/value_of.h"

namespace verge::mqtt {
namespace {

// The one frame that `bytes` hold.
Frame frame_of(const std::string& bytes) {
  std::string_view rest = bytes;
  Frame frame;
  Violation violation;
  EXPECT_EQ(next_frame(rest, 1U << 20, frame, violation), Framing::kFrame);
  EXPECT_TRUE(rest.empty());
  return frame;
}

TEST(Codec, ConnectRoundTrips) {
  for (const Version version : {Version::k311, Version::k5}) {
    Connect connect{.version = version, .clean_start = false, .keep_alive_s = 60, .client_id = "press-7"};
    connect.will.emplace();
    connect.will->topic = "plant/press-7/gone";
    connect.will->payload = "bye";
    connect.will->qos = 1;
    connect.will->retain = true;
    connect.user_name = "user";
    connect.password = "secret";
    if (version == Version::k5) connect.properties.session_expiry_s = 300;
    std::string bytes;
    append_connect(bytes, connect);
    const Parsed<Connect> parsed = parse_connect(frame_of(bytes));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->client_id, "press-7");
    EXPECT_FALSE(parsed->clean_start);
    const Will will = tests::value_of(parsed->will);
    EXPECT_EQ(will.topic, "plant/press-7/gone");
    EXPECT_EQ(will.qos, 1);
    EXPECT_TRUE(will.retain);
    EXPECT_EQ(parsed->password, "secret");
    EXPECT_EQ(parsed->properties.session_expiry_s, connect.properties.session_expiry_s);
  }
}

TEST(Codec, PublishRoundTripsWithProperties) {
  Publish publish{.qos = 1, .retain = true, .topic = "a/b", .packet_id = 7, .payload = "{}"};
  publish.properties.user = {{"verge-sequence", "12"}, {"k", "v"}};
  publish.properties.message_expiry_s = 30;
  publish.properties.subscription_identifiers = {3, 268435455};
  std::string bytes;
  append_publish(bytes, publish, Version::k5);
  const Parsed<Publish> parsed = parse_publish(frame_of(bytes), Version::k5);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->topic, "a/b");
  EXPECT_EQ(parsed->packet_id, 7);
  EXPECT_EQ(parsed->payload, "{}");
  EXPECT_EQ(parsed->properties.user, publish.properties.user);
  EXPECT_EQ(parsed->properties.subscription_identifiers, publish.properties.subscription_identifiers);
}

struct Bad {
  const char* name;
  std::string bytes;
  Version version;
  Reason reason;
};

// Each is one packet that a server must refuse, and with what.
TEST(Codec, MalformedPacketsAreRefusedWithTheirReason) {
  using namespace std::string_literals;
  const Bad cases[] = {
      {"QoS 3",
       "\x36\x05\x00\x01"s
       "a\x00\x01"s,
       Version::k5, Reason::kMalformedPacket},
      {"DUP at QoS 0",
       "\x38\x03\x00\x01"s
       "a"s,
       Version::k311, Reason::kMalformedPacket},
      {"wildcard in a topic", "\x30\x03\x00\x01#"s, Version::k311, Reason::kTopicNameInvalid},
      {"empty topic", "\x30\x02\x00\x00"s, Version::k311, Reason::kTopicNameInvalid},
      {"packet id 0",
       "\x32\x05\x00\x01"s
       "a\x00\x00"s,
       Version::k311, Reason::kMalformedPacket},
      {"topic cut short",
       "\x30\x03\x00\x05"s
       "a"s,
       Version::k311, Reason::kMalformedPacket},
      {"topic not UTF-8", "\x30\x03\x00\x01\xff"s, Version::k311, Reason::kMalformedPacket},
      {"NUL in a topic",
       "\x30\x04\x00\x02"s
       "a\x00"s,
       Version::k311, Reason::kMalformedPacket},
      {"unknown property",
       "\x30\x06\x00\x01"s
       "a\x02\x7f\x00"s,
       Version::k5, Reason::kMalformedPacket},
      {"repeated property",
       "\x30\x08\x00\x01"s
       "a\x04\x01\x01\x01\x01"s,
       Version::k5, Reason::kProtocolError},
  };
  for (const Bad& bad : cases) {
    const Parsed<Publish> parsed = parse_publish(frame_of(bad.bytes), bad.version);
    ASSERT_FALSE(parsed.has_value()) << bad.name;
    EXPECT_EQ(parsed.error().reason, bad.reason) << bad.name;
  }
}

// MQTT 5.0 names these protocol errors; the packet itself is well formed.
TEST(Codec, ForbiddenValuesAreProtocolErrors) {
  using namespace std::string_literals;
  const auto subscribe = [](std::string_view bytes) {
    const Parsed<Subscribe> parsed = parse_subscribe(frame_of(std::string(bytes)), Version::k5);
    return parsed ? Reason::kSuccess : parsed.error().reason;
  };
  EXPECT_EQ(subscribe("\x82\x07\x00\x01\x00\x00\x01"s + "a\x31"s), Reason::kProtocolError) << "retain handling 3";
  EXPECT_EQ(subscribe("\x82\x09\x00\x01\x02\x0b\x00\x00\x01"s + "a\x01"s), Reason::kProtocolError) << "identifier 0";
  EXPECT_EQ(subscribe("\x82\x0b\x00\x01\x04\x0b\x01\x0b\x02\x00\x01"s + "a\x01"s), Reason::kProtocolError)
      << "two identifiers";
  EXPECT_EQ(subscribe("\x82\x08\x00\x01\x01\x0b\x00\x01"s + "a\x01"s), Reason::kMalformedPacket) << "cut short";
  const auto connect = [](const std::string& properties) {
    const std::string body =
        "\x00\x04MQTT\x05\x02\x00\x00"s + static_cast<char>(properties.size()) + properties + "\x00\x01"s + "c";
    const Parsed<Connect> parsed = parse_connect(frame_of("\x10"s + static_cast<char>(body.size()) + body));
    return parsed ? Reason::kSuccess : parsed.error().reason;
  };
  EXPECT_EQ(connect(""), Reason::kSuccess);
  EXPECT_EQ(connect("\x21\x00\x00"s), Reason::kProtocolError) << "receive maximum 0";
  EXPECT_EQ(connect("\x27\x00\x00\x00\x00"s), Reason::kProtocolError) << "maximum packet size 0";
  EXPECT_EQ(connect("\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01"s), Reason::kProtocolError) << "expiry twice";
  EXPECT_EQ(connect("\x17\x02"s), Reason::kProtocolError) << "a flag of 2";
  EXPECT_EQ(connect("\x21\x00"s), Reason::kMalformedPacket) << "cut short";
}

TEST(Codec, PublishPacketBytesAreThoseWritten) {
  for (const size_t payload_bytes : {0U, 100U, 127U, 128U, 20'000U}) {
    for (const Version version : {Version::k311, Version::k5}) {
      for (const uint8_t qos : {uint8_t{0}, uint8_t{1}}) {
        const std::string payload(payload_bytes, 'x');
        Publish publish{.qos = qos, .topic = "a/b", .packet_id = 7, .properties = {}, .payload = payload};
        publish.properties.message_expiry_s = 5;
        publish.properties.subscription_identifiers = {1, 300};
        const size_t properties =
            kMessageExpiryBytes + subscription_identifier_bytes(1) + subscription_identifier_bytes(300);
        std::string out;
        append_publish(out, publish, version);
        EXPECT_EQ(publish_packet_bytes(publish, version, properties), out.size());
      }
    }
  }
}

TEST(Codec, FramesAreBoundedAndReserved) {
  // clauses: 3 2.2.2-2; 5 2.1.3-1
  Frame frame;
  Violation violation;
  const auto framing = [&](std::string_view bytes, size_t limit) { return next_frame(bytes, limit, frame, violation); };
  EXPECT_EQ(framing(std::string_view("\x30\xff\xff\xff\xff\x01", 6), 1U << 20), Framing::kViolation);
  EXPECT_EQ(violation.reason, Reason::kMalformedPacket);
  EXPECT_EQ(framing(std::string_view("\x30\xff\x7f", 3), 1024), Framing::kViolation);
  EXPECT_EQ(violation.reason, Reason::kPacketTooLarge);
  EXPECT_EQ(framing(std::string_view("\x80\x00", 2), 1024), Framing::kViolation);  // SUBSCRIBE without its flag
  EXPECT_EQ(framing(std::string_view("\x00\x00", 2), 1024), Framing::kViolation);
  EXPECT_EQ(framing(std::string_view("\x30", 1), 1024), Framing::kNeedMore);
  EXPECT_EQ(framing(std::string_view("\x30\x05\x00", 3), 1024), Framing::kNeedMore);
}

// A stream of packets cut anywhere is the same stream.
TEST(Codec, CutsInTheStreamDoNotMatter) {
  std::string bytes;
  for (uint16_t i = 1; i <= 20; ++i) {
    const std::string payload(i * 13, 'x');
    append_publish(bytes, {.qos = 1, .topic = "t", .packet_id = i, .payload = payload}, Version::k311);
  }
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  FrameInput input;
  size_t given = 0;
  uint16_t seen = 0;
  while (given < bytes.size()) {
    const size_t more = std::min(bytes.size() - given, 1 + random.below(40));
    std::string_view rest = input.begin(std::string_view(bytes).substr(given, more));
    given += more;
    Frame frame;
    Violation violation;
    while (next_frame(rest, 1U << 20, frame, violation) == Framing::kFrame) {
      const Parsed<Publish> publish = parse_publish(frame, Version::k311);
      ASSERT_TRUE(publish.has_value());
      EXPECT_EQ(publish->packet_id, ++seen);
      EXPECT_EQ(publish->payload.size(), seen * 13U);
    }
    input.keep(rest);
  }
  EXPECT_EQ(seen, 20);
}

}  // namespace
}  // namespace verge::mqtt
