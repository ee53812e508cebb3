#include "workers/leaving_bodies.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace verge::workers {

void LeavingBodies::open(StreamId stream, Sender sender) {
  bodies_.insert_or_assign(stream, LeavingBody{.sender = sender, .window = calls::kWindowBytes});
}

std::optional<LeavingBodies::Sender> LeavingBodies::send_whole(StreamId stream, Sender sender, Chunk bytes) {
  open(stream, sender);
  bodies_.at(stream).waiting.push_back(std::move(bytes));
  return close(stream);
}

bool LeavingBodies::write(StreamId stream, Chunk bytes) {
  const auto found = bodies_.find(stream);
  if (found == bodies_.end()) return true;
  LeavingBody& body = found->second;
  if (!bytes.bytes().empty()) body.waiting.push_back(std::move(bytes));
  pump(found);
  if (body.waiting.empty() && body.window > 0) return true;
  body.wants_room = true;
  return false;
}

std::optional<LeavingBodies::Sender> LeavingBodies::close(StreamId stream) {
  const auto found = bodies_.find(stream);
  if (found == bodies_.end()) return std::nullopt;
  found->second.is_closed = true;
  return pump(found);
}

std::optional<LeavingBodies::Sender> LeavingBodies::remove(StreamId stream) {
  const auto found = bodies_.find(stream);
  if (found == bodies_.end()) return std::nullopt;
  const Sender sender = found->second.sender;
  bodies_.erase(found);
  return sender;
}

LeavingBodies::Room LeavingBodies::add_room(StreamId stream, uint64_t bytes) {
  const auto found = bodies_.find(stream);
  if (found == bodies_.end()) return {};
  found->second.window += bytes;
  if (const std::optional<Sender> ended = pump(found)) return {.ended = ended};
  return {.is_awaited = found->second.waiting.empty() && std::exchange(found->second.wants_room, false)};
}

std::optional<LeavingBodies::Sender> LeavingBodies::pump(Bodies::iterator found) {
  LeavingBody& body = found->second;
  bool has_ended = false;
  while (!body.waiting.empty() && body.window > 0) {
    const Chunk& chunk = body.waiting.front();
    const std::string_view bytes =
        chunk.bytes().substr(body.taken, std::min<uint64_t>(body.window, calls::kPieceBytesMax));
    const bool takes_all = body.taken + bytes.size() == chunk.bytes().size();
    has_ended = takes_all && body.is_closed && body.waiting.size() == 1;
    calls::FrameWriter frame(outbox_.text(), body.sender.type, body.sender.id, has_ended ? calls::kEnd : 0);
    frame.end(bytes.size());
    outbox_.share(chunk, bytes);
    body.window -= bytes.size();
    body.taken = takes_all ? 0 : body.taken + bytes.size();
    if (takes_all) body.waiting.pop_front();
  }
  if (!body.is_closed || !body.waiting.empty()) return std::nullopt;
  if (!has_ended) calls::append_frame(outbox_.text(), body.sender.type, body.sender.id, {}, calls::kEnd);
  const Sender sender = body.sender;
  bodies_.erase(found);
  return sender;
}

}  // namespace verge::workers
