#include "net/proxy_header.h"

#include <string>

#include <gtest/gtest.h>

namespace verge::net {
namespace {

using Progress = ProxyHeader::Progress;

std::string v2(unsigned command, unsigned family, std::string_view body) {
  std::string bytes("\r\n\r\n\0\r\nQUIT\n", 12);
  bytes.push_back(static_cast<char>(0x20U | command));
  bytes.push_back(static_cast<char>(family));
  bytes.push_back(static_cast<char>(body.size() >> 8U));
  bytes.push_back(static_cast<char>(body.size() & 255U));
  return bytes.append(body);
}

void expect_client(const std::string& bytes, std::string_view client) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(ProxyHeader::parse(std::string_view(bytes).substr(0, i)).progress, Progress::kNeedMore) << i;
  }
  const ProxyHeader header = ProxyHeader::parse(bytes + "GET /");
  EXPECT_EQ(header.progress, Progress::kDone);
  EXPECT_EQ(header.bytes, bytes.size());
  EXPECT_EQ(header.client ? header.client->text() : "none", client);
}

TEST(ProxyHeader, ReadsVersion1) {
  expect_client("PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n", "192.0.2.1:4711");
  expect_client("PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", "[2001:db8::1]:4711");
  expect_client("PROXY UNKNOWN\r\n", "none");
  expect_client("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "none");
}

TEST(ProxyHeader, ReadsVersion2) {
  expect_client(v2(1, 0x11, std::string_view("\x01\x02\x03\x04\x0a\x00\x00\x01\x12\x67\x00\x50", 12)), "1.2.3.4:4711");
  expect_client(v2(1, 0x21, std::string(15, '\0') + "\x01" + std::string(16, '\0') + std::string("\0\1\0\2", 4)),
                "[::1]:1");
  expect_client(v2(0, 0x11, ""), "none");
  expect_client(v2(1, 0x11, std::string(12, '\1') + std::string(500, 'x')), "1.1.1.1:257");
}

TEST(ProxyHeader, RefusesAllElse) {
  const std::string bad[] = {"GET / HTTP/1.1\r\n",
                             "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
                             "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
                             "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
                             "PROXY TCP4 a.b.c.d 5.6.7.8 1 2\r\n",
                             "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
                             "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
                             "PROXY TCP4 1.2.3.4 5.6.7.8 70000 2\r\n",
                             "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
                             "PROXY TCP4 " + std::string(200, '1'),
                             v2(2, 0x11, std::string(12, 'x')),
                             v2(1, 0x11, "short"),
                             v2(1, 0x41, std::string(12, 'x')),
                             v2(1, 0x11, std::string(3000, 'x'))};
  for (const std::string& bytes : bad) {
    EXPECT_EQ(ProxyHeader::parse(bytes).progress, Progress::kRefused) << bytes;
  }
}

}  // namespace
}  // namespace verge::net
