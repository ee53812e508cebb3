// The control packets of MQTT 3.1.1 and 5.0 as values. Strings and payloads are views into the bytes they were parsed
// from or will be written from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace verge::mqtt {

enum class Version : uint8_t { k311 = 4, k5 = 5 };

// MQTT 5.0 section 2.1.2.
enum class PacketType : uint8_t {
  kConnect = 1,
  kConnack = 2,
  kPublish = 3,
  kPuback = 4,
  kPubrec = 5,
  kPubrel = 6,
  kPubcomp = 7,
  kSubscribe = 8,
  kSuback = 9,
  kUnsubscribe = 10,
  kUnsuback = 11,
  kPingreq = 12,
  kPingresp = 13,
  kDisconnect = 14,
  kAuth = 15,
};

// MQTT 5.0 section 2.4; those that this server sends or understands.
enum class Reason : uint8_t {
  kSuccess = 0x00,
  kGrantedQos1 = 0x01,
  kDisconnectWithWill = 0x04,
  kNoMatchingSubscribers = 0x10,
  kNoSubscriptionExisted = 0x11,
  kContinueAuthentication = 0x18,
  kReauthenticate = 0x19,
  kUnspecified = 0x80,
  kMalformedPacket = 0x81,
  kProtocolError = 0x82,
  kImplementationSpecific = 0x83,
  kUnsupportedProtocolVersion = 0x84,
  kClientIdentifierNotValid = 0x85,
  kBadUserNameOrPassword = 0x86,
  kNotAuthorized = 0x87,
  kServerUnavailable = 0x88,
  kServerBusy = 0x89,
  kServerShuttingDown = 0x8b,
  kBadAuthenticationMethod = 0x8c,
  kKeepAliveTimeout = 0x8d,
  kSessionTakenOver = 0x8e,
  kTopicFilterInvalid = 0x8f,
  kTopicNameInvalid = 0x90,
  kPacketIdentifierInUse = 0x91,
  kPacketIdentifierNotFound = 0x92,
  kReceiveMaximumExceeded = 0x93,
  kTopicAliasInvalid = 0x94,
  kPacketTooLarge = 0x95,
  kMessageRateTooHigh = 0x96,
  kQuotaExceeded = 0x97,
  kAdministrativeAction = 0x98,
  kPayloadFormatInvalid = 0x99,
  kSharedSubscriptionsNotSupported = 0x9e,
};

inline bool is_failure(Reason reason) { return static_cast<uint8_t>(reason) >= 0x80; }

// What a peer did wrong: the reason to close its connection with, and words for the log.
struct Violation {
  Reason reason = Reason::kMalformedPacket;
  std::string_view what;
};

// A publish that has it is told on PUBACK or PUBREC which class of durability was reached.
inline constexpr std::string_view kDurabilityProperty = "verge-durability";

using UserProperty = std::pair<std::string_view, std::string_view>;

// MQTT 5.0 section 2.2.2.2. Absent members were not sent.
struct Properties {
  std::optional<uint8_t> payload_format;
  std::optional<uint32_t> message_expiry_s;
  std::optional<std::string_view> content_type;
  std::optional<std::string_view> response_topic;
  std::optional<std::string_view> correlation;
  std::vector<uint32_t> subscription_identifiers;
  std::optional<uint32_t> session_expiry_s;
  std::optional<std::string_view> assigned_client_id;
  std::optional<uint16_t> server_keep_alive_s;
  std::optional<std::string_view> authentication_method;
  std::optional<std::string_view> authentication_exchange;
  std::optional<uint8_t> request_problem_information;
  std::optional<uint32_t> will_delay_s;
  std::optional<uint8_t> request_response_information;
  std::optional<std::string_view> response_information;
  std::optional<std::string_view> server_reference;
  std::optional<std::string_view> reason_string;
  std::optional<uint16_t> receive_maximum;
  std::optional<uint16_t> topic_alias_maximum;
  std::optional<uint16_t> topic_alias;
  std::optional<uint8_t> maximum_qos;
  std::optional<uint8_t> retain_available;
  std::optional<uint32_t> maximum_packet_size;
  std::optional<uint8_t> wildcard_available;
  std::optional<uint8_t> subscription_identifiers_available;
  std::optional<uint8_t> shared_available;
  std::vector<UserProperty> user;

  // The first user property of that name; nothing where there is none.
  [[nodiscard]] std::optional<std::string_view> user_property(std::string_view name) const {
    for (const UserProperty& each : user) {
      if (each.first == name) return each.second;
    }
    return std::nullopt;
  }
  // That of the only one; nothing where there are more.
  [[nodiscard]] std::optional<std::string_view> sole_user_property(std::string_view name) const {
    const auto is_its = [name](const UserProperty& each) { return each.first == name; };
    return std::ranges::count_if(user, is_its) == 1 ? user_property(name) : std::nullopt;
  }
};

struct Will {
  std::string_view topic;
  std::string_view payload;
  uint8_t qos = 0;
  bool retain = false;
  Properties properties;
};

struct Connect {
  Version version = Version::k5;
  bool clean_start = true;
  uint16_t keep_alive_s = 0;
  std::string_view client_id;
  std::optional<Will> will;
  std::optional<std::string_view> user_name;
  std::optional<std::string_view> password;
  Properties properties;
};

struct Connack {
  bool session_present = false;
  Reason reason = Reason::kSuccess;
  Properties properties;
};

struct Publish {
  bool duplicate = false;
  uint8_t qos = 0;
  bool retain = false;
  std::string_view topic;
  uint16_t packet_id = 0;  // 0 at QoS 0
  Properties properties;
  std::string_view payload;
};

// PUBACK, PUBREC, PUBREL, PUBCOMP.
struct Acknowledgement {
  uint16_t packet_id = 0;
  Reason reason = Reason::kSuccess;
  std::string_view durability = {};  // of PUBACK and PUBREC: the user property "verge-durability"; empty: none
};

struct SubscriptionOptions {
  uint8_t qos = 0;
  bool no_local = false;
  bool retain_as_published = false;
  uint8_t retain_handling = 0;  // 0 send at subscribe, 1 only for a new subscription, 2 never
};

struct SubscriptionRequest {
  std::string_view filter;
  SubscriptionOptions options;
};

struct Subscribe {
  uint16_t packet_id = 0;
  Properties properties;
  std::vector<SubscriptionRequest> requests;
};

struct Unsubscribe {
  uint16_t packet_id = 0;
  std::vector<std::string_view> filters;
};

struct Suback {
  uint16_t packet_id = 0;
  std::vector<uint8_t> codes;
};

struct Disconnect {
  Reason reason = Reason::kSuccess;
  std::optional<uint32_t> session_expiry_s;
};

// MQTT 5.0 section 3.15.
struct Auth {
  Reason reason = Reason::kSuccess;
  std::string_view method;
  std::string_view exchange;  // what the method's messages are; empty: none
};

}  // namespace verge::mqtt
