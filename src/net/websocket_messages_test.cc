#include "net/websocket_messages.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace verge::net {
namespace {

using Role = WebSocketMessages::Role;

// What came, as lines.
struct Story final : WebSocketObserver {
  std::vector<std::string> lines;
  WebSocketMessages* stops = nullptr;  // after each message

  void on_message(bool is_text, std::string_view payload) override {
    lines.push_back((is_text ? "text " : "bytes ") + std::string(payload));
    if (stops != nullptr) stops->stop();
  }
  void on_ping(std::string_view payload) override { lines.push_back("ping " + std::string(payload)); }
  void on_pong() override { lines.emplace_back("pong"); }
  void on_close(uint16_t code, std::string_view reason) override {
    lines.push_back("close " + std::to_string(code) + " " + std::string(reason));
  }
  void on_broken(uint16_t code, std::string_view) override { lines.push_back("broken " + std::to_string(code)); }
};
using Lines = std::vector<std::string>;

std::string frame(uint8_t first, std::string_view payload, bool masked = true) {
  std::string out(1, static_cast<char>(first));
  const size_t size = payload.size();
  const int bytes = size < 126 ? 0 : size <= 0xffff ? 2 : 8;
  out.push_back(static_cast<char>((bytes == 0 ? size : bytes == 2 ? 126 : 127) | (masked ? 0x80 : 0)));
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(size >> (8 * i) & 0xff));
  if (!masked) return out.append(payload);
  constexpr std::string_view kMask = "\x37\xfa\x21\x3d";
  out.append(kMask);
  for (size_t i = 0; i < size; ++i) out.push_back(static_cast<char>(payload[i] ^ kMask[i % 4]));
  return out;
}

Lines heard(std::string_view bytes, size_t piece = 1'000'000, size_t max = 1000, Role role = Role::kServer) {
  WebSocketMessages messages(role, max);
  Story story;
  while (!bytes.empty()) {
    const size_t taken = messages.receive(bytes.substr(0, piece), story);
    if (messages.is_over()) break;
    EXPECT_EQ(taken, std::min(piece, bytes.size()));
    bytes.remove_prefix(taken);
  }
  return story.lines;
}

TEST(WebSocketMessages, ComeWholeHoweverTheyAreCut) {
  const std::string long_text(70'000, 'x'), middle(300, 'y');
  const std::string wire = frame(0x81, "Hello") + frame(0x82, std::string("\0\xff", 2)) + frame(0x01, "a") +
                           frame(0x89, "there?") + frame(0x00, "b") + frame(0x80, "c") + frame(0x82, middle) +
                           frame(0x8a, "") + frame(0x81, "") + frame(0x82, long_text) + frame(0x88, "\x03\xe8over") +
                           frame(0x81, "not read");
  const Lines expected = {"text Hello",      "bytes " + std::string("\0\xff", 2),
                          "ping there?",     "text abc",
                          "bytes " + middle, "pong",
                          "text ",           "bytes " + long_text,
                          "close 1000 over"};
  for (const size_t piece : {1U, 2U, 3U, 7U, 1000U, 1'000'000U})
    EXPECT_EQ(heard(wire, piece, 70'000), expected) << piece;
}

TEST(WebSocketMessages, WhatBreaksARuleFailsWithItsCode) {
  const auto fails = [](std::string_view wire, int code) {
    EXPECT_EQ(heard(wire), Lines{"broken " + std::to_string(code)});
    EXPECT_EQ(heard(wire, 1), Lines{"broken " + std::to_string(code)});
  };
  for (const int bit : {0x10, 0x20, 0x40}) fails(frame(static_cast<uint8_t>(0x81 | bit), "a"), 1002);
  for (const int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15})
    fails(frame(static_cast<uint8_t>(0x80 | opcode), ""), 1002);
  fails(frame(0x81, "a", /*masked=*/false), 1002);
  fails(frame(0x09, "a"), 1002);                              // a control frame in fragments
  fails(frame(0x89, std::string(126, 'a')), 1002);            // a long one
  fails(frame(0x80, "a"), 1002);                              // a continuation of nothing
  fails(frame(0x01, "a") + frame(0x81, "b"), 1002);           // a message within another
  fails("\x82\xff" + std::string(8, '\xff') + "mask", 1002);  // a length of more than 63 bits
  fails(frame(0x82, std::string(1001, 'a')), 1009);
  fails(frame(0x02, std::string(600, 'a')) + frame(0x80, std::string(600, 'a')), 1009);
  fails(std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10) + "mask", 1009);
  fails(frame(0x81, "\xff"), 1007);
  fails(frame(0x81, "\xed\xa0\x80"), 1007);  // a surrogate
  fails(frame(0x01, "\xe4\xb8") + frame(0x80, "x"), 1007);
  // Of a close.
  fails(frame(0x88, "a"), 1002);
  for (const int code : {0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535}) {
    const std::string payload = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
    fails(frame(0x88, payload), 1002);
  }
  fails(frame(0x88, "\x03\xe8\xff"), 1007);
}

TEST(WebSocketMessages, ACharacterMayBeSplitBetweenFragments) {
  EXPECT_EQ(heard(frame(0x01, "\xe4\xb8") + frame(0x80, "\xad")), Lines{"text \u4e2d"});
}

TEST(WebSocketMessages, ACloseMayHaveNoCode) { EXPECT_EQ(heard(frame(0x88, "")), Lines{"close 1005 "}); }

TEST(WebSocketMessages, TheReaderMayStopBehindAMessage) {
  WebSocketMessages messages(Role::kServer, 100);
  Story story;
  story.stops = &messages;
  const std::string first = frame(0x81, "one"), second = frame(0x81, "two");
  EXPECT_EQ(messages.receive(first + second, story), first.size());
  EXPECT_EQ(story.lines, Lines{"text one"});
  EXPECT_EQ(messages.receive(second, story), second.size());
  EXPECT_EQ(story.lines, (Lines{"text one", "text two"}));
}

TEST(WebSocketMessages, EachEndUnderstandsTheOther) {
  for (const bool from_client : {true, false}) {
    WebSocketMessages sender(from_client ? Role::kClient : Role::kServer, 1000);
    std::string wire;
    sender.append_message(wire, true, "a text");
    sender.append_message(wire, false, std::string(200, '\xff'));
    sender.append_ping(wire);
    sender.append_pong(wire, "x");
    sender.append_close(wire, 4001, std::string(122, 'r') + "\u00e9");  // whose last character does not fit
    EXPECT_EQ(heard(wire, 5, 1000, from_client ? Role::kServer : Role::kClient),
              (Lines{"text a text", "bytes " + std::string(200, '\xff'), "ping ", "pong",
                     "close 4001 " + std::string(122, 'r')}));
    wire.clear();
    sender.append_close(wire, websocket::kNoCode, "is not said");
    EXPECT_EQ(heard(wire, 5, 1000, from_client ? Role::kServer : Role::kClient), Lines{"close 1005 "});
  }
}

TEST(WebSocketMessages, KeysAndTheirAnswers) {
  // RFC 6455 section 1.3.
  EXPECT_EQ(websocket::accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_TRUE(websocket::is_key("dGhlIHNhbXBsZSBub25jZQ=="));
  for (const std::string_view bad : {"", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZWE=", "no key at all!!"}) {
    EXPECT_FALSE(websocket::is_key(bad)) << bad;
  }
}

TEST(WebSocketMessages, NoiseNeverMakesMoreThanItIs) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    std::string noise(500, '\0');
    for (char& byte : noise) byte = static_cast<char>(random());
    if (seed % 2 == 0) noise = frame(0x81, "begin") + noise;
    size_t bytes = 0;
    for (const std::string& line : heard(noise, 1 + seed % 50)) bytes += line.size();
    EXPECT_LE(bytes, 20 * noise.size()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace verge::net
