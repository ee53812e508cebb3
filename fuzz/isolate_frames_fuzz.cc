// What an isolate process sends is hostile: frames are cut from any bytes and their payloads read as what they claim to
// be. What can be read is written again and must read the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "calls/messages.h"

namespace {

using namespace verge::calls;

void require(bool holds) {
  if (!holds) abort();
}

Frame only_frame(const std::string& out) {
  const FrameReader::Step step = FrameReader::next(out);
  require(step.progress == FrameReader::Progress::kFrame && step.consumed == out.size());
  return step.frame;
}

void read_heads(const Frame& frame) {
  Head head, again;
  std::string out;
  if (!read_head(frame.payload, head)) return;
  append_head(out, FrameType::kHead, frame.id, head, frame.flags);
  require(read_head(only_frame(out).payload, again) && again == head);
}

void read_others(const Frame& frame) {
  std::string out;
  if (const auto load = read_load(frame.payload)) {
    append_load(out, frame.id, *load);
    require(read_load(only_frame(out).payload) == load);
  }
  out.clear();
  Call call, again;
  if (read_call(frame.payload, call)) {
    append_call(out, frame.id, call, frame.flags);
    require(read_call(only_frame(out).payload, again) && again == call);
  }
  out.clear();
  if (const auto request = read_request(frame.payload)) {
    append_request(out, frame.id, *request, frame.flags);
    require(read_request(only_frame(out).payload) == request);
  }
  out.clear();
  if (const auto console = read_console(frame.payload)) {
    append_console(out, frame.id, *console);
    require(read_console(only_frame(out).payload) == console);
  }
  out.clear();
  if (const auto failure = read_failure(frame.payload)) {
    append_failure(out, frame.type, frame.id, *failure);
    require(read_failure(only_frame(out).payload) == failure);
  }
  static_cast<void>(read_done(frame.payload));
  static_cast<void>(read_number(frame.payload));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  while (true) {
    const FrameReader::Step step = FrameReader::next(input);
    if (step.progress != FrameReader::Progress::kFrame) return 0;
    require(step.consumed == FrameReader::size_of_first(input));
    read_heads(step.frame);
    read_others(step.frame);
    input.remove_prefix(step.consumed);
  }
}
