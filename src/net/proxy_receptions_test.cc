#include "net/proxy_receptions.h"

#include <array>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace verge::net {
namespace {

class Receptions : public testing::Test {
 protected:
  // A connection; the other end.
  Socket connect() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    receptions_.take(Socket(ends[0]), [this](Socket socket) { accepted_.push_back(std::move(socket)); });
    return Socket(ends[1]);
  }
  static void send(const Socket& socket, std::string_view bytes) {
    EXPECT_EQ(::send(socket.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  static std::string read(const Socket& socket) {
    std::array<char, 4096> bytes{};
    const ssize_t got = ::recv(socket.descriptor(), bytes.data(), bytes.size(), 0);
    return {bytes.data(), got > 0 ? static_cast<size_t>(got) : 0};
  }
  static bool is_closed(const Socket& socket) {
    char byte = 0;
    const ssize_t got = ::recv(socket.descriptor(), &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }
  // Turns of the loop, in which what is ready is seen to.
  void turn() {
    for (int i = 0; i < 3; ++i) {
      loop_.post([this] { loop_.stop(); });
      loop_.run();
    }
  }

  runtime::Loop loop_{"test"};
  ProxyReceptions receptions_{loop_, {.time_max = std::chrono::milliseconds(20), .pending_max = 3}};
  std::vector<Socket> accepted_;
};

TEST_F(Receptions, TakesTheHeaderAndNoMore) {
  const Socket proxy = connect();
  send(proxy, "PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\nwhat follows");
  turn();
  ASSERT_EQ(accepted_.size(), 1U);
  EXPECT_EQ(accepted_[0].peer().text(), "192.0.2.7:4711");
  EXPECT_EQ(read(accepted_[0]), "what follows");
  EXPECT_EQ(receptions_.pending(), 0U);
  EXPECT_EQ(receptions_.refused().value(), 0U);
}

TEST_F(Receptions, TakesItInWhateverPieces) {
  std::string header("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\x07\x5b", 28);
  for (size_t cut = 1; cut < header.size(); ++cut) {
    accepted_.clear();
    const Socket proxy = connect();
    send(proxy, header.substr(0, cut));
    turn();
    EXPECT_TRUE(accepted_.empty());
    send(proxy, header.substr(cut) + "\x10");
    turn();
    ASSERT_EQ(accepted_.size(), 1U) << cut;
    EXPECT_EQ(accepted_[0].peer().text(), "192.0.2.7:4711");
    EXPECT_EQ(read(accepted_[0]), "\x10");
  }
}

TEST_F(Receptions, AProxyThatSpeaksForItselfIsThePeer) {
  const Socket proxy = connect();
  send(proxy, std::string("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16));
  turn();
  ASSERT_EQ(accepted_.size(), 1U);
  EXPECT_EQ(accepted_[0].peer().family(), AF_UNIX);
}

TEST_F(Receptions, ClosesWhatDoesNotBeginSo) {
  const Socket device = connect();
  send(device, std::string("\x10\x0c\0\4MQTT", 8));
  turn();
  EXPECT_TRUE(is_closed(device));
  {
    const Socket leaving = connect();
    send(leaving, "PROXY TCP4 ");
  }
  turn();
  EXPECT_TRUE(accepted_.empty());
  EXPECT_EQ(receptions_.pending(), 0U);
  EXPECT_EQ(receptions_.refused().value(), 2U);
}

TEST_F(Receptions, DoNotWaitForEver) {
  const Socket silent = connect();
  while (receptions_.pending() > 0) turn();
  EXPECT_TRUE(is_closed(silent));
}

TEST_F(Receptions, OneTooManyClosesTheOldest) {
  std::vector<Socket> proxies;
  for (int i = 0; i < 4; ++i) proxies.push_back(connect());
  EXPECT_EQ(receptions_.pending(), 3U);
  EXPECT_TRUE(is_closed(proxies[0]));
  send(proxies[3], "PROXY UNKNOWN\r\n");
  turn();
  EXPECT_EQ(accepted_.size(), 1U);
}

}  // namespace
}  // namespace verge::net
