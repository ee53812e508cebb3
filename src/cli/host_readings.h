// Real readings of the machine this runs on, from /proc and /sys: how busy its processors are, memory, disk, network
// and, where it has such sensors, temperature.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace verge::cli {

// Ticks since the machine started (/proc/stat, line "cpu").
struct CpuTicks {
  uint64_t busy = 0;
  uint64_t total = 0;
};
std::optional<CpuTicks> parse_cpu(std::string_view stat);

// The used part of memory, 0..1 (/proc/meminfo: MemTotal, MemAvailable).
std::optional<double> parse_memory_used(std::string_view meminfo);

// Bytes over all interfaces but the loopback (/proc/net/dev).
struct NetworkBytes {
  uint64_t received = 0;
  uint64_t sent = 0;
};
NetworkBytes parse_network(std::string_view dev);

class HostReadings {
 public:
  // Reads all; what is a rate counts from the call before, and is 0 at the first.
  // {"cpu":0.12,"memory":0.4,"disk":0.7,"received_bytes_s":0,"sent_bytes_s":0,"temperature":48.0}
  std::string read(MonotonicTime now);

 private:
  MonotonicTime before_{};
  CpuTicks cpu_;
  NetworkBytes network_;
};

// The name of this machine, fit for one level of a topic.
std::string host_topic_level();

}  // namespace verge::cli
