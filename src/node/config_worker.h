// What is configured of workers. Included by config.h.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cache/code_position.h"
#include "node/config_secret.h"

namespace verge::node {

// Of all workers.
struct WorkersConfig {
  uint64_t processes_max = 512;
  Duration idle_max = std::chrono::seconds(60);
  std::vector<SecretSource> deploy_tokens;
  std::string geo_file;  // empty: where clients are is not known
  bool operator==(const WorkersConfig&) const = default;
};

// Keys and values of all workers.
struct KvConfig {
  uint64_t bytes_max = 1U << 30;  // of a namespace
  uint64_t memory = 32U << 20;    // for what was read of late
  bool operator==(const KvConfig&) const = default;
};

// A queue of messages between workers.
struct QueueConfig {
  std::string name;
  uint64_t bytes_max = 64U << 20;
  uint64_t max_batch_size = 10;
  Duration max_batch_timeout = std::chrono::seconds(1);
  uint64_t max_concurrency = 1;
  uint64_t max_retries = 3;
  Duration retry_delay{0};
  std::string dead_letter_queue;  // empty: none
  bool operator==(const QueueConfig&) const = default;
};

struct WorkerConfig {
  std::string name;
  std::string file;                 // of its main module
  std::vector<std::string> routes;  // parse_worker_route accepts each
  cache::CodePosition position = cache::CodePosition::kMiss;
  bool falls_back = false;
  std::vector<std::string> cron;   // CronTimes::parse accepts each
  std::string tenant;              // empty: itself
  std::string compatibility_date;  // YYYY-MM-DD; empty: the newest behaviour
  Duration cpu = std::chrono::milliseconds(10);
  Duration wall = std::chrono::milliseconds(30);
  uint64_t memory = 128U << 20;
  uint64_t subrequests = 50;
  uint64_t answer_bytes_max = 256U << 20;
  std::vector<std::pair<std::string, std::string>> env;
  std::vector<std::pair<std::string, SecretSource>> secrets;
  std::vector<std::pair<std::string, std::string>> kv;      // member of env, namespace
  std::vector<std::string> connect;                         // isolates::parse_connect_rule accepts each
  std::vector<std::pair<std::string, std::string>> queues;  // member of env, queue
  std::vector<std::string> consumes;                        // queues
  bool private_addresses = false;
  bool operator==(const WorkerConfig&) const = default;
};

}  // namespace verge::node
