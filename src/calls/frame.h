// Frames: how a node and its isolate processes speak over their socket pair (docs/formats/isolate-frames.md). No I/O:
// bytes in, frames out.
//
// A frame is a fixed head and a payload that is contiguous, so that a reader can hand out views into the buffer that it
// was received in. Writers append to a string that gathers a turn's frames.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace verge::calls {

enum class FrameType : uint8_t {
  // From the node.
  kLoad = 1,
  kUnload,
  kCall,
  kCancel,
  kBody,
  kCredit,
  kAnswer,
  kAnswerBody,
  kAnswerFailed,
  kSettled,
  kSubrequestCredit,
  kSocketMessage = 20,  // socket_frames.h, as the next
  kSocketClose,
  kSocketRoom,
  kInspect,
  // From the isolate process.
  kLoaded = 32,
  kLoadFailed,
  kHead,
  kAnswerPiece,
  kCallCredit,
  kFailed,
  kDone,
  kRequest,
  kRequestBody,
  kRequestCancel,
  kAnswerCredit,
  kConsole,
  kCode,
  kScriptEnded,
  kRestarts,
  kSocketSend = 56,
  kSocketEnd,
  kSocketTaken,
  kInspected,
};

inline constexpr uint8_t kEnd = 1;  // the body ends with this frame
inline constexpr uint8_t kFound = 2;
inline constexpr uint8_t kPassesThrough = 2;
inline constexpr uint8_t kHolds = 2;   // of a CALL: the node keeps the body until the first credit for it
inline constexpr uint8_t kRelays = 2;  // of a HEAD: the body is the one that the node keeps
inline constexpr uint8_t kThrew = 2;
inline constexpr uint8_t kHasFetch = 2;
inline constexpr uint8_t kHasScheduled = 4;
inline constexpr uint8_t kHasEvent = 8;
inline constexpr uint8_t kHasQueue = 16;

inline constexpr uint8_t kDetaches = 2;  // of an INSPECT: nobody inspects any more

inline constexpr size_t kFrameHeadBytes = 12;
inline constexpr size_t kPayloadBytesMax = 1U << 20;
inline constexpr size_t kLoadBytesMax = 64U << 20;
// Of a body, to be sent ahead of credits.
inline constexpr size_t kWindowBytes = 256U << 10;
// Of a body, in one frame.
inline constexpr size_t kPieceBytesMax = 64U << 10;

struct Frame {
  FrameType type;
  uint8_t flags;
  uint32_t id;
  std::string_view payload;

  [[nodiscard]] bool ends() const { return (flags & kEnd) != 0; }
};

// Cuts frames from the bytes of one direction.
class FrameReader {
 public:
  enum class Progress { kNeedMore, kFrame, kBreach };
  struct Step {
    Progress progress;
    size_t consumed;  // bytes of the input; with kFrame only
    Frame frame;      // its payload is within the input; with kFrame only
  };
  // `input` begins with a frame. With kNeedMore nothing was consumed: call again with the same bytes and more.
  [[nodiscard]] static Step next(std::string_view input);
  // How many bytes the frame at the front of `input` has in all, where its head is there and sound.
  [[nodiscard]] static std::optional<size_t> size_of_first(std::string_view input);
};

// Appends a frame whose payload is written between construction and end(). One at a time a string.
class FrameWriter {
 public:
  FrameWriter(std::string& out, FrameType type, uint32_t id, uint8_t flags = 0);
  // Writes the length. `following` bytes of the payload are not in the string but are sent right behind it.
  void end(size_t following = 0);
  [[nodiscard]] std::string& payload() { return out_; }

 private:
  std::string& out_;
  const size_t begin_;
};

void append_frame(std::string& out, FrameType type, uint32_t id, std::string_view payload = {}, uint8_t flags = 0);

}  // namespace verge::calls
