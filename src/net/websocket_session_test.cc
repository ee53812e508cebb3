#include "net/websocket_session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "net/listener.h"
#include "net/stream.h"

namespace verge::net {
namespace {

using State = WebSocketSession::State;
using namespace std::string_literals;

std::shared_ptr<const WebSocketOffer> offer(std::vector<std::string> origins = {}) {
  return std::make_shared<const WebSocketOffer>(
      WebSocketOffer{.path = "/mqtt", .protocol = "mqtt", .origins = std::move(origins)});
}

// The example of RFC 6455 section 1.3 with its key.
std::string request(std::string_view more = "", std::string_view target = "/mqtt", std::string_view protocol = "mqtt") {
  return fmt::format(
      "GET {} HTTP/1.1\r\nHost: gateway:8083\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
      "Sec-WebSocket-Protocol: {}\r\n{}\r\n",
      target, protocol, more);
}

std::string frame(uint8_t first, std::string_view payload) {
  std::string made(1, static_cast<char>(first));
  const size_t size = payload.size();
  const int bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
  made.push_back(static_cast<char>(0x80 | (bytes == 0 ? size : bytes == 2 ? 126 : 127)));
  for (int i = bytes - 1; i >= 0; --i) made.push_back(static_cast<char>(size >> (8 * i) & 0xff));
  constexpr std::string_view kMask = "\x11\x22\x33\x44";
  made.append(kMask);
  for (size_t i = 0; i < size; ++i) made.push_back(static_cast<char>(payload[i] ^ kMask[i % 4]));
  return made;
}

std::string receive(WebSocketSession& session, std::string bytes) {
  bytes.resize(session.receive(bytes.data(), bytes.size()));
  return bytes;
}
std::string output(WebSocketSession& session) {
  std::string wire;
  session.take_output(wire);
  return wire;
}

TEST(WebSocketSession, AgreesAsTheStandardsExampleDoes) {
  // clauses: 3 6.0.0-4; 5 6.0.0-4
  WebSocketSession session(offer());
  EXPECT_EQ(receive(session, request("", "/mqtt?a=b", "chat, mqtt") + frame(0x82, "first")), "first");
  EXPECT_EQ(session.state(), State::kOpen);
  EXPECT_EQ(output(session),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n");
}

TEST(WebSocketSession, RefusesWhatIsNotForItWithAnAnswer) {
  const std::pair<std::string, std::string> cases[] = {
      {request("", "/"), "404"},
      {request("", "/mqtt", "mqttv3.1"), "400"},
      {request("Content-Length: 3\r\n"), "400"},
      {request("Origin: https://evil.example\r\n"), "403"},
      {request("Origin: null\r\n"), "403"},
      {"POST" + request().substr(3), "400"},
      {"GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", "426"},
      {"\x16\x03\x01 no HTTP\r\n\r\n", "400"},
      {std::string(9000, 'x'), "400"},
  };
  for (const auto& [asked, status] : cases) {
    WebSocketSession session(offer());
    EXPECT_EQ(receive(session, asked), "");
    EXPECT_EQ(session.state(), State::kFailed) << asked;
    session.output() = "none of this";
    session.close();
    const std::string said = output(session);
    EXPECT_EQ(said.substr(9, 3), status) << asked;
    EXPECT_TRUE(said.ends_with("\r\n\r\n")) << said;
  }
}

TEST(WebSocketSession, PagesOfItsOwnHostAndOfNamedOnesMayConnect) {
  for (const std::string origin : {"http://gateway:8083", "https://gateway:8083", "https://named.example"}) {
    WebSocketSession session(offer({"https://named.example"}));
    receive(session, request("Origin: " + origin + "\r\n"));
    EXPECT_EQ(session.state(), State::kOpen) << origin;
  }
  WebSocketSession session(offer({"*"}));
  receive(session, request("Origin: https://any.example\r\n"));
  EXPECT_EQ(session.state(), State::kOpen);
}

TEST(WebSocketSession, ReadsTheSameHoweverTheBytesWereCut) {
  // clauses: 3 6.0.0-2; 5 6.0.0-2
  const uint64_t seed = system_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  std::string wire = request();
  std::string expected;
  bool in_message = false;
  for (int i = 0; i < 200; ++i) {
    if (random.chance(0.1)) wire += frame(0x8a, "pong");
    std::string payload(random.below(random.chance(0.05) ? 70'000 : 200), static_cast<char>('a' + i % 26));
    const bool is_final = random.chance(0.7);
    wire += frame(static_cast<uint8_t>((is_final ? 0x80 : 0) | (in_message ? 0 : 2)), payload);
    in_message = !is_final;
    expected += payload;
  }
  WebSocketSession session(offer());
  std::string read;
  for (size_t at = 0; at < wire.size();) {
    const size_t piece = 1 + random.below(random.chance(0.5) ? 5 : 5000);
    read += receive(session, wire.substr(at, piece));
    at += piece;
  }
  EXPECT_TRUE(read == expected) << read.size() << " of " << expected.size();
  EXPECT_EQ(session.state(), State::kOpen);
}

TEST(WebSocketSession, WrapsATurnsOutputInOneFrame) {
  WebSocketSession session(offer());
  session.output() = "early";
  EXPECT_EQ(output(session), "");  // it waits for the handshake
  receive(session, request());
  EXPECT_TRUE(
      output(session).ends_with("\r\n\r\n\x82\x05"
                                "early"));
  session.output().append(200, 'x');
  EXPECT_EQ(output(session), "\x82\x7e\x00\xc8"s + std::string(200, 'x'));
  session.output().append(70'000, 'y');
  EXPECT_EQ(output(session), "\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x70"s + std::string(70'000, 'y'));
  session.output().append("last");
  session.close();
  session.close();
  session.output().append("too late");
  EXPECT_EQ(output(session), "\x82\x04last\x88\x02\x03\xe8");
  EXPECT_FALSE(session.has_output());
}

TEST(WebSocketSession, AnswersPingsAndTheEnd) {
  WebSocketSession session(offer());
  receive(session, request());
  output(session);
  EXPECT_EQ(receive(session, frame(0x89, "one") + frame(0x02, "ab") + frame(0x89, "two") + frame(0x80, "cd")), "abcd");
  EXPECT_EQ(output(session), "\x8a\x03one");  // while that waited the second was passed over
  EXPECT_EQ(receive(session, frame(0x88,
                                   "\x03\xe9"
                                   "bye") +
                                 frame(0x82, "behind")),
            "");
  EXPECT_EQ(session.state(), State::kEnded);
  EXPECT_EQ(output(session), "\x88\x02\x03\xe9");
}

TEST(WebSocketSession, FailsOnWhatBreaksTheRules) {
  // clauses: 3 6.0.0-1; 5 6.0.0-1
  const std::pair<std::string, std::string> cases[] = {
      {"\x82\x01x", "\x03\xea"},                                                  // not masked
      {frame(0xc2, "x"), "\x03\xea"},                                             // a reserved bit
      {frame(0x83, "x"), "\x03\xea"},                                             // an unknown opcode
      {frame(0x80, "x"), "\x03\xea"},                                             // continues nothing
      {frame(0x02, "x") + frame(0x82, "x"), "\x03\xea"},                          // within a message
      {frame(0x09, "x"), "\x03\xea"},                                             // a fragment of a ping
      {frame(0x89, std::string(126, 'x')), "\x03\xea"},                           // too long a ping
      {"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"s, "\x03\xea"},  // a length beyond 2^63
      {frame(0x81, "text"), "\x03\xeb"},
  };
  for (const auto& [bytes, code] : cases) {
    WebSocketSession session(offer());
    receive(session, request());
    output(session);
    receive(session, bytes);
    EXPECT_EQ(session.state(), State::kFailed);
    EXPECT_EQ(output(session), "\x88\x02" + code);
  }
}

// A stream over it, seen from a peer that speaks the bytes.
struct End final : StreamObserver {
  End(runtime::Loop& loop, Socket socket) : stream(loop, std::move(socket), *this) {}
  void on_bytes(std::string_view bytes) override {
    received.append(bytes);
    if (then) then();
  }
  void on_closed(std::string_view) override {
    closed = true;
    if (then) then();
  }
  TcpStream stream;
  std::string received;
  bool closed = false;
  std::function<void()> then;
};

TEST(WebSocketSession, AStreamSpeaksItWithoutKnowing) {
  runtime::Loop loop("test");
  std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
  const Address address = Address::local_of(sockets[0].descriptor());
  std::unique_ptr<End> server;
  TcpListener listener(loop, std::move(sockets[0]), [&](Socket socket) {
    socket.speak(std::make_unique<WebSocketSession>(offer()));
    server = std::make_unique<End>(loop, std::move(socket));
    server->then = [&] {
      if (server->received != "hello") return;
      server->stream.write("good");
      server->stream.write(Payload("bye"), 0, 3);
      server->stream.close_when_drained();
    };
  });
  End client(loop, std::move(*Socket::connect(address)));
  client.stream.write(request() + frame(0x02, "hel") + frame(0x80, "lo"));
  client.then = [&] {
    if (client.closed) loop.stop();
  };
  loop.run();
  EXPECT_TRUE(client.received.ends_with("\r\n\r\n\x82\x07goodbye\x88\x02\x03\xe8")) << client.received;
}

}  // namespace
}  // namespace verge::net
