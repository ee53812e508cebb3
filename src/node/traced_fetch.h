// TracedFetch: what a worker asks for within a trace, as one span from its begin until the head of its answer.
//
// Threading: on its loop.
#pragma once

#include <memory>
#include <utility>

#include "isolates/outbound.h"
#include "traces/open_span.h"

namespace verge::node {

class TracedFetch final : public isolates::Subrequest, private isolates::SubrequestObserver {
 public:
  // `within`: what it belongs to. `host`: of its URL.
  TracedFetch(const traces::Scope& within, const calls::Request& request, std::string_view host,
              isolates::SubrequestObserver& observer);

  [[nodiscard]] const traces::OpenSpan& span() const { return span_; }
  // Whom the subrequest itself is to tell, before begin().
  [[nodiscard]] isolates::SubrequestObserver& seen_by() { return *this; }
  void begin(std::unique_ptr<isolates::Subrequest> inner) { inner_ = std::move(inner); }

  void write_body(std::string_view piece) override { inner_->write_body(piece); }
  void finish_body() override { inner_->finish_body(); }
  void pause() override { inner_->pause(); }
  void resume() override { inner_->resume(); }

 private:
  void on_answer(const calls::Head& head, bool ends) override;
  void on_body(std::string_view piece, bool ends) override { observer_.on_body(piece, ends); }
  void on_settled(bool found) override;
  void on_failed(const Error& error) override;
  void on_drained() override { observer_.on_drained(); }

  isolates::SubrequestObserver& observer_;
  traces::OpenSpan span_;
  std::unique_ptr<isolates::Subrequest> inner_;
};

}  // namespace verge::node
