// Uplink: sends a spool's streams to the parent, and notes what the parent says is durable there.
//
// What goes when is the SendPlan's to decide; the uplink prepares and sends. Each of the two lanes has a connection, a
// batch under way and the next one prepared meanwhile, so that the line is never idle while there is something to send.
//
// A failure of any kind means "not delivered": the same records go again after an exponential pause with full jitter;
// the parent recognises what it already has. What the parent refuses for good (400, 413, 422) is tried in halves until
// the record that it will not have stands alone. That record has a budget of attempts, by its priority; outages and
// "not now" (429, 503, any other answer) spend none. Then it is buried among the dead letters, with what the parent
// said. The others go on around it meanwhile.
//
// Reading the log and compressing run on the worker of each lane (the bulk lane's of lower priority), so that no fresh
// record waits for a backlog there; deciding, and the connections, on the uplink's own loop. A log that cannot be read
// is read again later: nothing is passed over for it. What is damaged is: its range is reported, exactly.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/random.h"
#include "net/http_client.h"
#include "runtime/loop.h"
#include "spool/batch.h"
#include "spool/line_rate.h"
#include "spool/record_reader.h"
#include "spool/send_plan.h"
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
  Duration batch_age_max = std::chrono::seconds(60);
  double backlog_share = 0.2;
  Duration timeout = std::chrono::seconds(10);  // for an answer, beside what the line needs for the batch
  Duration retry_max = std::chrono::seconds(5);
  std::array<uint32_t, kStreams> attempts = {100, 50, 20, 10};  // of a record that the parent refuses
  std::array<Duration, kStreams> ttl{};                         // older records are not sent; 0: no limit
  bool ttl_stops_in_outage = true;            // the time in which the parent is out of reach does not count
  std::function<ParentAccess()> access = {};  // asked on the loop for each connection; none: plain HTTP, no token
};

struct UplinkCounters {
  Counter batches;
  Counter records;
  Counter event_bytes;  // delivered, before compression
  Counter failures;
  Counter refusals;                          // batches that the parent refused for good
  Counter buried;                            // records given up
  Counter damaged;                           // sequences that could not be read any more
  Counter expired;                           // records that outlived their time to live
  std::atomic<uint64_t> bytes_sent{0};       // on the wire, heads and repetitions included
  std::atomic<uint64_t> bytes_received{0};   // likewise
  std::atomic<bool> connected{false};        // the last batch was delivered
  std::atomic<int64_t> last_delivery_us{0};  // wall clock; 0: never
  std::atomic<uint64_t> line_bytes_per_s{0};
  std::atomic<int> compression_level{0};
};

class Uplink {
 public:
  // `parent` is "http://host:port" or "https://host:port". All references outlive the uplink.
  // `workers`: of the express and of the bulk lane.
  Uplink(runtime::Loop& loop, std::array<runtime::Loop*, kLanes> workers, storage::FileSystem& file_system,
         std::string spool_directory, SpoolWriter& spool, const NodeId& node, std::string name, std::string parent,
         const UplinkOptions& options);
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
  // A batch, or why there is none.
  struct Prepared {
    SendPlan::Stretch stretch;
    uint64_t end = 0;  // of the sequences that were read
    uint64_t first_record = 0;
    uint64_t records = 0;
    uint64_t expired = 0;
    uint64_t event_bytes = 0;
    std::string first_event;
    std::string body;            // empty: there is nothing in that range
    std::optional<Error> error;  // the log could not be read
    std::vector<storage::DamagedRange> damaged;
    Duration took{0};
    MonotonicTime sent;
  };
  using PreparedPointer = std::shared_ptr<Prepared>;
  struct LaneState {
    Lane lane;
    std::unique_ptr<net::HttpClient> client;
    std::string authorization;  // with the client; empty: none
    bool connecting = false;
    bool preparing = false;
    bool is_stale = false;  // what is being prepared follows a batch that was not delivered: it would overtake it
    PreparedPointer next;
    PreparedPointer under_way;
    uint64_t earlier_bytes_sent = 0;  // by clients that are gone
    uint64_t earlier_bytes_received = 0;
  };
  void look();
  void step(LaneState& lane, MonotonicTime now, MonotonicTime& look_again);
  void prepare(LaneState& lane, const SendPlan::Stretch& stretch);
  Prepared read_batch(Lane lane, const SendPlan::Stretch& stretch, uint64_t floor, int level);
  void on_prepared(LaneState& lane, const PreparedPointer& batch);
  void send(LaneState& lane);
  void connect(LaneState& lane);
  void on_answer(LaneState& lane, Result<net::HttpAnswer> answer);
  void on_delivered(LaneState& lane, const PreparedPointer& batch);
  void on_refused(LaneState& lane, const PreparedPointer& batch, const Error& refusal);
  void give_up(const PreparedPointer& batch, const Error& refusal);
  void on_failure(LaneState& lane, const Error& error, std::optional<Duration> retry_after);
  void close(LaneState& lane);
  void count_bytes();
  void finish_drain();
  LaneState& state_of(Lane lane) { return lanes_[static_cast<size_t>(lane)]; }

  runtime::Loop& loop_;
  const std::array<runtime::Loop*, kLanes> workers_;
  storage::FileSystem& file_system_;
  const std::string spool_directory_;
  SpoolWriter& spool_;
  const NodeId node_;
  const std::string name_;
  const std::string parent_;
  const UplinkOptions options_;
  Random random_;

  SendPlan plan_;
  LineRate line_;
  std::array<LaneState, kLanes> lanes_;
  std::array<std::array<std::unique_ptr<RecordReader>, kStreams>, kLanes> readers_;  // used on the lane's worker only
  std::map<std::pair<Priority, uint64_t>, uint32_t> attempts_;  // of records that the parent refused
  runtime::Timer timer_;
  bool stopped_ = false;
  bool draining_ = false;
  std::function<void()> drained_;
  uint32_t failures_in_a_row_ = 0;
  std::optional<MonotonicTime> paused_until_;
  std::atomic<bool> wake_posted_{false};
  std::array<std::atomic<int64_t>, kStreams> waiting_since_ns_{};
  // What arrives from other threads after stop() finds guard_ expired.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  const std::weak_ptr<bool> guard_ = alive_;
  UplinkCounters counters_;
};

}  // namespace verge::spool
