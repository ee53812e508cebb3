#include "cache/access_log.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

AccessLogLine line() {
  return {.time = {971'186'136'000'000},
          .client = "192.0.2.1",
          .method = "GET",
          .host = "a.example",
          .target = "/x?y=\"\n127.0.0.1 - - fake\x80",
          .protocol = "HTTP/1.1",
          .referer = "",
          .user_agent = "a\\b",
          .status = 200,
          .bytes = 5,
          .duration = std::chrono::microseconds(1500),
          .cache_status = "\"edge\"; hit",
          .upstream = {},
          .complete = true};
}

TEST(AccessLog, CombinedLinesAreOneLine) {
  std::string out;
  append_line(out, AccessLogFormat::kCombined, line());
  EXPECT_EQ(out,
            "192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /x?y=\\x22\\x0A127.0.0.1 - - fake\\x80 HTTP/1.1\" 200 5 "
            "\"-\" \"a\\x5Cb\"\n");
}

TEST(AccessLog, JsonLinesAreOneLine) {
  std::string out;
  append_line(out, AccessLogFormat::kJson, line());
  EXPECT_EQ(std::ranges::count(out, '\n'), 1);
  EXPECT_TRUE(out.contains(R"("status":200,"bytes":5,"duration_ms":1.500,"cache":"\"edge\"; hit","upstream_ms":null)"))
      << out;
  EXPECT_TRUE(out.contains(R"(/x?y=\"\n127)")) << out;
}

}  // namespace
}  // namespace verge::cache
