#include "calls/socket_frames.h"

#include <gtest/gtest.h>

namespace verge::calls {
namespace {

TEST(SocketFrames, AMessageOfTheLargestSizeFitsAFrame) {
  std::string out;
  append_frame(out, FrameType::kSocketMessage, 7, std::string(kMessageBytesMax, 'x'), kText);
  const FrameReader::Step step = FrameReader::next(out);
  ASSERT_EQ(step.progress, FrameReader::Progress::kFrame);
  EXPECT_EQ(step.frame.payload.size(), kMessageBytesMax);
  EXPECT_LE(socket_cost(kMessageBytesMax), kSocketWindowBytes);
}

TEST(SocketFrames, ACloseComesBack) {
  for (const SocketClose close : {SocketClose{1000, "done"}, SocketClose{1005, ""}}) {
    std::string out;
    append_socket_close(out, FrameType::kSocketEnd, 3, close, kClean);
    const FrameReader::Step step = FrameReader::next(out);
    ASSERT_EQ(step.progress, FrameReader::Progress::kFrame);
    EXPECT_EQ(step.frame.type, FrameType::kSocketEnd);
    EXPECT_EQ(step.frame.flags, kClean);
    EXPECT_EQ(read_socket_close(step.frame.payload), close);
  }
  EXPECT_FALSE(read_socket_close(""));
  EXPECT_FALSE(read_socket_close("x"));
  EXPECT_FALSE(read_socket_close(std::string(2 + 124, 'x')));
}

TEST(SocketFrames, OfOtherTypesTheyAreNone) {
  for (const int type : {19, 24, 31, 55, 60}) {
    std::string out;
    append_frame(out, FrameType::kSocketMessage, 7);
    out[4] = static_cast<char>(type);
    EXPECT_EQ(FrameReader::next(out).progress, FrameReader::Progress::kBreach) << type;
  }
}

}  // namespace
}  // namespace verge::calls
