// An origin as one loop asks it, whatever it speaks: UpstreamPool over HTTP/1.1, Http2Upstream over HTTP/2.
//
// Threading: all on one loop. Observers are never called from within a function of an upstream or of a call.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "net/address.h"
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
  // Where the server is from now on, one at least: connections to what is not among them carry no further call.
  virtual void move_to(std::vector<Address> addresses) = 0;
  [[nodiscard]] virtual const UpstreamCounters& counters() const = 0;  // any thread
};

}  // namespace verge::net
