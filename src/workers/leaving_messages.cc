#include "workers/leaving_messages.h"

namespace verge::workers {

bool LeavingMessages::send(uint32_t call, bool is_text, Chunk message) {
  constexpr size_t kWaitingMax = 8U << 20;
  const auto found = sockets_.find(call);
  if (found == sockets_.end() || found->second.is_closed) return true;
  Socket& socket = found->second;
  socket.waiting_bytes += message.bytes().size();
  socket.waiting.push_back({is_text, std::move(message)});
  pump(call, socket);
  // Each takes memory beside its bytes.
  return socket.waiting_bytes + socket.waiting.size() * calls::kMessageCost <= kWaitingMax;
}

void LeavingMessages::end(uint32_t call, uint16_t code, std::string_view reason) {
  const auto found = sockets_.find(call);
  if (found == sockets_.end()) return;
  found->second.close.emplace(code, reason);
  pump(call, found->second);
}

void LeavingMessages::add_room(uint32_t call, uint64_t bytes) {
  const auto found = sockets_.find(call);
  if (found == sockets_.end()) return;
  found->second.window += bytes;
  pump(call, found->second);
}

void LeavingMessages::closed_by_other_end(uint32_t call) {
  const auto found = sockets_.find(call);
  if (found == sockets_.end()) return;
  found->second.is_closed = true;
  found->second.waiting.clear();
  found->second.waiting_bytes = 0;
  pump(call, found->second);
}

size_t LeavingMessages::waiting_bytes(uint32_t call) const {
  const auto found = sockets_.find(call);
  return found == sockets_.end() ? 0 : found->second.waiting_bytes;
}

void LeavingMessages::pump(uint32_t call, Socket& socket) {
  while (!socket.waiting.empty()) {
    const Message& message = socket.waiting.front();
    const std::string_view bytes = message.bytes.bytes();
    const uint64_t cost = calls::socket_cost(bytes.size());
    if (cost > socket.window) return;
    socket.window -= cost;
    socket.waiting_bytes -= bytes.size();
    calls::FrameWriter frame(outbox_.text(), calls::FrameType::kSocketSend, call, message.is_text ? calls::kText : 0);
    frame.end(bytes.size());
    outbox_.share(message.bytes, bytes);
    socket.waiting.pop_front();
  }
  const auto close = std::exchange(socket.close, std::nullopt);
  if (!close) return;
  calls::append_socket_close(outbox_.text(), calls::FrameType::kSocketEnd, call, {close->first, close->second});
}

}  // namespace verge::workers
