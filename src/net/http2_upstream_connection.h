// Http2UpstreamConnection: the client's side of one HTTP/2 connection, which carries many calls of an Http2Upstream.
// Only http2_upstream*.cc include this.
//
// Frames, HPACK and the states of streams are libnghttp2's. A call and its stream know each other; observers are called
// from within libnghttp2's callbacks and may destroy calls and the upstream: the connection lives until a later turn,
// and after each such call looks the stream up again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/http2_upstream.h"
#include "net/http_answer.h"
#include "net/stream.h"

struct nghttp2_session;

namespace verge::net {

class Http2UpstreamConnection final : private StreamObserver, private runtime::TurnEnd {
 public:
  Http2UpstreamConnection(Http2Upstream& upstream, const Address& address, Socket socket);
  ~Http2UpstreamConnection() override;

  // The server's.
  [[nodiscard]] const Address& address() const { return address_; }
  // Has a stream for one more call.
  [[nodiscard]] bool has_room() const;
  void carry(Http2Call& call);
  // Closes; nothing is called any more. Lets go of its calls, which are what is returned.
  std::vector<Http2Call*> shut();
  // Answered a call before.
  [[nodiscard]] bool has_answered() const { return has_answered_; }

  // From the call.
  void wrote(Http2Call& call);
  void resume(Http2Call& call);
  // The call goes before its answer is complete.
  void cancel(Http2Call& call);

 private:
  friend struct Http2UpstreamCallbacks;
  struct Head;

  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;
  void on_drained() override;
  void on_turn_end() override;

  [[nodiscard]] Http2Call* find(int32_t id) const;
  // The stream does not know its call any more.
  void detach(Http2Call& call);
  void schedule();
  void flush();
  void end(std::string_view reason);
  void fail(Http2Call& call, std::string_view code, std::string_view what, uint32_t reset_code);
  // A header block is complete: an interim head, the head, or trailers.
  void take_head(Http2Call& call, bool ends);
  void take_body(Http2Call& call, std::string_view piece);
  void take_end(Http2Call& call);
  void complete(Http2Call& call);
  void stream_closed(int32_t id, uint32_t code);
  // What was put off to a later turn.
  void go_on();

  void arm(MonotonicTime deadline);
  void on_timer();

  Http2Upstream& upstream_;  // not any more after shut()
  const Address address_;
  runtime::Loop& loop_;
  TcpStream stream_;
  nghttp2_session* session_ = nullptr;
  std::vector<Http2Call*> calls_;
  size_t streams_ = 0;          // that libnghttp2 has, those of calls that are over included
  std::unique_ptr<Head> head_;  // that is being received, or sent
  bool inside_ = false;
  bool full_ = false;
  bool ended_ = false;
  bool has_answered_ = false;
  MonotonicTime idle_since_;
  runtime::Timer timer_;
  MonotonicTime timer_at_{};
  runtime::Timer going_on_;
};

}  // namespace verge::net
