#include "isolates/socket_records.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "calls/socket_frames.h"

namespace verge::isolates {
namespace {

std::string record(uint8_t type, std::string_view payload) {
  std::string out;
  append_fixed(out, type);
  append_fixed(out, static_cast<uint32_t>(payload.size()));
  return out.append(payload);
}

std::string close_record(uint16_t code, std::string_view reason) {
  std::string payload;
  append_fixed(payload, code);
  return record(8, payload.append(reason));
}

// What a server understands of what went over the line.
struct Server final : net::WebSocketObserver {
  net::WebSocketMessages messages{net::WebSocketMessages::Role::kServer, calls::kMessageBytesMax};
  std::vector<std::string> heard;

  void take(std::string_view wire) { messages.receive(wire, *this); }
  void on_message(bool is_text, std::string_view payload) override {
    heard.push_back((is_text ? "text " : "bytes ") + std::string(payload));
  }
  void on_ping(std::string_view) override { heard.emplace_back("ping"); }
  void on_pong() override { heard.emplace_back("pong"); }
  void on_close(uint16_t code, std::string_view reason) override {
    heard.push_back("close " + std::to_string(code) + " " + std::string(reason));
  }
  void on_broken(uint16_t code, std::string_view) override { heard.push_back("broken " + std::to_string(code)); }
};
using Heard = std::vector<std::string>;

TEST(SocketRecords, MessagesOfTheWorkerGoOverTheLineHoweverTheyAreCut) {
  const std::string records = record(1, "hello") + record(2, std::string(300, '\xff')) + record(1, "") +
                              close_record(4000, "done") + record(1, "lost");
  for (const size_t piece : {1U, 3U, 7U, 1000U}) {
    SocketRecords socket;
    Server server;
    for (size_t at = 0; at < records.size(); at += piece) {
      std::string wire;
      socket.take(std::string_view(records).substr(at, piece), wire);
      server.take(wire);
    }
    EXPECT_EQ(server.heard, (Heard{"text hello", "bytes " + std::string(300, '\xff'), "text ", "close 4000 done"}));
    EXPECT_FALSE(socket.is_over());
  }
}

TEST(SocketRecords, WhatIsNoRecordClosesTheConnection) {
  for (const std::string& nonsense : {record(3, "a"), record(8, "x"), std::string("\x01\xff\xff\xff\xff", 5),
                                      std::string("\x01\x01\x00\x10\x00", 5)}) {
    SocketRecords socket;
    Server server;
    std::string wire;
    socket.take(nonsense, wire);
    server.take(wire);
    EXPECT_EQ(server.heard, Heard{"close 1002 "});
  }
  // A code that nobody may send.
  SocketRecords socket;
  Server server;
  std::string wire;
  socket.take(close_record(1006, ""), wire);
  server.take(wire);
  EXPECT_EQ(server.heard, Heard{"close 1011 "});
}

TEST(SocketRecords, WhatTheServerSendsBecomesRecords) {
  net::WebSocketMessages server(net::WebSocketMessages::Role::kServer, 1000);
  std::string from_server;
  server.append_message(from_server, true, "hello");
  server.append_ping(from_server);
  server.append_message(from_server, false, "\x01");
  server.append_close(from_server, 1000, "bye");
  SocketRecords socket;
  std::string records, wire;
  socket.receive(from_server, records, wire);
  EXPECT_EQ(records, record(1, "hello") + record(2, "\x01") + close_record(1000, "bye"));
  Server heard;
  heard.take(wire);
  EXPECT_EQ(heard.heard, Heard{"pong"});
  EXPECT_FALSE(socket.is_over());
  wire.clear();
  socket.take(close_record(1000, ""), wire);
  EXPECT_TRUE(socket.is_over());
}

TEST(SocketRecords, AnEndWithoutACloseIsSaidOnce) {
  SocketRecords socket;
  std::string records, wire;
  socket.receive("\x81\x81mask", records, wire);  // a server does not mask
  EXPECT_EQ(records, close_record(1006, ""));
  EXPECT_TRUE(socket.is_over());
  records.clear();
  socket.end(records);
  EXPECT_EQ(records, "");
}

TEST(SocketRecords, NoiseOfAWorkerIsBounded) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    SocketRecords socket;
    Server server;
    for (int i = 0; i < 20; ++i) {
      std::string noise(100, '\0'), wire;
      for (char& byte : noise) byte = static_cast<char>(random() % (seed % 2 == 0 ? 256 : 4));
      socket.take(noise, wire);
      server.take(wire);
    }
    for (const std::string& one : server.heard) EXPECT_FALSE(one.starts_with("broken")) << "seed " << seed;
  }
}

}  // namespace
}  // namespace verge::isolates
