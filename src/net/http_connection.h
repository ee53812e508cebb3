// HttpConnection: the server's side of one connection; see http_server.h for what it does.
//
// Bytes are parsed where they arrived, in the loop's scratch memory, and copied only when they do not make a whole
// request. The connection and its responder know each other by address, so that either may go first. A connection that
// has ended is destroyed by the server at the end of the turn, never under a callback of its stream.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "net/http_chunked.h"
#include "net/http_server.h"
#include "net/http_server_connection.h"

namespace verge::net {

class HttpConnection final : public StreamObserver,
                             public HttpExchange,
                             public HttpServerConnection,
                             private runtime::TurnEnd {
 public:
  HttpConnection(HttpServer& server, Socket socket, size_t index);
  ~HttpConnection() override;

  // Answers with an error of the server's own, reads no more requests and closes after a while.
  void respond_internal(std::string_view what);
  void refuse(int status, std::string_view reason) override;
  void refuse(int status, const Error& error);
  void note_refusal(int status);
  void close_soon() override;
  void end() override;

  void respond(const HttpResponse& response) override;
  void respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) override;
  void send_interim(int status, std::span<const HttpField> fields) override;
  void start_stream(const HttpResponse& response) override;
  void start(const HttpResponseHead& head, const BodyFraming& framing) override;
  void write_piece(std::string_view piece) override;
  void write_piece(const Payload& bytes, size_t offset, size_t size) override;
  void finish_stream(std::span<const HttpField> trailers) override;
  [[nodiscard]] bool is_old() const override { return is_old_; }
  void switch_protocols(const HttpResponseHead& head, RawObserver& observer) override;
  void pause_raw(bool paused) override;
  void drop(bool streaming) override;
  [[nodiscard]] size_t queued_bytes() const override { return stream_->queued_bytes(); }
  void when_drained(std::function<void()> drained) override;
  void when_closed(std::function<void()> closed) override { closed_ = std::move(closed); }

 private:
  enum class State {
    kHead,       // idle, or with the beginning of a head in input_
    kBody,       // gathering the body of the request in head_text_
    kAnswering,  // the responder has it
    kRaw,        // the responder has the connection, which changed to another protocol
    kClosing,    // until the output is written
    kLingering,  // discarding input until linger is over
    kEnded
  };

  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;
  void on_drained() override;
  void on_turn_end() override;

  // Takes whole requests, and what there is of a body, from the front; returns how much it took.
  size_t consume(std::string_view bytes);
  // Whether the refused `bytes` are how HTTP/2 begins: then the server has given the stream to another connection.
  bool change_to_http2(std::string_view bytes);
  void continue_input();
  void after_input();
  size_t begin_request(std::string_view bytes);
  // True when the request is refused for what its head says.
  bool refuse_by_head();
  // Sets body_limit_; false when the head was answered.
  bool admit();
  void refuse_long_body();
  [[nodiscard]] HttpRequest request(Payload body) const;
  size_t take_body(std::string_view bytes);
  // False when the bodies of all connections became too much: then this one is refused.
  bool append_body(std::string_view piece);
  void forget_body();
  size_t take_chunks(std::string_view bytes);
  void deliver_gathered();
  void deliver(Payload body);
  void send(std::string_view bytes);
  void write_head(const HttpResponse& response, const BodyFraming& framing);
  // Of the framing that is written for `wanted`, where a body may follow.
  BodyFraming begin_body(int status, const BodyFraming& wanted);
  // False when the piece is not written.
  bool begin_piece(size_t size);
  void end_piece();
  void take_raw(std::string_view bytes);
  void give_raw_input();
  void tell_drained();
  void end_exchange();
  void set_deadline(Duration from_now);
  void on_deadline();
  [[nodiscard]] bool discards() const { return state_ >= State::kClosing; }
  [[nodiscard]] bool is_answering() const { return state_ == State::kAnswering || state_ == State::kRaw; }

  HttpServer& server_;
  std::unique_ptr<Stream> stream_;
  RequestParser parser_;
  State state_ = State::kHead;
  std::string input_;      // what could not be consumed yet
  std::string head_text_;  // the head that parser_ shows while the body is gathered
  std::string body_;
  BodyLimit body_limit_;
  ChunkedDecoder chunks_;
  std::function<void()> drained_;
  std::function<void()> closed_;
  bool keep_alive_ = true;
  bool is_head_ = false;       // the method of the request is HEAD
  bool is_old_ = false;        // HTTP/1.0
  bool parser_spent_ = false;  // parser_ shows a request that is delivered
  bool chunked_answer_ = false;
  bool bodiless_answer_ = false;
  bool until_close_answer_ = false;
  bool raw_paused_ = false;
  bool head_begun_ = false;  // head_timeout runs
  bool knows_head_ = false;  // the parser's head is that of the request that is under way
  bool is_fresh_ = true;     // no request came yet
  bool consuming_ = false;
  bool output_full_ = false;  // no further request until the client takes its answers
  bool paused_ = false;

  static constexpr uint64_t kAnyLength = std::numeric_limits<uint64_t>::max();
  uint64_t body_left_ = kAnyLength;  // of an answer whose length was announced
  RawObserver* raw_ = nullptr;

  runtime::Timer timer_;  // runs out at timer_at_, which is never after deadline_; moved only to come sooner
  MonotonicTime timer_at_{};
  MonotonicTime deadline_ = MonotonicTime::max();
  MonotonicTime body_due_{};
  runtime::Timer draining_;  // until tell_drained()
  uint64_t written_bytes_ = 0;
  uint64_t taken_bytes_ = 0;  // by the kernel, when the deadline last passed
};

}  // namespace verge::net
