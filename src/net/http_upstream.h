// UpstreamPool: requests to one origin over kept-alive connections, each answer handed on as it comes (RFC 9112
// sections 6, 7 and 9). For proxies and caches, which pass on what they could not hold; HttpClient is for those who
// want whole answers.
//
// A call gets a connection that is idle, the one used last first, or a new one, up to connections_max; further calls
// wait, in order, up to waiting_max and wait_timeout. A connection carries one call at a time and is used again when
// the answer ended where its framing says, all of the request was sent, both sides keep it and nothing came behind the
// end.
//
// A request whose connection breaks before the answer is complete fails: whether the origin has done it is unknown, and
// the caller decides. The one exception: an idempotent request without a body, on a connection that had carried another
// before, of whose answer not a byte had come, is sent once more on a new connection.
//
// Where an answer's end is in doubt it is refused (see AnswerReader). One that lasts until the connection ends is
// complete only if it ended as it should: not by a reset, and with TLS by its close_notify (RFC 9112 section 9.8).
//
// Codes of failures: http.queue-full, http.bad-request (it could not be written as one), http.connect-refused,
// http.connect-failed, http.connect-timeout, http.timeout, http.closed, http.bad-answer; of TLS: net.tls-untrusted,
// net.tls-handshake.
//
// Threading: all on one loop. Observers are never called from within a function of the pool or of a call.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "net/connecting.h"
#include "net/http_request_head.h"

namespace verge::net {

struct UpstreamLimits {
  HeadLimits head;
  size_t connections_max = 64;  // connecting, carrying and idle
  size_t idle_connections_max = 16;
  size_t waiting_max = 256;                            // calls without a connection; above it: http.queue-full
  Duration wait_timeout = std::chrono::seconds(30);    // for a connection, then http.timeout
  Duration connect_timeout = std::chrono::seconds(5);  // for TCP, and again for TLS
  Duration head_timeout = std::chrono::seconds(60);    // from what was last sent to the answer's first byte
  Duration idle_timeout = std::chrono::seconds(60);    // between bytes of an answer, and while the origin takes none
  Duration idle_connection_max = std::chrono::seconds(60);  // servers close theirs after about as much
  uint64_t descriptors_max = UINT64_MAX;                    // those from here on are not for connections
};

// Written on the pool's loop, readable anywhere.
struct UpstreamCounters {
  Counter connections;  // open now
  Counter opened;       // connections, in total
  Counter requests;     // sent, in total
  Counter repeated;     // of these, sent once more
  Counter failures;     // calls
};

using UpstreamRequest = HttpRequestHead;

// What becomes of a call: any interim answers, then head, pieces of the body, end; or, at any place, a failure, which
// is the end too. May destroy the call, or the pool, in each of these.
class UpstreamObserver {
 public:
  virtual ~UpstreamObserver() = default;
  // 1xx but 101. The head is good until return.
  virtual void on_interim(const ResponseHead& head) { static_cast<void>(head); }
  // `framing`: of the body that follows. 101, where an upgrade was asked: from then on on_body() gives the bytes of the
  // other protocol, and write_body() sends such. The head is good until return.
  virtual void on_head(const ResponseHead& head, const BodyFraming& framing) = 0;
  // Decoded; good until return.
  virtual void on_body(std::string_view piece) = 0;
  // The answer is complete (or the other protocol at its end); the call does nothing any more. Good until return.
  virtual void on_end(std::span<const HttpField> trailers) = 0;
  virtual void on_failed(const Error& error) = 0;
  // What was written of the request's body has all been taken by the kernel.
  virtual void on_request_drained() {}
};

// One request under way. Destroying it cancels it: no call to its observer follows.
class UpstreamCall {
 public:
  virtual ~UpstreamCall() = default;

  // The body of a request with kLength: exactly so much; of one with kChunked: what there is; of another protocol:
  // bytes as they are. Once the call is over it does nothing.
  virtual void write_body(std::string_view piece) = 0;
  // All of the body is written; whoever cannot write it to its end destroys the call. Trailers go behind a body of
  // kChunked, except where one cannot be written. Of another protocol: closes when all is sent; no call to the observer
  // follows.
  virtual void finish_body(std::span<const HttpField> trailers = {}) = 0;
  // Of the request, not yet taken by the kernel or, in HTTP/2, by the origin: who writes much stops above a limit until
  // on_request_drained().
  [[nodiscard]] virtual size_t queued_bytes() const = 0;
  // Reads no more of the answer; what was received already (at most one buffer of the loop) still comes.
  virtual void pause() = 0;
  virtual void resume() = 0;
};

// An origin, as one loop asks it.
class Upstream {
 public:
  // Calls that are still about do nothing from then on, without a word to their observers.
  virtual ~Upstream() = default;
  // `observer` outlives the call. CONNECT is http.bad-request: no tunnels are opened.
  [[nodiscard]] virtual std::unique_ptr<UpstreamCall> begin(const UpstreamRequest& request,
                                                            UpstreamObserver& observer) = 0;
  [[nodiscard]] virtual const UpstreamCounters& counters() const = 0;  // any thread
};

class UpstreamPool;
class UpstreamConnection;

// A call over HTTP/1.1. Destroyed before its answer was complete it costs its connection.
class PooledCall final : public UpstreamCall {
 public:
  ~PooledCall() override;
  PooledCall(const PooledCall&) = delete;
  PooledCall& operator=(const PooledCall&) = delete;

  void write_body(std::string_view piece) override;
  void finish_body(std::span<const HttpField> trailers) override;
  [[nodiscard]] size_t queued_bytes() const override;
  void pause() override;
  void resume() override;

 private:
  friend class UpstreamPool;
  friend class UpstreamConnection;
  PooledCall(UpstreamPool& pool, UpstreamObserver& observer) : pool_(&pool), observer_(observer) {}
  [[nodiscard]] std::string& output();
  [[nodiscard]] bool may_be_repeated() const { return idempotent_ && framing_.kind == BodyFraming::Kind::kNone; }

  UpstreamPool* pool_;  // null once the call is over
  UpstreamObserver& observer_;
  UpstreamConnection* connection_ = nullptr;  // null while it waits
  std::string method_;
  std::string outgoing_;  // the head, and while it waits the body; what may be repeated stays
  BodyFraming framing_;
  uint64_t body_left_ = 0;  // of kLength
  bool body_complete_ = false;
  bool idempotent_ = false;
  bool takes_upgrade_ = false;
  bool raw_ = false;  // another protocol
  bool paused_ = false;
  bool repeated_ = false;
  MonotonicTime waits_since_{};
};

class UpstreamPool final : public Upstream {
 public:
  // `host`: for messages about TLS. `tls`: none for plain TCP; it has the name that certificates are checked for.
  // `loop` outlives the pool.
  UpstreamPool(runtime::Loop& loop, const Address& address, const UpstreamLimits& limits,
               std::shared_ptr<const TlsContext> tls = nullptr, std::string host = {});
  // Closes all connections; calls that are still about do nothing from then on, without a word to their observers.
  ~UpstreamPool() override;
  UpstreamPool(const UpstreamPool&) = delete;
  UpstreamPool& operator=(const UpstreamPool&) = delete;

  [[nodiscard]] std::unique_ptr<UpstreamCall> begin(const UpstreamRequest& request,
                                                    UpstreamObserver& observer) override;
  [[nodiscard]] const UpstreamCounters& counters() const override { return counters_; }
  [[nodiscard]] size_t connections() const { return connections_.size(); }
  [[nodiscard]] size_t idle() const { return idle_.size(); }
  [[nodiscard]] size_t waiting() const { return waiting_.size(); }

 private:
  friend class PooledCall;
  friend class UpstreamConnection;
  using Attempt = std::list<std::unique_ptr<Connecting>>::iterator;
  struct Failing {
    PooledCall* call;
    Error error;
  };

  // Has the call carried, or lets it wait.
  void place(PooledCall& call);
  void connect_for_waiting();
  void on_connected(Attempt attempt, Result<Socket> socket);
  // The connection is free.
  void take_back(UpstreamConnection& connection);
  // Closes it and destroys it in a later turn.
  void take_out(UpstreamConnection& connection);
  // As take_out(), and lets those that wait have its place.
  void remove(UpstreamConnection& connection);
  // Before its connection is removed.
  void repeat(PooledCall& call);
  void forget(PooledCall& call);
  void fail_later(PooledCall& call, Error error);
  void fail_next();
  void fail_those_that_waited();

  runtime::Loop& loop_;
  const Address address_;
  const UpstreamLimits limits_;
  const std::shared_ptr<const TlsContext> tls_;
  const std::string host_;
  std::vector<std::unique_ptr<UpstreamConnection>> connections_;
  std::vector<UpstreamConnection*> idle_;  // used last: last
  std::list<std::unique_ptr<Connecting>> connecting_;
  std::deque<PooledCall*> waiting_;
  std::deque<Failing> failing_;
  runtime::Timer waiting_timer_;
  runtime::Timer failing_timer_;
  UpstreamCounters counters_;
};

}  // namespace verge::net
