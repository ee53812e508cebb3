#include "net/local_end.h"

#include <gtest/gtest.h>

#include "net/http_client.h"
#include "net/listener.h"

namespace verge::net {
namespace {

TEST(LocalEnd, AddressesAndInterfaces) {
  EXPECT_EQ(LocalEnd::parse("")->address.family(), AF_UNSPEC);
  EXPECT_EQ(LocalEnd::parse("192.168.7.2")->address.text(), "192.168.7.2:0");
  EXPECT_EQ(LocalEnd::parse("fd00::7")->address.text(), "[fd00::7]:0");
  EXPECT_EQ(LocalEnd::parse("wwan0")->interface, "wwan0");
  EXPECT_EQ(LocalEnd::parse("eth0.7")->interface, "eth0.7");
  for (const char* text : {"192.168.7.2:80", "an interface", "a/b", ".", "sixteenletters00", "http://x"}) {
    const Result<LocalEnd> refused = LocalEnd::parse(text);
    ASSERT_FALSE(refused.has_value()) << text;
    EXPECT_EQ(refused.error().code, "net.local-end");
  }
}

class SendingFrom : public ::testing::Test {
 protected:
  // Whom the server saw, or the error's words.
  std::string connect_from(const std::string& text) {
    runtime::Loop loop("test");
    std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
    const Address address = Address::local_of(sockets[0].descriptor());
    std::string seen;
    TcpListener listener(loop, std::move(sockets[0]), [&](const Socket& socket) {
      seen = Address::peer_of(socket.descriptor()).text();
      loop.stop();
    });
    runtime::Timer guard(loop);
    guard.after(std::chrono::seconds(10), [&] { loop.stop(); });
    HttpClient client(loop, address, "server", {}, nullptr, *LocalEnd::parse(text));
    client.request({}, [&](const Result<HttpAnswer>& answer) {
      if (!answer && seen.empty()) seen = answer.error().line();
      loop.stop();
    });
    loop.run();
    return seen;
  }
};

TEST_F(SendingFrom, AnAddress) { EXPECT_TRUE(connect_from("127.9.8.7").starts_with("127.9.8.7:")); }

TEST_F(SendingFrom, AnInterface) { EXPECT_TRUE(connect_from("lo").starts_with("127.0.0.1:")); }

TEST_F(SendingFrom, WhatThisMachineDoesNotHave) {
  EXPECT_EQ(connect_from("198.51.100.7"),
            "cannot send from 198.51.100.7: Cannot assign requested address; give an address or an interface that this "
            "machine has (ip addr) [http.connect-failed]");
  EXPECT_NE(connect_from("nosuchif0").find("cannot send from nosuchif0"), std::string::npos);
  EXPECT_NE(connect_from("fd00::7").find("cannot send from [fd00::7]: Address family"), std::string::npos);
}

}  // namespace
}  // namespace verge::net
