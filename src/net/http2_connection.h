// Http2Connection: the server's side of one HTTP/2 connection (RFC 9113), over TLS that agreed on "h2" or over TCP from
// a client that knows beforehand (section 3.3). Its requests go to the receivers of the HttpServer, each with an
// HttpResponder, as those of HTTP/1.1 do; see http_server.h for the limits.
//
// Frames, HPACK and the states of streams are libnghttp2's, which does no I/O (docs/decisions/0015-http2.md). What it
// makes in a turn is gathered in the output of the Stream and written at once; bodies stay where they are (see
// Http2Stream). No more than output_bytes_max waits there: then frames are made only when the client has taken those
// before.
//
// What a client can make the server do for nothing is bounded: streams that are reset, by it or for its faults
// (CVE-2023-44487), and frames that carry nothing (PING, SETTINGS, empty DATA, more of WINDOW_UPDATE and PRIORITY than
// what was sent and asked gives reason for, frames of unknown types) cost of a budget that fills up slowly; header
// blocks have few CONTINUATIONs. Who spends more is told to calm down (ENHANCE_YOUR_CALM) and the connection ends. It
// also ends, or the stream does, when a head, a body or the taking of an answer lasts too long.
//
// Threading: on its loop. It is destroyed by the server at the end of a turn, never under a callback.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http2_request_head.h"
#include "net/http2_stream.h"
#include "net/http_server.h"
#include "net/http_server_connection.h"

struct nghttp2_session;

namespace verge::net {

// The first line of the preface that a client begins with (section 3.4).
inline constexpr std::string_view kHttp2FirstLine = "PRI * HTTP/2.0\r\n";

class Http2Connection final : public StreamObserver, public HttpServerConnection, private runtime::TurnEnd {
 public:
  Http2Connection(HttpServer& server, Socket socket, size_t index);
  // A connection that turned out to speak HTTP/2. The caller gives what came, from the first byte on, to on_bytes().
  Http2Connection(HttpServer& server, std::unique_ptr<Stream> stream, size_t index);
  ~Http2Connection() override;

  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;
  void on_drained() override;
  void refuse(int status, std::string_view reason) override;
  void close_soon() override;
  void end() override;

 private:
  friend class Http2Stream;
  friend struct Http2Callbacks;

  // So many at once, and so many a second over time.
  struct Budget {
    double most;
    double a_second;
    double left = most;
    MonotonicTime at{};
  };

  struct Fields;  // as libnghttp2 takes them

  void begin_session();
  void on_turn_end() override;
  // Frames were submitted: they go out at the end of the turn, if not before.
  void schedule();
  void flush();
  void begin_closing();
  // Tells the client `code`, serves no more, and closes after a while.
  void terminate(uint32_t code);
  void spend(Budget& budget);
  // A frame with data, or a request, gives a client reason for a few.
  void expect_remarks() { remarks_due_ = std::min(remarks_due_ + 4, 1U << 16); }
  void tell_drained();

  void begin_block();
  void open_stream(int32_t id);
  [[nodiscard]] Http2Stream* find(int32_t id) const;
  // The stream is over: whoever answers it still is told.
  void close_stream(Http2Stream& stream);
  void begin_request(Http2Stream& stream, bool is_whole);
  // Sets the stream's body_limit_; false when the head was answered.
  bool admit(Http2Stream& stream);
  void take_body(Http2Stream& stream, std::string_view piece);
  void end_request(Http2Stream& stream);
  void deliver(Http2Stream& stream, const Http2RequestHead& head, Payload body);
  [[nodiscard]] HttpRequest request(const Http2RequestHead& head, Payload body) const;

  // The head of an answer, gathered field by field.
  void begin_head(std::string_view status);
  void add_field(std::string_view name, std::string_view value);
  void submit_head(Http2Stream& stream, bool has_body);
  void submit_interim(const Http2Stream& stream);

  void arm(MonotonicTime deadline);
  void on_timer();
  [[nodiscard]] MonotonicTime check_streams(MonotonicTime now);

  HttpServer& server_;
  std::unique_ptr<Stream> stream_;
  nghttp2_session* session_ = nullptr;
  std::vector<std::unique_ptr<Http2Stream>> streams_;  // those that are open
  Http2RequestHead head_;                              // that is being received
  std::unique_ptr<Fields> fields_;                     // of the head that is being written
  std::array<char, 3> status_{};                       // which fields_ shows, as it does length_
  std::string length_;
  bool inside_ = false;      // libnghttp2 is at work
  bool full_ = false;        // as much output waits as may
  int rounds_ = 0;           // for which it was filled up again in this turn
  bool drains_due_ = false;  // somebody is to be told that all is gone
  bool settings_seen_ = false;
  bool head_open_ = false;  // a header block has begun and not ended
  bool draining_ = false;
  bool terminated_ = false;
  bool closing_ = false;  // all is said; input is discarded until closing_until_
  bool ended_ = false;
  MonotonicTime head_begun_;
  MonotonicTime idle_since_;
  MonotonicTime closing_until_{};
  MonotonicTime taken_at_;  // when the client last took output
  uint64_t written_bytes_ = 0;
  uint64_t taken_bytes_ = 0;
  Budget resets_{.most = 500, .a_second = 50};
  Budget idle_frames_{.most = 1000, .a_second = 100};
  uint32_t remarks_due_ = 0;  // by what was sent and asked; those beyond count as idle frames
  runtime::Timer timer_;      // runs out at timer_at_, which is never after what there is to be done
  MonotonicTime timer_at_{};
  runtime::Timer going_on_;  // in the next turn
};

}  // namespace verge::net
