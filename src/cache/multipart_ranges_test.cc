#include "cache/multipart_ranges.h"

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

TEST(MultipartRanges, AsRfc9110WritesThem) {
  const std::string content = "0123456789abcdef";
  const std::vector<ByteRange> ranges = {{12, 15}, {0, 1}};
  const MultipartRanges made = multipart_ranges(ranges, content.size(), 0, "text/plain", "B");
  EXPECT_EQ(made.content_type, "multipart/byteranges; boundary=B");
  std::string body;
  for (const Delivery::Part& part : made.plan.parts) {
    body.append(part.before.view()).append(content.substr(part.first, part.size.value_or(0)));
  }
  body.append(made.plan.end.view());
  EXPECT_EQ(body,
            "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 12-15/16\r\n\r\ncdef"
            "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/16\r\n\r\n01\r\n--B--\r\n");
  EXPECT_EQ(made.bytes, body.size());
}

TEST(MultipartRanges, OfAPart) {
  const std::vector<ByteRange> ranges = {{100, 109}, {300, 309}};
  const MultipartRanges made = multipart_ranges(ranges, 1000, 90, "", "B");
  EXPECT_EQ(made.plan.parts[0].first, 10U);
  EXPECT_EQ(made.plan.parts[1].first, 210U);
  EXPECT_NE(multipart_boundary(), multipart_boundary());
}

}  // namespace
}  // namespace verge::cache
