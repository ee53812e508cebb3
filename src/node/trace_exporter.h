// TraceExporter: takes spans to a collector by OTLP/HTTP in JSON (https://opentelemetry.io/docs/specs/otlp/), on a
// thread of its own, so that a collector that is slow or away holds up nothing.
//
// Batches of kBatchSpans and about kBatchBytes at most, one under way at a time, kPause after the first span. 429, 502,
// 503, 504 and no answer are tried again, after a second at first and twice as long each time, kBackoffMax at most, a
// quarter more or less by chance, so that the nodes of a tree do not come all at once; or as Retry-After says,
// kRetryAfterMax at most. After kAttemptsMax times, and at any other answer, the batch is given up. Meanwhile spans
// wait in the Tracer, and what it has no room for is dropped.
//
// At the end what waits is sent, once and for kEndMax at most; what was not is counted in the log.
//
// Threading: the constructor's; counters from any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/random.h"
#include "base/seldom_line.h"
#include "net/http_client.h"
#include "net/resolver.h"
#include "node/config_address.h"
#include "runtime/loop.h"
#include "traces/otlp.h"
#include "traces/tracer.h"

namespace verge::node {

class TraceExporter {
 public:
  static constexpr size_t kBatchSpans = 512;
  static constexpr size_t kBatchBytes = 512U << 10;  // of spans; as JSON they take a few times that
  static constexpr uint32_t kAttemptsMax = 6;
  static constexpr Duration kPause = std::chrono::milliseconds(500);
  static constexpr Duration kBackoffMax = std::chrono::seconds(30);
  static constexpr Duration kRetryAfterMax = std::chrono::minutes(10);
  static constexpr Duration kEndMax = std::chrono::seconds(2);

  struct Counters {
    std::atomic<uint64_t> exported{0};  // spans that the collector took
    std::atomic<uint64_t> refused{0};   // that it did not, or that it was not to be reached for
  };

  // `token`: shown as Authorization: Bearer; empty: none. The tracer outlives the exporter.
  TraceExporter(traces::Tracer& tracer, const WebhookUrl& collector, const std::string& token,
                traces::Resource resource, const Clock& clock);
  // Takes kEndMax at most. Nobody adds spans any more.
  ~TraceExporter();
  TraceExporter(const TraceExporter&) = delete;
  TraceExporter& operator=(const TraceExporter&) = delete;

  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  void begin();
  void connect(const Result<net::Address>& address);
  void request();
  void answered(const Result<net::HttpAnswer>& answer);
  void take_partial(const traces::PartialSuccess& said);
  void try_again(Duration pause, const std::string& why);
  void give_up(const std::string& why);
  void next();
  [[nodiscard]] Duration backoff();
  void begin_end();
  void end();

  traces::Tracer& tracer_;
  const WebhookUrl collector_;
  const std::string authorization_;
  const traces::Resource resource_;
  const Clock& clock_;
  Counters counters_;
  SeldomLine failures_{std::chrono::seconds(60)};
  runtime::Loop loop_{"traces"};
  net::Resolver resolver_{"resolver-traces"};
  std::unique_ptr<net::HttpClient> client_;
  runtime::Timer timer_{loop_};
  runtime::Timer end_timer_{loop_};
  Random random_{system_seed()};
  bool is_busy_ = false;    // a batch waits or is under way
  bool is_ending_ = false;  // nothing is tried again
  Payload body_;            // of the batch; empty: none is under way
  size_t spans_ = 0;        // in it
  uint32_t attempts_ = 0;
  std::thread thread_;
};

}  // namespace verge::node
