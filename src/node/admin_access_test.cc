#include "node/admin_access.h"

#include <gtest/gtest.h>

#include "net/address.h"

namespace verge::node {
namespace {

struct Asked {
  std::string_view peer = "127.0.0.1:40000";
  std::string_view host = "127.0.0.1:9180";
  std::string_view method = "GET";
  std::string_view path = "/v1/status";
  std::vector<net::HttpField> fields;
};

std::string refusal(const Asked& asked, const std::vector<std::string>& tokens = {}) {
  const AdminAccess access(std::make_shared<const net::BearerTokens>(tokens));
  const net::Address peer = *net::Address::parse(std::string(asked.peer));
  const net::HttpRequest request{.method = asked.method,
                                 .target = asked.path,
                                 .host = asked.host,
                                 .path = asked.path,
                                 .query = {},
                                 .fields = asked.fields,
                                 .body = {},
                                 .peer = peer};
  const auto refused = access.refusal(request);
  return refused ? std::string(refused->error.code) : "";
}

TEST(AdminAccess, IsForThisMachineAndForWhoHasAToken) {
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal({}, {"secret"}), "") << "from here none is needed";
  EXPECT_EQ(refusal({.peer = "10.0.0.7:1", .host = "node:9180"}), "") << "the listener was opened to others";
  EXPECT_EQ(refusal({.peer = "10.0.0.7:1"}, {"secret"}), "admin.unauthorized");
  EXPECT_EQ(refusal({.peer = "10.0.0.7:1", .fields = {{"Authorization", "Bearer other"}}}, {"secret"}),
            "admin.unauthorized");
  EXPECT_EQ(refusal({.peer = "10.0.0.7:1", .host = "node", .fields = {{"Authorization", "Bearer secret"}}}, {"secret"}),
            "");
  EXPECT_EQ(refusal({.peer = "10.0.0.7:1", .path = "/healthz"}, {"secret"}), "");
}

TEST(AdminAccess, IsNotForPagesWhoseNameWasMadeToPointHere) {
  EXPECT_EQ(refusal({.host = "evil.example:9180"}), "admin.host");
  EXPECT_EQ(refusal({.host = "127.0.0.1.evil.example"}), "admin.host");
  EXPECT_EQ(refusal({.host = "evil.example:9180", .fields = {{"Authorization", "Bearer secret"}}}, {"secret"}), "");
  for (const char* host : {"localhost", "localhost:9180", "LOCALHOST:1", "[::1]:9180", "[::1]", "127.0.0.1", ""}) {
    EXPECT_EQ(refusal({.host = host}), "") << host;
  }
}

TEST(AdminAccess, ChangesAreNotForPagesOfElsewhere) {
  const auto post = [](std::string_view origin, std::string_view host) {
    return refusal({.host = host, .method = "POST", .path = "/v1/purge", .fields = {{"Origin", origin}}});
  };
  EXPECT_EQ(refusal({.method = "POST"}), "");
  EXPECT_EQ(post("http://127.0.0.1:9180", "127.0.0.1:9180"), "");
  EXPECT_EQ(post("http://evil.example", "127.0.0.1:9180"), "http.from-page");
  EXPECT_EQ(post("http://127.0.0.1:8000", "127.0.0.1:9180"), "http.from-page");
  EXPECT_EQ(post("null", "127.0.0.1:9180"), "http.from-page");
  EXPECT_EQ(refusal({.fields = {{"Origin", "http://evil.example"}}}), "") << "its page may not read the answer";
}

}  // namespace
}  // namespace verge::node
