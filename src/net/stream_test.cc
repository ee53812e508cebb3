#include "net/stream.h"

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
