#include "calls/messages.h"

#include <gtest/gtest.h>

namespace verge::calls {
namespace {

using Progress = FrameReader::Progress;

Frame only_frame(std::string_view bytes) {
  const FrameReader::Step step = FrameReader::next(bytes);
  EXPECT_EQ(step.progress, Progress::kFrame);
  EXPECT_EQ(step.consumed, bytes.size());
  return step.frame;
}

TEST(Frames, EveryPrefixNeedsMore) {
  std::string out;
  append_frame(out, FrameType::kConsole, 7, "hello", kEnd);
  for (size_t size = 0; size < out.size(); ++size) {
    EXPECT_EQ(FrameReader::next(std::string_view(out).substr(0, size)).progress, Progress::kNeedMore);
  }
  const Frame frame = only_frame(out);
  EXPECT_EQ(frame.type, FrameType::kConsole);
  EXPECT_EQ(frame.id, 7U);
  EXPECT_TRUE(frame.ends());
  EXPECT_EQ(frame.payload, "hello");
}

TEST(Frames, WhatIsNotAFrameIsABreach) {
  std::string out;
  append_frame(out, FrameType::kDone, 1);
  std::string unknown = out, reserved = out, large = out;
  unknown[4] = 31;
  reserved[6] = 1;
  large.replace(0, 4, std::string("\x01\x00\x10\x00", 4));  // a megabyte and a byte
  for (const std::string& bytes : {unknown, reserved, large}) {
    EXPECT_EQ(FrameReader::next(bytes).progress, Progress::kBreach);
  }
  large[4] = static_cast<char>(FrameType::kLoad);
  EXPECT_EQ(FrameReader::next(large).progress, Progress::kNeedMore);
}

TEST(Messages, LoadComesBackAsItWas) {
  const Load load{.name = "hello",
                  .kind = ProgramKind::kScript,
                  .cpu_us = 10'000,
                  .memory_bytes = 128U << 20,
                  .start_cpu_us = 400'000,
                  .compatibility_date = "2026-11-30",
                  .modules = {{"main.js", ModuleType::kJavaScript, "export default {}"},
                              {"a.json", ModuleType::kJson, "{}"},
                              {"b.txt", ModuleType::kText, ""},
                              {"c.bin", ModuleType::kBytes, std::string_view("\0\xff", 2)}},
                  .variables = {{"KEY", "value"}},
                  .code_cache = "code"};
  std::string out;
  append_load(out, 3, load);
  const Frame frame = only_frame(out);
  EXPECT_EQ(frame.id, 3U);
  EXPECT_EQ(read_load(frame.payload), load);
  for (size_t size = 0; size < frame.payload.size(); ++size) {
    EXPECT_FALSE(read_load(frame.payload.substr(0, size))) << size;
  }
}

TEST(Messages, CallsOfEachKindComeBack) {
  const std::vector<Call> calls = {
      {.worker = 1, .method = "POST", .url = "http://a/b?c", .fields = {{"x", "y"}}, .body = "body"},
      {.worker = 2, .kind = CallKind::kScheduled, .cron = "* * * * *", .time_ms = 1'700'000'000'000},
      {.worker = 3, .kind = CallKind::kEvent, .messages = {{"a/b", 5, "{}"}, {"a/c", 6, ""}}}};
  Call read;
  for (const Call& call : calls) {
    std::string out;
    append_call(out, 9, call, kEnd);
    ASSERT_TRUE(read_call(only_frame(out).payload, read));
    EXPECT_EQ(read, call);
  }
}

TEST(Messages, ABodyMayBeSentBehindItsFrame) {
  std::string out;
  append_call(out, 9, {.worker = 1, .method = "PUT", .url = "http://a/", .body = "be"}, kEnd, 5);
  out += "hind!";
  Call read;
  ASSERT_TRUE(read_call(only_frame(out).payload, read));
  EXPECT_EQ(read.body, "behind!");
}

TEST(Messages, TheOthersComeBack) {
  std::string out;
  const Head head{.status = 404, .reason = "Not Found", .fields = {{"a", "b"}, {"a", "c"}}, .body = "gone"};
  append_head(out, FrameType::kHead, 1, head, kEnd);
  Head read;
  ASSERT_TRUE(read_head(only_frame(out).payload, read));
  EXPECT_EQ(read, head);

  out.clear();
  const Request request{.call = 8,
                        .target = RequestTarget::kCachePut,
                        .cache = "default",
                        .method = "GET",
                        .url = "http://c/",
                        .fields = {{"q", "r"}},
                        .status = 201,
                        .reason = "Made",
                        .answer_fields = {{"s", "t"}},
                        .body = "u"};
  append_request(out, 2, request, 0);
  EXPECT_EQ(read_request(only_frame(out).payload), request);

  out.clear();
  append_failure(out, FrameType::kFailed, 2, {"workers.cpu", "too long", "a.js:1:2", "at f"});
  EXPECT_EQ(read_failure(only_frame(out).payload), (Failure{"workers.cpu", "too long", "a.js:1:2", "at f"}));

  out.clear();
  append_done(out, 2, {1234, 5678});
  EXPECT_EQ(read_done(only_frame(out).payload), (Done{1234, 5678}));

  out.clear();
  append_console(out, 2, {.call = 4, .level = ConsoleLevel::kError, .text = "oh"});
  EXPECT_EQ(read_console(only_frame(out).payload), (Console{4, ConsoleLevel::kError, "oh"}));

  out.clear();
  append_number(out, FrameType::kCredit, 2, 65'536);
  EXPECT_EQ(read_number(only_frame(out).payload), 65'536U);
}

TEST(Messages, NumbersOutOfRangeAreRefused) {
  Call call;
  EXPECT_FALSE(read_call(std::string_view("\x01\x04", 2), call));                  // a kind that there is not
  EXPECT_FALSE(read_call(std::string_view("\xff\xff\xff\xff\x7f\x03", 6), call));  // an id above 32 bits
  EXPECT_FALSE(read_console(std::string_view("\x01\x05x", 3)));
  Head head;
  EXPECT_FALSE(read_head(std::string_view("\xc8\x01\x00\xff\xff\x7f", 6), head));  // two million fields
}

}  // namespace
}  // namespace verge::calls
