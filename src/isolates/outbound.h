// What the code of workers asks of the world: subrequests and the cache. Whoever runs a pool says how they are done.
#pragma once

#include <memory>
#include <string_view>

#include "base/error.h"
#include "calls/messages.h"
#include "isolates/worker.h"

namespace verge::isolates {

// What becomes of a subrequest: an answer, pieces of its body; or that it is settled without one (cache operations, and
// a match that found nothing); or, at any place, a failure. Never called from within a function of Outbound or
// Subrequest. May destroy the subrequest.
class SubrequestObserver {
 public:
  virtual ~SubrequestObserver() = default;
  // All is good until return. `ends`: there is no more of the body than head.body.
  virtual void on_answer(const calls::Head& head, bool ends) = 0;
  virtual void on_body(std::string_view piece, bool ends) = 0;
  virtual void on_settled(bool found) = 0;
  virtual void on_failed(const Error& error) = 0;
  // What was written of its body has been taken.
  virtual void on_drained() = 0;
};

// Destroying it cancels it.
class Subrequest {
 public:
  virtual ~Subrequest() = default;
  virtual void write_body(std::string_view piece) = 0;
  virtual void finish_body() = 0;
  // Reads no more of the answer for now; a piece or two may still come.
  virtual void pause() = 0;
  virtual void resume() = 0;
};

class Outbound {
 public:
  virtual ~Outbound() = default;
  // A call of a binding, whose body is request.body, that can be answered without waiting: true, and `answer` is the
  // whole answer, of at most calls::kWindowBytes; its views are good until the next call. Else it is begun.
  [[nodiscard]] virtual bool answer_at_once(const Worker& worker, const calls::Request& request, calls::Head& answer) {
    static_cast<void>(worker), static_cast<void>(request), static_cast<void>(answer);
    return false;
  }
  // `request` is good until return. `ends`: its body is request.body; else more follows.
  [[nodiscard]] virtual std::unique_ptr<Subrequest> begin(const Worker& worker, const calls::Request& request,
                                                          bool ends, SubrequestObserver& observer) = 0;
};

}  // namespace verge::isolates
