#include "cache/delivery.h"

#include <algorithm>
#include <utility>

namespace verge::cache {

Delivery::Delivery(runtime::Loop& loop, net::HttpResponder responder, std::shared_ptr<Body> body, Plan plan,
                   std::function<void()> ended)
    : loop_(loop),
      responder_(std::move(responder)),
      body_(std::move(body)),
      plan_(std::move(plan)),
      ended_(std::move(ended)),
      alive_(std::make_shared<Delivery*>(this)) {
  const std::weak_ptr<Delivery*> alive = alive_;
  reader_ = body_->join([this_loop = &loop_, alive] {
    this_loop->post([alive] {
      if (const auto there = alive.lock()) (*there)->pump();
    });
  });
  responder_.when_drained([this] { pump(); });
  responder_.when_closed([this] { end(); });
}

Delivery::~Delivery() {
  if (!done_) body_->leave(reader_);
}

void Delivery::begin_part() {
  const Part& part = plan_.parts[next_part_++];
  place_ = part.first;
  end_ = part.size ? part.first + *part.size : UINT64_MAX;
  if (!part.before.empty()) responder_.write(part.before, 0, part.before.size());
  body_->advance(reader_, place_);
}

void Delivery::pump() {
  if (done_) return;
  while (true) {
    if (place_ == end_) {
      if (next_part_ == plan_.parts.size()) break;
      begin_part();
    }
    if (responder_.queued_bytes() > kQueuedMax) return;
    const Body::Read read = body_->read(place_);
    if (read.piece.size == 0) {
      if (read.state == Body::State::kGrowing) return;
      if (read.state == Body::State::kComplete) responder_.finish(body_->trailers());
      return end();  // dropped unfinished, the responder breaks the connection
    }
    const size_t size = static_cast<size_t>(std::min<uint64_t>(read.piece.size, end_ - place_));
    responder_.write(read.piece.bytes, read.piece.offset, size);
    place_ += size;
    body_->advance(reader_, place_);
  }
  if (!plan_.end.empty()) responder_.write(plan_.end, 0, plan_.end.size());
  responder_.finish();
  end();
}

void Delivery::end() {
  if (std::exchange(done_, true)) return;
  body_->leave(reader_);
  responder_ = {};
  const std::function<void()> ended = std::move(ended_);
  ended();
}

}  // namespace verge::cache
