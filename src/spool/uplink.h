// Uplink: sends a spool's streams to the parent, and notes what the parent says is durable there.
//
// What is sent when, and what an answer means, a Delivery decides (delivery.h). This gives it loops and connections:
// each of the two lanes has an HTTP connection, kept alive, on the uplink's own loop; reading the log, compressing and
// resolving the parent's name run on the worker of each lane (the bulk lane's of lower priority), so that no fresh
// record waits for a backlog there.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "net/http_client.h"
#include "runtime/loop.h"
#include "spool/batch_reader.h"
#include "spool/delivery.h"
#include "spool/spool_writer.h"
#include "spool/uplink_counters.h"
#include "storage/file_system.h"

namespace verge::spool {

// How the parent is reached, and what it is shown.
struct ParentAccess {
  std::shared_ptr<const net::TlsContext> tls;  // null: plain HTTP
  std::string token;                           // sent as Authorization: Bearer; empty: none
};

struct UplinkOptions {
  DeliveryOptions delivery;
  std::array<Duration, kStreams> ttl{};       // older records are not sent; 0: no limit
  std::function<ParentAccess()> access = {};  // asked on the loop for each connection; none: plain HTTP, no token
};

class Uplink final : private Delivery::Effects {
 public:
  // `parent` is "http://host:port" or "https://host:port". All references outlive the uplink.
  // `workers`: of the express and of the bulk lane.
  Uplink(runtime::Loop& loop, std::array<runtime::Loop*, kLanes> workers, storage::FileSystem& file_system,
         const std::string& spool_directory, SpoolWriter& spool, const NodeId& node, const std::string& name,
         std::string_view parent, const UplinkOptions& options);
  ~Uplink() override;

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
  struct Connection {
    std::unique_ptr<net::HttpClient> client;
    std::string authorization;  // with the client; empty: none
    Payload body;               // waits for the client
    Duration timeout{0};
    uint64_t earlier_bytes_sent = 0;  // by clients that are gone
    uint64_t earlier_bytes_received = 0;
  };

  void prepare(Lane lane, const SendPlan::Stretch& stretch, const BatchLimits& limits) override;
  void send(Lane lane, const Payload& body, Duration timeout) override;
  void close(Lane lane) override;
  void delivered(Priority stream, IntervalSet::Interval sequences) override;
  void bury(DeadLetter letter) override;
  void age(bool running) override;

  // Runs one input of the machine, and what follows from it.
  void turn(const std::function<void()>& input);
  void connect(Lane lane);
  void request(Lane lane);
  void on_answer(Lane lane, const Result<net::HttpAnswer>& answer, Duration took);
  void count_bytes();
  Connection& connection_of(Lane lane) { return connections_[static_cast<size_t>(lane)]; }

  runtime::Loop& loop_;
  const std::array<runtime::Loop*, kLanes> workers_;
  SpoolWriter& spool_;
  const std::string parent_;
  const std::function<ParentAccess()> access_;
  const SystemClock clock_;
  UplinkCounters counters_;
  std::array<BatchReader, kLanes> readers_;  // used on the lane's worker only
  std::array<Connection, kLanes> connections_;
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
