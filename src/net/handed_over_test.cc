#include "net/handed_over.h"

#include <cstdlib>

#include <fcntl.h>
#include <gtest/gtest.h>

namespace verge::net {
namespace {

constexpr int kFirst = 200;

class HandedOverTest : public testing::Test {
 protected:
  // A listening socket at the next descriptor; its address.
  std::string hand_over() {
    const Result<Socket> socket = Socket::listen(*Address::parse("127.0.0.1:0"), /*shared=*/false);
    EXPECT_EQ(::dup2(socket->descriptor(), next_), next_);
    return Address::local_of(next_++).text();
  }
  void say(std::string_view names, int count, int pid = ::getpid()) {
    ::setenv("LISTEN_PID", std::to_string(pid).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(count).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", std::string(names).c_str(), 1);
  }
  void TearDown() override {
    for (int descriptor = kFirst; descriptor < next_; ++descriptor) ::close(descriptor);  // those not taken
  }
  int next_ = kFirst;
};

TEST_F(HandedOverTest, NothingOrForAnotherProcess) {
  EXPECT_TRUE(HandedOver::take(kFirst)->check_all_claimed());
  hand_over();
  say("mqtt", 1, 1);
  EXPECT_TRUE(HandedOver::take(kFirst)->check_all_claimed());
  EXPECT_EQ(std::getenv("LISTEN_FDS"), nullptr);
  EXPECT_GE(::fcntl(kFirst, F_GETFL), 0) << "it is left alone";
}

TEST_F(HandedOverTest, IsClaimedByNameAndAddress) {
  const std::string mqtt = hand_over();
  const std::string http = hand_over();
  const std::string other = hand_over();
  say("mqtt:http:verge.socket", 3);
  Result<HandedOver> taken = HandedOver::take(kFirst);
  ASSERT_TRUE(taken.has_value()) << taken.error().line();
  EXPECT_FALSE(taken->claim("http", *Address::parse(mqtt))) << "it is for mqtt";
  EXPECT_FALSE(taken->claim("mqtt", *Address::parse("127.0.0.1:1")));
  const std::optional<Socket> first = taken->claim("mqtt", *Address::parse(mqtt));
  if (!first) FAIL() << "it is there";
  EXPECT_EQ(Address::local_of(first->descriptor()).text(), mqtt);
  EXPECT_NE(::fcntl(first->descriptor(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_NE(::fcntl(first->descriptor(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_FALSE(taken->claim("mqtt", *Address::parse(mqtt))) << "once";
  EXPECT_TRUE(taken->claim("admin", *Address::parse(other))) << "another name leaves it to the address";
  const Result<void> left = taken->check_all_claimed();
  ASSERT_FALSE(left.has_value());
  EXPECT_EQ(left.error().code, "net.handed-over");
  EXPECT_NE(left.error().line().find("set http.listen to " + http), std::string::npos) << left.error().line();
  EXPECT_TRUE(taken->claim("http", *Address::parse(http)));
  EXPECT_TRUE(taken->check_all_claimed());
}

TEST_F(HandedOverTest, WhatIsNoListeningSocketIsRefused) {
  ASSERT_EQ(::dup2(STDERR_FILENO, next_), next_);
  ++next_;
  say("mqtt", 1);
  EXPECT_EQ(HandedOver::take(kFirst).error().code, "net.handed-over");
  say("mqtt", 100'000);
  EXPECT_EQ(HandedOver::take(kFirst).error().code, "net.handed-over");
}

TEST_F(HandedOverTest, IsSharedByAsManyAsAreToAccept) {
  const Address address = *Address::parse(hand_over());
  say("mqtt", 1);
  std::optional<Socket> socket = HandedOver::take(kFirst)->claim("mqtt", address);
  if (!socket) FAIL() << "it is there";
  const Result<std::vector<Socket>> shared = share_listening(std::move(*socket), 3);
  ASSERT_TRUE(shared.has_value());
  ASSERT_EQ(shared->size(), 3U);
  for (const Socket& each : *shared) EXPECT_EQ(Address::local_of(each.descriptor()).text(), address.text());
}

}  // namespace
}  // namespace verge::net
