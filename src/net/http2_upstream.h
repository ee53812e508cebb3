// Http2Upstream: requests to one origin over HTTP/2 (RFC 9113), many at a time on few connections, each answer handed
// on as it comes. Over TLS where the origin agrees on "h2", else in clear where it is known to speak it (section 3.3).
//
// A call gets a stream of a connection that has one free, or waits for one: up to connections_max connections with as
// many streams as the origin allows (100 at most), beyond that in order up to waiting_max and wait_timeout. Requests
// for another protocol, and all requests to an origin that did not agree on "h2", go over HTTP/1.1 (see UpstreamPool).
//
// A request that the origin says it did not look at (REFUSED_STREAM, or a stream above that of its GOAWAY) and that has
// no body is sent once more; likewise an idempotent one of whose answer nothing had come when a connection broke that
// had answered others. All else fails when its stream or its connection does.
//
// An answer that is not read (pause()) costs a window of 256 KiB and holds up no other.
//
// Codes of failures and threading: as for UpstreamPool.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http_upstream.h"

namespace verge::net {

class Http2Upstream;
class Http2UpstreamConnection;

class Http2Call final : public UpstreamCall {
 public:
  ~Http2Call() override;
  Http2Call(const Http2Call&) = delete;
  Http2Call& operator=(const Http2Call&) = delete;

  void write_body(std::string_view piece) override;
  void finish_body(std::span<const HttpField> trailers) override;
  [[nodiscard]] size_t queued_bytes() const override;
  void pause() override;
  void resume() override;

 private:
  friend class Http2Upstream;
  friend class Http2UpstreamConnection;
  friend struct Http2UpstreamCallbacks;
  template <class>
  friend class CallQueue;
  using Fields = std::vector<std::pair<std::string, std::string>>;

  Http2Call(Http2Upstream& upstream, UpstreamObserver& observer, const UpstreamRequest& request);
  // The request, as views of what this owns.
  [[nodiscard]] UpstreamRequest request(std::vector<HttpField>& fields) const;
  void end() { upstream_ = nullptr; }
  [[nodiscard]] bool may_be_repeated() const { return framing_.kind == BodyFraming::Kind::kNone && !repeated_; }

  Http2Upstream* upstream_;  // null once the call is over
  UpstreamObserver& observer_;
  Http2UpstreamConnection* connection_ = nullptr;  // null while it waits
  int32_t id_ = 0;
  std::unique_ptr<UpstreamCall> over_http1_;  // which does all then

  std::string method_, target_, authority_;
  Fields fields_;
  BodyFraming framing_;
  uint64_t body_left_ = 0;  // of kLength
  std::string body_;        // not yet in a frame
  Fields trailers_;
  bool body_complete_ = false;
  bool body_deferred_ = false;  // libnghttp2 asked for more and there was none
  bool drain_due_ = false;

  bool has_head_ = false;
  bool answer_ended_ = false;
  bool paused_ = false;
  bool held_due_ = false;  // held_ is to be handed on, in a later turn
  int interims_ = 0;
  std::string held_;  // of the answer, that came while it was paused
  Fields answer_trailers_;

  bool repeated_ = false;
  MonotonicTime moved_at_{};  // when something of it last came or went
  MonotonicTime waits_since_{};
};

class Http2Upstream final : public Upstream {
 public:
  // `tls`: none for clear text; of its protocols the first is "h2". `tls_http1`: for connections over HTTP/1.1; none of
  // its protocols is "h2". `host`: for messages about TLS. `loop` outlives this.
  Http2Upstream(runtime::Loop& loop, std::vector<Address> addresses, const UpstreamLimits& limits,
                std::shared_ptr<const TlsContext> tls = nullptr, std::shared_ptr<const TlsContext> tls_http1 = nullptr,
                std::string host = {});
  Http2Upstream(runtime::Loop& loop, const Address& address, const UpstreamLimits& limits,
                std::shared_ptr<const TlsContext> tls = nullptr, std::shared_ptr<const TlsContext> tls_http1 = nullptr,
                std::string host = {})
      : Http2Upstream(loop, std::vector{address}, limits, std::move(tls), std::move(tls_http1), std::move(host)) {}
  ~Http2Upstream() override;
  Http2Upstream(const Http2Upstream&) = delete;
  Http2Upstream& operator=(const Http2Upstream&) = delete;

  [[nodiscard]] std::unique_ptr<UpstreamCall> begin(const UpstreamRequest& request,
                                                    UpstreamObserver& observer) override;
  void move_to(std::vector<Address> addresses) override;
  // Of both protocols' connections only those of HTTP/2 are counted.
  [[nodiscard]] const UpstreamCounters& counters() const override { return counters_; }
  [[nodiscard]] size_t connections() const { return connections_.size(); }
  [[nodiscard]] size_t waiting() const { return calls_.size(); }

 private:
  friend class Http2Call;
  friend class Http2UpstreamConnection;
  friend struct Http2UpstreamCallbacks;

  // Gives those that wait streams, as far as there are.
  void serve_waiting();
  void on_connected(Result<Socket> socket);
  void fall_back();
  void carry_over_http1(Http2Call& call);
  // Closes it and destroys it in a later turn. Its calls are repeated or fail.
  void remove(Http2UpstreamConnection& connection, const Error& why);
  void forget(Http2Call& call);

  runtime::Loop& loop_;
  UpstreamAddresses addresses_;
  const UpstreamLimits limits_;
  const std::shared_ptr<const TlsContext> tls_;
  const std::string host_;
  UpstreamPool http1_;
  bool speaks_http1_ = false;  // did not agree on "h2"
  std::vector<std::unique_ptr<Http2UpstreamConnection>> connections_;
  // One more at a time: it has room for many.
  std::unique_ptr<Connecting> connecting_;
  Address connecting_to_;
  runtime::Timer serving_timer_;
  UpstreamCounters counters_;
  CallQueue<Http2Call> calls_;
};

}  // namespace verge::net
