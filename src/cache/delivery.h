// Delivery: gives one client an answer whose body is complete or still arrives, at the client's pace.
//
// Reads the body in its shared pieces, as many as the client takes; is woken when there is more, by the body or by the
// client. What breaks off at the origin breaks off at the client, so that nobody takes a part for the whole.
//
// Threading: on its loop, but for the body's wake-up, which posts.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "cache/body.h"
#include "net/http_exchange.h"
#include "runtime/loop.h"

namespace verge::cache {

class Delivery {
 public:
  // Of the body, from `first` on, `size` bytes (or to its end, with its trailers).
  struct Part {
    Payload before;  // written first
    uint64_t first = 0;
    std::optional<uint64_t> size;
  };
  // What is given, in this order. Of a body that forgets what was read the parts must ascend.
  struct Plan {
    std::vector<Part> parts = {Part{}};  // one at least
    Payload end;
  };

  // `responder` has its head already (start()). `ended` is called, once and last, when all is given or never will be;
  // it may destroy the delivery. `loop` outlives it.
  Delivery(runtime::Loop& loop, net::HttpResponder responder, std::shared_ptr<Body> body, Plan plan,
           std::function<void()> ended);
  ~Delivery();
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  // Goes on as far as it can. The first call starts it.
  void pump();

 private:
  // So much may wait for the client before the body is read on.
  static constexpr size_t kQueuedMax = 256U << 10;

  void begin_part();
  void end();

  runtime::Loop& loop_;
  net::HttpResponder responder_;
  std::shared_ptr<Body> body_;
  Plan plan_;
  size_t next_part_ = 0;
  uint64_t place_ = 0;
  uint64_t end_ = 0;  // UINT64_MAX: that of the body
  std::function<void()> ended_;
  Body::ReaderId reader_ = 0;
  bool done_ = false;
  // What is posted after the end finds this expired.
  std::shared_ptr<Delivery*> alive_;
};

}  // namespace verge::cache
