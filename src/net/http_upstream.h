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
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/call_queue.h"
#include "net/connecting.h"
#include "net/upstream.h"
#include "net/upstream_addresses.h"

namespace verge::net {

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
  template <class>
  friend class CallQueue;
  PooledCall(UpstreamPool& pool, UpstreamObserver& observer) : pool_(&pool), observer_(observer) {}
  [[nodiscard]] std::string& output();
  void end() { pool_ = nullptr; }
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
  // `addresses`: of the server, one at least; one that cannot be connected to gives way to the next. `host`: for
  // messages about TLS. `tls`: none for plain TCP; it has the name that certificates are checked for. `loop` outlives
  // the pool.
  UpstreamPool(runtime::Loop& loop, std::vector<Address> addresses, const UpstreamLimits& limits,
               std::shared_ptr<const TlsContext> tls = nullptr, std::string host = {});
  UpstreamPool(runtime::Loop& loop, const Address& address, const UpstreamLimits& limits,
               std::shared_ptr<const TlsContext> tls = nullptr, std::string host = {})
      : UpstreamPool(loop, std::vector{address}, limits, std::move(tls), std::move(host)) {}
  // Closes all connections; calls that are still about do nothing from then on, without a word to their observers.
  ~UpstreamPool() override;
  UpstreamPool(const UpstreamPool&) = delete;
  UpstreamPool& operator=(const UpstreamPool&) = delete;

  [[nodiscard]] std::unique_ptr<UpstreamCall> begin(const UpstreamRequest& request,
                                                    UpstreamObserver& observer) override;
  void move_to(std::vector<Address> addresses) override;
  [[nodiscard]] const UpstreamCounters& counters() const override { return counters_; }
  [[nodiscard]] size_t connections() const { return connections_.size(); }
  [[nodiscard]] size_t idle() const { return idle_.size(); }
  [[nodiscard]] size_t waiting() const { return calls_.size(); }

 private:
  friend class PooledCall;
  friend class UpstreamConnection;
  struct Attempt {
    Address address;
    std::unique_ptr<Connecting> connecting;
  };
  using Attempts = std::list<Attempt>;

  // Has the call carried, or lets it wait.
  void place(PooledCall& call);
  void connect_for_waiting();
  void on_connected(Attempts::iterator attempt, Result<Socket> socket);
  // The connection is free.
  void take_back(UpstreamConnection& connection);
  // Closes it and destroys it in a later turn.
  void take_out(UpstreamConnection& connection);
  // As take_out(), and lets those that wait have its place.
  void remove(UpstreamConnection& connection);
  // Before its connection is removed.
  void repeat(PooledCall& call);
  void forget(PooledCall& call);

  runtime::Loop& loop_;
  UpstreamAddresses addresses_;
  const UpstreamLimits limits_;
  const std::shared_ptr<const TlsContext> tls_;
  const std::string host_;
  std::vector<std::unique_ptr<UpstreamConnection>> connections_;
  std::vector<UpstreamConnection*> idle_;  // used last: last
  Attempts connecting_;
  UpstreamCounters counters_;
  CallQueue<PooledCall> calls_;
};

}  // namespace verge::net
