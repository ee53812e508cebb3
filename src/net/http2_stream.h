// Http2Stream: one request of an HTTP/2 connection and its answer: the exchange that its HttpResponder speaks to.
//
// A body waits here, pieces of payloads as they are, until flow control (RFC 9113 section 5.2) and the connection let
// it go; then each DATA frame is its nine bytes of head and references to the pieces. A stream that is over is kept by
// the server for the next request: what it allocated is used again.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "net/http2_request_head.h"
#include "net/http_exchange.h"
#include "net/http_server.h"
#include "net/output_queue.h"

namespace verge::net {

class Http2Connection;

class Http2Stream final : public HttpExchange {
 public:
  void respond(const HttpResponse& response) override;
  void respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) override;
  void send_interim(int status, std::span<const HttpField> fields) override;
  void start_stream(const HttpResponse& response) override;
  void start(const HttpResponseHead& head, const BodyFraming& framing) override;
  void write_piece(std::string_view piece) override;
  void write_piece(const Payload& bytes, size_t offset, size_t size) override;
  void finish_stream(std::span<const HttpField> trailers) override;
  [[nodiscard]] bool is_old() const override { return false; }
  // HTTP/2 has no Upgrade: the client is told to come with HTTP/1.1.
  void switch_protocols(const HttpResponseHead& head, RawObserver& observer) override;
  void pause_raw(bool paused) override;
  void drop(bool streaming) override;
  [[nodiscard]] size_t queued_bytes() const override { return out_.size(); }
  void when_drained(std::function<void()> drained) override;
  void when_closed(std::function<void()> closed) override { closed_ = std::move(closed); }

 private:
  friend class Http2Connection;
  friend struct Http2Callbacks;

  enum class State {
    kHead,
    kBody,      // gathering the body of the request
    kAnswering  // a responder has it, or had it and all is said
  };

  void open(Http2Connection& connection, int32_t id);
  // As new, and without the memory of a long body.
  void forget();
  void forget_body();
  // Answers with an error of the server's own.
  void refuse(int status, const Error& error);
  void refuse(int status, std::string_view reason);
  void refuse_long_body();
  void note_refusal(int status);
  void respond_internal(std::string_view what);
  void reset(uint32_t code);
  void begin_head(int status, std::span<const HttpField> fields, bool adds_date);
  void add_length(uint64_t length);
  // False when the piece is not written.
  bool begin_piece(size_t size);
  void go_on();
  void end_exchange();

  static constexpr uint64_t kAnyLength = std::numeric_limits<uint64_t>::max();

  Http2Connection* connection_ = nullptr;
  int32_t id_ = 0;
  size_t index_ = 0;  // where the connection keeps it
  State state_ = State::kHead;
  bool is_head_ = false;        // the method is HEAD
  bool request_ended_ = false;  // END_STREAM came
  bool bodiless_answer_ = false;
  bool finished_ = false;  // all of the answer is written here
  bool deferred_ = false;  // libnghttp2 asked for a body and there was none yet
  bool resetting_ = false;
  bool drain_due_ = false;
  uint64_t body_left_ = kAnyLength;  // of an answer whose length was announced
  OutputQueue out_;
  std::vector<std::pair<std::string, std::string>> trailers_;
  MonotonicTime moved_at_{};  // when the body of the answer last went on
  std::function<void()> drained_;
  std::function<void()> closed_;

  Http2RequestHead head_;  // while the body is gathered
  std::string body_;
  BodyLimit body_limit_;
  MonotonicTime body_due_{};
};

}  // namespace verge::net
