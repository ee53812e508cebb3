// UpstreamConnection: one connection of an UpstreamPool; carries one call after the other. Only http_upstream*.cc
// include this.
//
// Call and connection know each other by address. The pool closes a connection at once when it removes it and destroys
// it in a later turn, so it may be removed, and the pool destroyed, under its own callbacks: after each call to an
// observer it looks only at its call_, which is null then.
#pragma once

#include <string>
#include <string_view>

#include "net/http_answer.h"
#include "net/http_upstream.h"
#include "net/stream.h"

namespace verge::net {

class UpstreamConnection final : private StreamObserver, private runtime::TurnEnd {
 public:
  UpstreamConnection(UpstreamPool& pool, const Address& address, Socket socket);
  ~UpstreamConnection() override;

  // The server's.
  [[nodiscard]] const Address& address() const { return address_; }
  // Sends the request and hands its answer to the call's observer.
  void carry(PooledCall& call);
  // Idle from now on.
  void rest();
  // Closes; nothing is called any more. Lets go of its call, if it has one.
  void shut();

  // From the call.
  [[nodiscard]] std::string& output() { return stream_.output(); }
  // Something was put into output().
  void wrote();
  [[nodiscard]] size_t queued_bytes() const { return stream_.queued_bytes(); }
  void pause(bool paused);
  // The call is over; what it wrote is sent yet.
  void end_when_sent();

 private:
  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;
  void on_drained() override;
  void on_turn_end() override;

  // Lets go of the call: it is over when `is_over`.
  PooledCall& detach(bool is_over);
  void begin_body();
  // The answer is complete. These two are the last thing a caller does.
  void complete(bool has_surplus);
  void fail(Error error);
  void tell_drained();
  void set_deadline(Duration from_now);
  void on_deadline();

  UpstreamPool& pool_;  // not any more after shut()
  const Address address_;
  runtime::Loop& loop_;
  TcpStream stream_;
  AnswerReader reader_;
  PooledCall* call_ = nullptr;
  bool carried_ = false;  // a call, before or now
  bool reused_ = false;   // it carried another before this one
  bool ending_ = false;   // end_when_sent()
  runtime::Timer draining_;
  runtime::Timer timer_;  // runs out at timer_at_, which is never after deadline_; moved only to come sooner
  MonotonicTime timer_at_{};
  MonotonicTime deadline_{};
  uint64_t sent_bytes_ = 0;  // when the deadline last passed
};

}  // namespace verge::net
