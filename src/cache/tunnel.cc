#include "cache/tunnel.h"

#include <utility>
#include <vector>

#include "cache/answer.h"

namespace verge::cache {

Tunnel::Tunnel(net::HttpResponder responder, Told told) : responder_(std::move(responder)), told_(std::move(told)) {}

Tunnel::~Tunnel() = default;

void Tunnel::start(net::Upstream& upstream, const net::UpstreamRequest& request,
                   std::span<const net::HttpField> fields) {
  added_ = OwnedFields(fields);
  responder_.when_closed([this] { end(); });
  call_ = upstream.begin(request, *this);
}

void Tunnel::on_head(const net::ResponseHead& head, const net::BodyFraming& framing) {
  answered_ = true;
  switched_ = head.status == 101;
  if (told_.answered) told_.answered(head.status);
  std::vector<net::HttpField> fields;
  for (const net::HttpField& field : head.fields) {
    // What the two have agreed on is of the hop, and the same on ours.
    const bool is_agreed = switched_ && net::equals_ignoring_case(field.name, "upgrade");
    const bool is_made = net::equals_ignoring_case(field.name, "content-length");
    if (is_agreed || (!is_made && !is_hop_by_hop(head.fields, field.name))) fields.push_back(field);
  }
  fields.insert(fields.end(), added_.view().begin(), added_.view().end());
  responder_.when_drained([this] {
    if (call_) call_->resume();
  });
  if (switched_) return responder_.switch_protocols({.status = 101, .reason = {}, .fields = fields}, *this);
  net::BodyFraming ours = framing;
  if (ours.kind == net::BodyFraming::Kind::kUntilClose) ours = {.kind = net::BodyFraming::Kind::kChunked};
  responder_.start({.status = head.status, .reason = head.reason, .fields = fields}, ours);
}

void Tunnel::on_body(std::string_view piece) {
  responder_.write(piece);
  if (responder_.queued_bytes() > kQueuedMax) call_->pause();
}

void Tunnel::on_end(std::span<const net::HttpField> trailers) {
  responder_.finish(trailers);
  end();
}

void Tunnel::on_failed(const Error& error) {
  if (!answered_) {
    responder_.when_closed({});
    if (told_.failed) told_.failed(error);
  }
  end();  // dropped unfinished, the responder breaks the connection
}

void Tunnel::on_request_drained() { responder_.resume_reading(); }

void Tunnel::on_raw_bytes(std::string_view bytes) {
  call_->write_body(bytes);
  if (call_->queued_bytes() > kQueuedMax) responder_.pause_reading();
}

void Tunnel::on_raw_end() {
  call_->finish_body({});
  end();
}

void Tunnel::end() {
  const auto ended = std::exchange(told_.ended, nullptr);
  if (ended) ended();
}

}  // namespace verge::cache
