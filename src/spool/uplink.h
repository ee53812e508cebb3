// Uplink: sends a spool's streams to the parent, most important first, and moves the cursors when the parent says a
// batch is durable there.
//
// When to send: at once if a critical record waits, if a full batch waits, if the last answer left a backlog, or on
// drain; otherwise when the oldest record has waited `batch_age_max`. One batch is under way at a time. A failure of
// any kind means "not delivered": the same records go again after an exponential pause with full jitter; the parent
// recognises what it already has.
//
// Reading the log, compressing and resolving the parent's name run on `worker`, a loop of lower priority; deciding what
// to send, and the connection, on the uplink's own loop. A log that cannot be read counts as a failure too: nothing is
// ever passed over for it.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/metrics.h"
#include "base/random.h"
#include "net/http_client.h"
#include "runtime/loop.h"
#include "spool/batch.h"
#include "spool/spool_writer.h"
#include "storage/segmented_log.h"

namespace verge::spool {

// How the parent is reached, and what it is shown.
struct ParentAccess {
  std::shared_ptr<const net::TlsContext> tls;  // null: plain HTTP
  std::string token;                           // sent as Authorization: Bearer; empty: none
};

struct UplinkOptions {
  size_t batch_bytes_max = 1U << 20;  // of events, before compression
  Duration batch_age_max = std::chrono::seconds(1);
  Duration timeout = std::chrono::seconds(10);
  Duration retry_max = std::chrono::seconds(5);
  int compression = 3;
  std::function<ParentAccess()> access = {};  // asked on the loop for each connection; none: plain HTTP, no token
};

struct UplinkCounters {
  Counter batches;
  Counter records;
  Counter event_bytes;  // delivered, before compression
  Counter failures;
  std::atomic<uint64_t> bytes_sent{0};  // on the wire, heads and repetitions included
  std::atomic<uint64_t> bytes_received{0};
  std::atomic<bool> connected{false};        // the last batch was delivered
  std::atomic<int64_t> last_delivery_us{0};  // wall clock; 0: never
};

class Uplink {
 public:
  // `parent` is "http://host:port" or "https://host:port". All references outlive the uplink.
  Uplink(runtime::Loop& loop, runtime::Loop& worker, storage::FileSystem& file_system, std::string spool_directory,
         SpoolWriter& spool, const NodeId& node, std::string name, std::string parent, const UplinkOptions& options);
  ~Uplink();

  void start();
  // Something was stored. Any thread.
  void wake();
  // Sends what there is without waiting for age; `done` when nothing is left or the parent cannot be reached.
  void drain(std::function<void()> done);
  // No request is made any more and none is awaited; call before destruction, on the loop.
  void stop();

  [[nodiscard]] const UplinkCounters& counters() const { return counters_; }  // any thread
  // How long the oldest record of the stream has waited, roughly; 0 when none does. Any thread.
  [[nodiscard]] Duration waiting(Priority stream) const;

 private:
  struct Stream {
    uint64_t sent_through = 0;  // delivered
    uint64_t sent_bytes = 0;    // of appended_bytes
    std::optional<MonotonicTime> waiting_since;
    bool backlog = false;  // the last batch was full: more is there
  };
  struct Prepared {
    Priority stream;
    uint64_t through = 0;
    uint64_t records = 0;
    uint64_t event_bytes = 0;
    bool more = false;
    std::string body;            // empty: there is nothing in that range
    std::optional<Error> error;  // the log could not be read
  };

  void look();
  [[nodiscard]] std::optional<Priority> due(MonotonicTime now, Duration& until_next) const;
  void prepare(Priority stream);
  void send(std::shared_ptr<Prepared> batch);
  void on_answer(const std::shared_ptr<Prepared>& batch, Result<net::HttpAnswer> answer);
  void on_delivered(const Prepared& batch);
  void on_failure(const Error& error, std::optional<Duration> retry_after);
  Prepared read_batch(Priority stream, uint64_t from, uint64_t end);
  void connect_then(std::function<void()> next);
  void finish_drain();
  Stream& stream(Priority priority) { return streams_[static_cast<size_t>(priority)]; }

  runtime::Loop& loop_;
  runtime::Loop& worker_;
  storage::FileSystem& file_system_;
  const std::string spool_directory_;
  SpoolWriter& spool_;
  const NodeId node_;
  const std::string name_;
  const std::string parent_;
  const UplinkOptions options_;
  Random random_;

  std::array<Stream, kStreams> streams_;
  std::array<std::unique_ptr<storage::LogReader>, kStreams> readers_;  // used on worker_ only
  std::array<uint64_t, kStreams> read_position_{};                     // likewise: what the reader gives next
  std::unique_ptr<net::HttpClient> client_;
  std::string authorization_;  // with client_; empty: none
  runtime::Timer timer_;
  bool busy_ = false;  // a batch is being prepared or sent
  bool stopped_ = false;
  bool draining_ = false;
  std::function<void()> drained_;
  uint32_t failures_in_a_row_ = 0;
  std::optional<MonotonicTime> paused_until_;
  uint64_t earlier_bytes_sent_ = 0;
  uint64_t earlier_bytes_received_ = 0;
  std::atomic<bool> wake_posted_{false};
  std::array<std::atomic<int64_t>, kStreams> waiting_since_ns_{};
  // What arrives from other threads after stop() finds guard_ expired.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  const std::weak_ptr<bool> guard_ = alive_;
  UplinkCounters counters_;
};

}  // namespace verge::spool
