// What goes over the line of a WebSocket (RFC 6455): the bits of a frame's head, opcodes, close codes, the key's
// answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace verge::net::websocket {

// Of the first byte of a head, and of the second (section 5.2).
inline constexpr uint8_t kFinal = 0x80;
inline constexpr uint8_t kReserved = 0x70;
inline constexpr uint8_t kMasked = 0x80;

// Opcodes.
inline constexpr uint8_t kContinuation = 0;
inline constexpr uint8_t kText = 1;
inline constexpr uint8_t kBinary = 2;
inline constexpr uint8_t kClose = 8;
inline constexpr uint8_t kPing = 9;
inline constexpr uint8_t kPong = 10;

// Close codes (section 7.4.1).
inline constexpr uint16_t kNormal = 1000;
inline constexpr uint16_t kGoingAway = 1001;
inline constexpr uint16_t kProtocolError = 1002;
inline constexpr uint16_t kUnsupported = 1003;
inline constexpr uint16_t kNoCode = 1005;    // never sent: the Close had none
inline constexpr uint16_t kAbnormal = 1006;  // never sent: there was no Close
inline constexpr uint16_t kNotUtf8 = 1007;
inline constexpr uint16_t kTooBig = 1009;
inline constexpr uint16_t kInternalError = 1011;
inline constexpr size_t kReasonBytesMax = 123;

// A code that an end may send.
bool may_be_sent(uint16_t code);
// Sec-WebSocket-Accept for a client's key (section 4.2.2).
std::string accept_of(std::string_view key);
// A key as clients send it: 16 bytes in Base64.
bool is_key(std::string_view key);

}  // namespace verge::net::websocket
