// Bodies and messages that leave: what is written comes out whole, in order, within the window, and ends once.
#include "workers/leaving_bodies.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/value_of.h"
#include "workers/leaving_messages.h"

namespace verge::workers {
namespace {

constexpr LeavingBodies::Sender kAnswer{calls::FrameType::kAnswerPiece, 7};
constexpr StreamId kStream = 3;

struct Sent {
  calls::FrameType type;
  uint32_t id;
  uint8_t flags;
  std::string payload;
};

// An outbox into a file.
class Leaving : public testing::Test {
 protected:
  void TearDown() override { ::close(file_); }

  // The frames since the last call.
  std::vector<Sent> sent() {
    EXPECT_TRUE(outbox.send());
    std::string bytes(static_cast<size_t>(lseek(file_, 0, SEEK_CUR) - read_), 0);
    EXPECT_EQ(pread(file_, bytes.data(), bytes.size(), read_), static_cast<ssize_t>(bytes.size()));
    read_ += static_cast<off_t>(bytes.size());
    std::vector<Sent> frames;
    for (std::string_view rest = bytes; !rest.empty();) {
      const auto step = calls::FrameReader::next(rest);
      if (step.progress != calls::FrameReader::Progress::kFrame) {
        ADD_FAILURE() << "no frame at " << bytes.size() - rest.size();
        break;
      }
      const calls::Frame& frame = step.frame;
      frames.push_back({frame.type, frame.id, frame.flags, std::string(frame.payload)});
      rest.remove_prefix(step.consumed);
    }
    return frames;
  }
  static std::string payloads_of(const std::vector<Sent>& frames) {
    std::string all;
    for (const Sent& frame : frames) all += frame.payload;
    return all;
  }

 private:
  const int file_ = memfd_create("frames", MFD_CLOEXEC);
  off_t read_ = 0;

 protected:
  Outbox outbox{file_};
  LeavingBodies bodies{outbox};
  LeavingMessages messages{outbox};
};

TEST_F(Leaving, AWholeBodyBeyondTheWindowWaitsForRoom) {
  std::string text;
  while (text.size() <= calls::kWindowBytes + 10) text += std::to_string(text.size()) + " ";
  ASSERT_FALSE(bodies.send_whole(kStream, kAnswer, Chunk::of(text)));
  std::vector<Sent> frames = sent();
  ASSERT_EQ(frames.size(), calls::kWindowBytes / calls::kPieceBytesMax);
  for (const Sent& frame : frames) EXPECT_EQ(frame.flags, 0);
  std::string got = payloads_of(frames);
  EXPECT_EQ(got.size(), calls::kWindowBytes);
  EXPECT_FALSE(bodies.add_room(kStream, 1).ended);
  got += payloads_of(sent());
  const auto room = bodies.add_room(kStream, text.size());
  ASSERT_TRUE(room.ended);
  EXPECT_EQ(tests::value_of(room.ended).id, kAnswer.id);
  frames = sent();
  ASSERT_EQ(frames.size(), 1);
  EXPECT_EQ(frames[0].flags, calls::kEnd);
  EXPECT_EQ(got + frames[0].payload, text);
  EXPECT_FALSE(bodies.remove(kStream)) << "it is gone";
}

TEST_F(Leaving, AWriterIsToldOfRoomOnceItWasRefused) {
  bodies.open(kStream, kAnswer);
  EXPECT_TRUE(bodies.write(kStream, Chunk::of("some")));
  EXPECT_FALSE(bodies.add_room(kStream, 4).is_awaited);
  EXPECT_FALSE(bodies.write(kStream, Chunk::of(std::string(calls::kWindowBytes + 1, 'x'))));
  EXPECT_TRUE(bodies.add_room(kStream, 2).is_awaited);
  EXPECT_FALSE(bodies.add_room(kStream, 2).is_awaited);
  EXPECT_EQ(payloads_of(sent()).size(), 4 + calls::kWindowBytes + 1);
}

TEST_F(Leaving, AnEndWithoutBytesIsAFrameOfItsOwn) {
  bodies.open(kStream, kAnswer);
  bodies.write(kStream, Chunk::of("all"));
  ASSERT_TRUE(bodies.close(kStream));
  const std::vector<Sent> frames = sent();
  ASSERT_EQ(frames.size(), 2);
  EXPECT_EQ(frames[0].payload, "all");
  EXPECT_EQ(frames[0].flags, 0);
  EXPECT_EQ(frames[1].payload, "");
  EXPECT_EQ(frames[1].flags, calls::kEnd);
}

TEST_F(Leaving, WhatIsForgottenTakesNothingMore) {
  bodies.open(kStream, kAnswer);
  EXPECT_EQ(tests::value_of(bodies.remove(kStream)).id, kAnswer.id);
  EXPECT_TRUE(bodies.write(kStream, Chunk::of("late")));
  EXPECT_FALSE(bodies.close(kStream));
  EXPECT_TRUE(sent().empty());
}

TEST_F(Leaving, MessagesAreSentAsAWholeAndTheCloseIsBehindThem) {
  messages.open(5);
  const std::string large(calls::kSocketWindowBytes - calls::kMessageCost - 10, 'x');
  EXPECT_TRUE(messages.send(5, false, Chunk::of(large)));
  EXPECT_TRUE(messages.send(5, true, Chunk::of("and then")));
  messages.end(5, 1000, "done");
  EXPECT_EQ(messages.waiting_bytes(5), 8);
  std::vector<Sent> frames = sent();
  ASSERT_EQ(frames.size(), 1);
  EXPECT_EQ(frames[0].payload, large);
  messages.add_room(5, calls::socket_cost(8) - 10);
  frames = sent();
  ASSERT_EQ(frames.size(), 2);
  EXPECT_EQ(frames[0].payload, "and then");
  EXPECT_EQ(frames[0].flags, calls::kText);
  EXPECT_EQ(frames[1].type, calls::FrameType::kSocketEnd);
  EXPECT_EQ(messages.waiting_bytes(5), 0);
}

TEST_F(Leaving, WhatWaitsForOneWhoReadsNoMoreIsThrownAway) {
  messages.open(5);
  messages.send(5, false, Chunk::of(std::string(calls::kSocketWindowBytes - calls::kMessageCost, 'x')));
  messages.send(5, false, Chunk::of("waits"));
  messages.end(5, 1000, "");
  messages.closed_by_other_end(5);
  EXPECT_TRUE(messages.send(5, false, Chunk::of("late")));
  const std::vector<Sent> frames = sent();
  ASSERT_EQ(frames.size(), 2);
  EXPECT_EQ(frames[1].type, calls::FrameType::kSocketEnd);
  EXPECT_EQ(messages.waiting_bytes(5), 0);
}

TEST_F(Leaving, WhoSendsFarBeyondTheWindowIsToldSo) {
  messages.open(5);
  const Chunk large = Chunk::of(std::string(calls::kMessageBytesMax, 'x'));
  int taken = 0;
  while (taken < 100 && messages.send(5, false, large)) ++taken;
  EXPECT_GT(taken, 1);
  EXPECT_LE(taken * calls::kMessageBytesMax, (8U << 20) + calls::kSocketWindowBytes);
}

}  // namespace
}  // namespace verge::workers
