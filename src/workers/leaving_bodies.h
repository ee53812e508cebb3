// LeavingBodies: bodies on their way from an isolate process to the node, each within the window that the node gives
// (docs/formats/isolate-frames.md). What the window has no room for waits here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>

#include "calls/messages.h"
#include "workers/outbox.h"
#include "workers/realm.h"

namespace verge::workers {

class LeavingBodies {
 public:
  // Which frames its pieces are, and the call or subrequest whose they are.
  struct Sender {
    calls::FrameType type;
    uint32_t id;
  };
  struct Room {
    std::optional<Sender> ended;  // all was sent, and the body is gone
    bool is_awaited = false;      // the last write() was refused, and there is room now
  };

  explicit LeavingBodies(Outbox& outbox) : outbox_(outbox) {}

  void open(StreamId stream, Sender sender);
  // A body that is there as a whole. Likewise for close(): its sender if it is at its end and gone.
  std::optional<Sender> send_whole(StreamId stream, Sender sender, Chunk bytes);
  // False when no more should come before there is room. What is unknown is taken and thrown away.
  bool write(StreamId stream, Chunk bytes);
  std::optional<Sender> close(StreamId stream);
  // Forgets it; its sender, if there was one.
  std::optional<Sender> remove(StreamId stream);
  Room add_room(StreamId stream, uint64_t bytes);
  void clear() { bodies_.clear(); }

 private:
  struct LeavingBody {
    Sender sender;
    uint64_t window;
    std::deque<Chunk> waiting;
    size_t taken = 0;  // of the first
    bool is_closed = false;
    bool wants_room = false;
  };
  using Bodies = std::unordered_map<StreamId, LeavingBody>;

  // Sends what the window allows.
  std::optional<Sender> pump(Bodies::iterator body);

  Outbox& outbox_;
  Bodies bodies_;
};

}  // namespace verge::workers
