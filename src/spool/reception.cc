#include "spool/reception.h"

#include <utility>

#include "base/log.h"
#include "compress/zstd_frame.h"

namespace verge::spool {
namespace {

BatchAnswer later(Error problem) { return {.status = 503, .body = {}, .problem = std::move(problem), .later = true}; }

BatchAnswer draining() { return later({"node.draining", "the node is shutting down", "send it again soon"}); }

}  // namespace

void Reception::receive(uint64_t number, Payload body) {
  if (draining_) return effects_.answer(number, draining());
  if (!waiting_.empty() && waiting_bytes_ + body.size() > kWaitingBytesMax) {
    return effects_.answer(
        number, later({"uplink.busy", "more batches came than this node can unpack", "send it again later"}));
  }
  waiting_bytes_ += body.size();
  waiting_.push_back({number, std::move(body)});
  begin_next();
}

void Reception::begin_next() {
  while (in_work_ < kInWorkMax && !waiting_.empty()) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= next.body.size();
    ++in_work_;
    const bool quick = next.body.size() <= kQuickBytesMax &&
                       compress::zstd_stated_bytes(next.body.view()).value_or(0) <= kQuickBytesMax;
    effects_.unpack(next.number, std::move(next.body), quick);
  }
}

void Reception::unpacked(uint64_t number, UnpackedBatch unpacked) {
  if (unpacked.has_circle && !std::exchange(circle_seen_, true)) {
    log_error("node",
              "events of this node come back from {}: the parents form a circle; set parent.url so that the topmost "
              "node has none",
              unpacked.batch.header.name);
  }
  if (unpacked.error) {
    effects_.answer(number, {.status = unpacked.status, .body = {}, .problem = *unpacked.error});
    return evaluated();
  }
  effects_.store(number, std::move(unpacked.batch));
}

void Reception::stored(uint64_t number, const ChildBatch& batch) { effects_.answer(number, answer_to(batch)); }

void Reception::evaluated() {
  --in_work_;
  begin_next();
  if (draining_ && in_work_ == 0) effects_.idle();
}

void Reception::drain() {
  draining_ = true;
  for (const Waiting& waiting : std::exchange(waiting_, {})) effects_.answer(waiting.number, draining());
  waiting_bytes_ = 0;
  if (in_work_ == 0) effects_.idle();
}

}  // namespace verge::spool
