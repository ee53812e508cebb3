// LeavingMessages: what workers' WebSockets send, each within the window that the node gives
// (docs/formats/isolate-frames.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "calls/messages.h"
#include "calls/socket_frames.h"
#include "workers/outbox.h"
#include "workers/realm.h"

namespace verge::workers {

class LeavingMessages {
 public:
  explicit LeavingMessages(Outbox& outbox) : outbox_(outbox) {}

  void open(uint32_t call) { sockets_[call]; }
  [[nodiscard]] bool has(uint32_t call) const { return sockets_.contains(call); }
  void remove(uint32_t call) { sockets_.erase(call); }
  void clear() { sockets_.clear(); }

  // False when more waits than should. What is for a socket that is unknown, or closed by the other end, is taken and
  // thrown away.
  bool send(uint32_t call, bool is_text, Chunk message);
  // Behind what waits.
  void end(uint32_t call, uint16_t code, std::string_view reason);
  void add_room(uint32_t call, uint64_t bytes);
  // The other end reads no more.
  void closed_by_other_end(uint32_t call);
  [[nodiscard]] size_t waiting_bytes(uint32_t call) const;

 private:
  struct Message {
    bool is_text;
    Chunk bytes;
  };
  struct Socket {
    uint64_t window = calls::kSocketWindowBytes;
    std::deque<Message> waiting;
    size_t waiting_bytes = 0;
    std::optional<std::pair<uint16_t, std::string>> close;  // behind those that wait
    bool is_closed = false;                                 // by the other end
  };

  void pump(uint32_t call, Socket& socket);

  Outbox& outbox_;
  std::unordered_map<uint32_t, Socket> sockets_;
};

}  // namespace verge::workers
