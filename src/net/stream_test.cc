#include "net/stream.h"

#include <random>

#include <gtest/gtest.h>

#include "net/listener.h"

namespace verge::net {
namespace {

// Echoes, or collects.
struct Peer final : StreamObserver {
  Peer(runtime::Loop& loop, Socket socket, bool echoes) : stream(loop, std::move(socket), *this), echo(echoes) {}
  void on_bytes(std::string_view bytes) override {
    received.append(bytes);
    if (echo) stream.write(bytes);
    if (then) then();
  }
  void on_closed(std::string_view) override {
    closed = true;
    if (then) then();
  }
  TcpStream stream;
  bool echo;
  std::string received;
  bool closed = false;
  std::function<void()> then;
};

TEST(Stream, EchoesMoreThanTheKernelBuffers) {
  runtime::Loop loop("test");
  std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
  const Address address = Address::local_of(sockets[0].descriptor());
  std::unique_ptr<Peer> server;
  TcpListener listener(loop, std::move(sockets[0]),
                       [&](Socket socket) { server = std::make_unique<Peer>(loop, std::move(socket), true); });
  Peer client(loop, std::move(*Socket::connect(address)), false);
  const std::string big(20U << 20, 'x');
  client.stream.write(big);
  client.then = [&] {
    if (client.received.size() == big.size()) loop.stop();
  };
  loop.run();
  EXPECT_EQ(client.received, big);
}

TEST(Stream, TheOtherEndLearnsOfAClose) {
  runtime::Loop loop("test");
  std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
  const Address address = Address::local_of(sockets[0].descriptor());
  std::unique_ptr<Peer> server;
  TcpListener listener(loop, std::move(sockets[0]), [&](Socket socket) {
    server = std::make_unique<Peer>(loop, std::move(socket), false);
    server->stream.write("bye");
    server->stream.close_when_drained();
  });
  Peer client(loop, std::move(*Socket::connect(address)), false);
  client.then = [&] {
    if (client.closed) loop.stop();
  };
  loop.run();
  EXPECT_EQ(client.received, "bye");
}

// A buffer of the kernel so small that writing blocks again and again.
void shrink_send_buffer(const Socket& socket) {
  const int bytes = 16 << 10;
  ASSERT_EQ(::setsockopt(socket.descriptor(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

TEST(Stream, WritesTextAndSharedPayloadsInOrder) {
  runtime::Loop loop("test");
  std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
  const Address address = Address::local_of(sockets[0].descriptor());
  std::unique_ptr<Peer> server;
  TcpListener listener(loop, std::move(sockets[0]), [&](Socket socket) {
    server = std::make_unique<Peer>(loop, std::move(socket), false);
    server->then = [&] {
      if (server->closed) loop.stop();
    };
  });
  std::mt19937 random(3);
  const auto below = [&](size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random); };
  std::string text;
  while (text.size() < (100U << 10)) text += fmt::format("{}.", text.size());
  const Payload shared(text);
  Socket socket = std::move(*Socket::connect(address));
  shrink_send_buffer(socket);
  Peer client(loop, std::move(socket), false);
  std::string expected;
  runtime::Timer more(loop);
  // Some each turn, so that pieces come while others are half sent.
  const std::function<void()> write_some = [&] {
    for (size_t i = below(8); i > 0; --i) {
      const size_t offset = below(text.size());
      const size_t size = below(std::min<size_t>(text.size() - offset, below(2) == 0 ? 200 : 60'000) + 1);
      if (below(2) == 0) {
        client.stream.write(std::string_view(text).substr(offset, size));
      } else {
        client.stream.write(shared, offset, size);
      }
      expected.append(text, offset, size);
    }
    EXPECT_EQ(client.stream.queued_bytes() + client.stream.sent_bytes(), expected.size());
    if (expected.size() < (1U << 20)) return more.after(Duration(1), write_some);
    client.stream.close_when_drained();
  };
  write_some();
  loop.run();
  EXPECT_TRUE(server->received == expected) << server->received.size() << " of " << expected.size();
  EXPECT_EQ(client.stream.queued_bytes(), 0U);
}

TEST(Stream, WhatAPeerSentBeforeItBrokeOffIsRead) {
  runtime::Loop loop("test");
  std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
  const Address address = Address::local_of(sockets[0].descriptor());
  std::unique_ptr<Peer> server;
  TcpListener listener(loop, std::move(sockets[0]), [&](Socket socket) {
    server = std::make_unique<Peer>(loop, std::move(socket), false);
    server->then = [&] {
      server->stream.write("enough");
      server->stream.close();  // over unread input: the connection is reset
    };
  });
  Peer client(loop, std::move(*Socket::connect(address)), false);
  client.stream.write(std::string(20U << 20, 'x'));
  client.then = [&] {
    if (!client.closed) return client.stream.write("more");
    loop.stop();
  };
  loop.run();
  EXPECT_EQ(client.received, "enough");
  EXPECT_TRUE(client.stream.was_cut());
}

TEST(Stream, APeerThatGoesOnSendingIsHeardOutSoThatItLearnsWhatItWasToldLast) {
  runtime::Loop loop("test");
  std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
  const Address address = Address::local_of(sockets[0].descriptor());
  std::unique_ptr<Peer> server;
  TcpListener listener(loop, std::move(sockets[0]), [&](Socket socket) {
    server = std::make_unique<Peer>(loop, std::move(socket), false);
    server->then = [&] {
      server->stream.write("enough");
      server->stream.close_when_heard();
    };
  });
  Peer client(loop, std::move(*Socket::connect(address)), false);
  client.stream.write(std::string(20U << 20, 'x'));
  client.then = [&] {
    if (client.closed) loop.stop();
  };
  loop.run();
  EXPECT_EQ(client.received, "enough");
  EXPECT_FALSE(client.stream.was_cut());
  EXPECT_TRUE(server->stream.is_lingering());
  client.stream.close();
  server->stream.close();
  EXPECT_FALSE(server->stream.is_lingering());
}

TEST(Listener, APortInUseIsRefusedWithWhatToDo) {
  const std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 2);
  const Result<std::vector<Socket>> second = listen_on_loops(Address::local_of(sockets[0].descriptor()), 2);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, "net.port-in-use");
}

TEST(Address, ParsesBothFamiliesAndRefusesTheRest) {
  EXPECT_EQ(Address::parse("127.0.0.1:1883")->text(), "127.0.0.1:1883");
  EXPECT_EQ(Address::parse("[::1]:80")->text(), "[::1]:80");
  EXPECT_EQ(Address::parse("localhost:0")->port(), 0);
  for (const char* bad : {"", "1883", "127.0.0.1:", "127.0.0.1:65536", "::1:80", ":80", "127.0.0.1:8x"}) {
    EXPECT_FALSE(Address::parse(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace verge::net
