// DemoDevices: all that publishes in the demonstration, as MQTT 5 clients of one node on a thread of its own: the
// machines of the plant, one connection each; this very machine; and a recorded series.
//
// Telemetry is QoS 0 and not repeated. Parts are what must be neither lost nor doubled: each is published at QoS 1
// with the user property verge-sequence, and after a reconnect again with the same, until it is acknowledged.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "cli/demo_machine.h"
#include "cli/host_readings.h"
#include "cli/pacer.h"
#include "cli/replay.h"
#include "cli/scoreboard.h"
#include "runtime/loop.h"

namespace verge::cli {

class DemoDevices final : private MachineDevice::Witness {
 public:
  struct Options {
    net::Address broker;
    uint64_t seed = 1;
    size_t machines = 200;
    double readings_a_second = 12.5;  // a machine
    std::string replay_topic;         // empty: no replay
    std::vector<ReplayPoint> replay;
    double replay_seconds = 40;  // the series is played in this time, but not slower than 10 points a second
  };

  explicit DemoDevices(Options options);
  ~DemoDevices() override;
  DemoDevices(const DemoDevices&) = delete;
  DemoDevices& operator=(const DemoDevices&) = delete;

  // From any thread.
  void start();
  // No new readings or parts; what is unacknowledged is still repeated.
  void pause();
  void resume();

  // From here on, the first acknowledgement is looked for.
  void mark();

  // What happened so far; from any thread.
  struct Counts {
    uint64_t messages = 0;
    uint64_t bytes = 0;
    uint64_t acknowledged = 0;
    uint64_t unacknowledged = 0;
    size_t connected = 0;
    MonotonicTime first_acknowledged_since_mark{};  // none: zero
    Histogram::Snapshot decision;                   // publish to command received
  };
  [[nodiscard]] Counts counts();
  [[nodiscard]] std::set<PartKey> acknowledged();

 private:
  void on_decision(Duration after_publish) override { decision_.record(after_publish); }
  void on_acknowledged(const std::string& machine, uint64_t part) override;
  // Runs `question` on the devices' thread and waits.
  void ask(const std::function<void()>& question);
  void work(uint64_t index);
  void publish_host();
  void publish_replay();
  [[nodiscard]] Duration replay_interval() const;

  const Options options_;
  runtime::Loop loop_{"devices"};
  Pacer pacer_;
  runtime::Timer host_timer_;
  runtime::Timer replay_timer_;
  std::vector<std::unique_ptr<MachineDevice>> machines_;
  std::unique_ptr<Device> host_;
  std::unique_ptr<Device> replay_;
  HostReadings host_readings_;
  std::string host_topic_;
  size_t replay_next_ = 0;
  MonotonicTime replay_start_{};
  bool paused_ = false;
  std::set<PartKey> acknowledged_;
  MonotonicTime first_acknowledged_since_mark_{};
  Histogram::Snapshot decision_;
  std::thread thread_;
};

}  // namespace verge::cli
