// Uplink: sends a spool's streams to the parent, and notes what the parent says is durable there.
//
// What is sent when, and what an answer means, a Delivery decides (delivery.h), and over which of the paths to the
// parent, RedundantPaths (redundant_paths.h). This gives them loops and connections: each of the two lanes has an HTTP
// connection a path, kept alive, on the uplink's own loop; reading the log and compressing run on the worker of each
// lane (the bulk lane's of lower priority), so that no fresh record waits for a backlog there. The parent's name is
// resolved by a thread of the path's own: a name that is not to be had, on one path, holds up nothing but that path.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/http_client.h"
#include "net/local_end.h"
#include "net/resolver.h"
#include "runtime/loop.h"
#include "spool/batch_reader.h"
#include "spool/delivery.h"
#include "spool/redundant_paths.h"
#include "spool/spool_writer.h"
#include "spool/uplink_counters.h"
#include "storage/file_system.h"

namespace verge::spool {

// How the parent is reached, and what it is shown.
struct ParentAccess {
  std::shared_ptr<const net::TlsContext> tls;  // null: plain HTTP
  std::string token;                           // sent as Authorization: Bearer; empty: none
};

struct ParentPath {
  std::string url;  // "http://host:port" or "https://host:port"
  net::LocalEnd from;
  std::string from_text;  // as it was written; empty: nowhere in particular
};

// Who follows records on their way up.
struct RecordWatch {
  BatchReader::Seen read;  // for a batch, on a worker; more than once where a batch is read again
  std::function<void(Priority stream, IntervalSet::Interval sequences)> delivered;  // on the loop
};

struct UplinkOptions {
  DeliveryOptions delivery;
  std::array<Duration, kStreams> ttl{};  // older records are not sent; 0: no limit
  size_t redundant = 1;                  // paths at a time
  // Asked on the loop for each connection, with the number of its path; none: plain HTTP, no token.
  std::function<ParentAccess(size_t path)> access = {};
  RecordWatch watch = {};  // empty: nobody does
};

class Uplink final : private Delivery::Effects, private RedundantPaths::Effects {
 public:
  // `paths`: to the parent, those preferred first; one at least. All references outlive the uplink.
  // `workers`: of the express and of the bulk lane.
  Uplink(runtime::Loop& loop, std::array<runtime::Loop*, kLanes> workers, storage::FileSystem& file_system,
         const std::string& spool_directory, SpoolWriter& spool, const NodeId& node, const std::string& name,
         std::vector<ParentPath> paths, const UplinkOptions& options);
  ~Uplink() override;

  void start();
  // Something was stored. Any thread.
  void wake();
  // Sends what there is without waiting for age; `done` when nothing is left or the parent cannot be reached.
  void drain(std::function<void()> done);
  // No request is made any more and none is awaited; call before destruction, on the loop.
  void stop();

  [[nodiscard]] const UplinkCounters& counters() const { return counters_; }  // any thread
  // For who else finds out whether the parent is reached, so that one line is said of an outage. Any thread.
  [[nodiscard]] std::atomic<bool>& outage_is_said() { return counters_.outage_is_said; }
  [[nodiscard]] std::span<const PathCounters> path_counters() const { return path_counters_; }  // likewise
  // How long the oldest record of the stream has waited, roughly; 0 when none does. Any thread.
  [[nodiscard]] Duration waiting(Priority stream) const;
  // How much longer than it may for its batch to fill; what is critical may not wait at all. Any thread.
  [[nodiscard]] Duration late(Priority stream) const;

 private:
  struct Path {
    std::string authority;
    net::LocalEnd from;
    std::string name;  // for the log
    std::unique_ptr<net::Resolver> resolver;
  };
  // Of one lane, on one path.
  struct Connection {
    std::unique_ptr<net::HttpClient> client;
    std::string authorization;  // with the client; empty: none
    Payload body;               // waits for the client
    Duration timeout{0};
    uint64_t earlier_bytes_sent = 0;  // by clients that are gone
    uint64_t earlier_bytes_received = 0;
  };

  static std::vector<Path> made_of(std::vector<ParentPath> paths);
  static std::vector<std::string> names_of(const std::vector<Path>& paths);

  void prepare(Lane lane, const SendPlan::Stretch& stretch, const BatchLimits& limits) override;
  void send(Lane lane, const Payload& body, Duration timeout) override;
  void send(Lane lane, size_t path, const Payload& body, Duration timeout) override;
  void close(Lane lane, size_t path) override;
  void delivered(Priority stream, IntervalSet::Interval sequences) override;
  void confirmed(Priority stream, IntervalSet::Interval sequences) override;
  void bury(DeadLetter letter) override;
  void age(bool running) override;

  // Runs one input of the machines, and what follows from it.
  void turn(const std::function<void()>& input);
  void connect(Lane lane, size_t path);
  void on_resolved(Lane lane, size_t path, const Result<net::Address>& address);
  void request(Lane lane, size_t path);
  void on_answer(Lane lane, size_t path, const Result<net::HttpAnswer>& answer, Duration took);
  void count_bytes();
  Connection& connection_of(Lane lane, size_t path) { return connections_[static_cast<size_t>(lane)][path]; }

  runtime::Loop& loop_;
  const std::array<runtime::Loop*, kLanes> workers_;
  SpoolWriter& spool_;
  const std::vector<Path> paths_;
  const std::function<ParentAccess(size_t path)> access_;
  const RecordWatch watch_;
  const Duration batch_age_max_;
  const SystemClock clock_;
  UplinkCounters counters_;
  std::array<BatchReader, kLanes> readers_;                  // used on the lane's worker only
  std::array<std::vector<Connection>, kLanes> connections_;  // by lane and path
  std::vector<PathCounters> path_counters_;
  RedundantPaths redundant_paths_;
  Delivery delivery_;
  runtime::Timer timer_;
  std::function<void()> drained_;
  std::atomic<bool> wake_posted_{false};
  std::array<std::atomic<int64_t>, kStreams> waiting_since_ns_{};
  // What arrives from other threads after stop() finds guard_ expired.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  const std::weak_ptr<bool> guard_ = alive_;
};

}  // namespace verge::spool
