#include "node/worker_routes.h"

#include <gtest/gtest.h>

namespace verge::node {
namespace {

using cache::CodePosition;

TEST(WorkerRoute, IsAHostAndAPath) {
  const auto route = parse_worker_route("Example.com/api/*");
  ASSERT_TRUE(route.has_value());
  EXPECT_EQ(*route, (WorkerRoute{.host = "example.com", .path = "/api/", .is_prefix = true}));
  EXPECT_EQ(text_of(*route), "example.com/api/*");
  EXPECT_EQ(*parse_worker_route("a.example/x"), (WorkerRoute{.host = "a.example", .path = "/x"}));
  EXPECT_EQ(*parse_worker_route("*.example.com/*"),
            (WorkerRoute{.host = "*.example.com", .path = "/", .is_prefix = true}));
  EXPECT_EQ(*parse_worker_route("*/health"), (WorkerRoute{.host = "*", .path = "/health"}));
  EXPECT_EQ(*parse_worker_route("example.com"), (WorkerRoute{.host = "example.com", .path = "/", .is_prefix = true}));
}

TEST(WorkerRoute, WhatIsNoneIsRefused) {
  for (const std::string text :
       {"", "/api", "https://example.com/", "exa mple/", "example.com/a*b", "example.com/a//b", "example.com/%41",
        "example.com/../x", "example.com/a?b", "*.*/", ".com/", "example.com./", "ex*mple.com/"}) {
    const auto route = parse_worker_route(text);
    ASSERT_FALSE(route.has_value()) << text;
    EXPECT_EQ(route.error().code, "workers.route");
  }
  EXPECT_FALSE(parse_worker_route(std::string(3000, 'a')).has_value());
}

size_t added(WorkerRoutes& routes, std::string_view text, size_t worker, CodePosition at = CodePosition::kMiss) {
  routes.add(*parse_worker_route(text), at, worker);
  return worker;
}

TEST(WorkerRoutes, TheMostSpecificCounts) {
  WorkerRoutes routes;
  EXPECT_TRUE(routes.empty());
  added(routes, "*/*", 0);
  added(routes, "*.example.com/*", 1);
  added(routes, "*.b.example.com/x*", 2);
  added(routes, "example.com/*", 3);
  added(routes, "example.com/api/*", 4);
  added(routes, "example.com/api/one", 5);
  added(routes, "example.com/api/*", 6);
  EXPECT_FALSE(routes.empty());
  const auto find = [&](std::string_view host, std::string_view path) {
    return routes.find(CodePosition::kMiss, host, path);
  };
  EXPECT_EQ(find("other.org", "/"), 0U);
  EXPECT_EQ(find("a.example.com", "/"), 1U);
  EXPECT_EQ(find("a.b.example.com", "/xy"), 2U);
  EXPECT_EQ(find("a.b.example.com", "/y"), 1U);
  EXPECT_EQ(find("Example.COM:8080", "/"), 3U);
  EXPECT_EQ(find("example.com", "/api/two"), 4U);
  EXPECT_EQ(find("example.com", "/api/one"), 5U);
  EXPECT_EQ(find("example.com", "/api/one/"), 4U);
}

TEST(WorkerRoutes, PathsAreComparedPlain) {
  WorkerRoutes routes;
  added(routes, "example.com/admin/*", 7);
  for (const std::string_view path : {"/admin/x", "/%61dmin/x", "//admin/x", "/a/../admin/x"}) {
    EXPECT_EQ(routes.find(CodePosition::kMiss, "example.com", path), 7U) << path;
  }
  EXPECT_EQ(routes.find(CodePosition::kMiss, "example.com", "/adminx"), WorkerRoutes::kNone);
}

TEST(WorkerRoutes, PositionsAreApart) {
  WorkerRoutes routes;
  added(routes, "example.com/*", 1, CodePosition::kBefore);
  added(routes, "example.com/*", 2, CodePosition::kOriginAnswer);
  EXPECT_EQ(routes.find(CodePosition::kBefore, "example.com", "/"), 1U);
  EXPECT_EQ(routes.find(CodePosition::kOriginAnswer, "example.com", "/"), 2U);
  EXPECT_EQ(routes.find(CodePosition::kMiss, "example.com", "/"), WorkerRoutes::kNone);
  EXPECT_EQ(routes.find(CodePosition::kClientAnswer, "example.com", "/"), WorkerRoutes::kNone);
}

}  // namespace
}  // namespace verge::node
