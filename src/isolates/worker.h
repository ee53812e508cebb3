// A worker as the node knows it: its code, its limits, and what was counted of it. Shared by all loops: code and limits
// do not change (a deploy makes another Worker), counters have one writer a loop.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "calls/messages.h"
#include "isolates/connect_rule.h"

namespace verge::isolates {

// A call that goes over one of them ends with an error that names it.
struct WorkerLimits {
  Duration cpu = std::chrono::milliseconds(10);   // a call, over all that it does
  Duration wall = std::chrono::milliseconds(30);  // from the call to the end of the answer, less what the client took
  uint64_t memory_bytes = 128U << 20;             // heap and external
  uint64_t subrequests_max = 50;                  // a call
  uint64_t answer_bytes_max = 256U << 20;
  Duration start_cpu = std::chrono::milliseconds(400);  // of its start
  size_t calls_max = 1024;                              // under way on one loop; above it: workers.busy
};

struct ModuleSource {
  std::string name;
  calls::ModuleType type = calls::ModuleType::kJavaScript;
  std::string source;
};

// A member of `env` that stands for something of the node's.
struct WorkerBinding {
  std::string name;
  calls::BindingKind kind = calls::BindingKind::kKeyValue;
  std::string target;  // a namespace, a queue
  bool operator==(const WorkerBinding&) const = default;
};

struct WorkerCode {
  std::string name;
  std::string owner;  // workers of one owner may share a process
  calls::ProgramKind kind = calls::ProgramKind::kWorker;
  std::vector<ModuleSource> modules;  // the first is the main one
  std::vector<std::pair<std::string, std::string>> variables;
  WorkerLimits limits;
  std::string compatibility_date;  // empty: the newest behaviour
  std::vector<WorkerBinding> bindings = {};
  std::vector<ConnectRule> connect = {};  // what it may connect to by TCP
};

// Written by one loop.
struct WorkerCounters {
  Counter calls;
  Counter errors;   // calls that failed, limits among them
  Counter limited;  // of these, over a limit
  Counter cpu_us;
  Counter memory_bytes;  // of its realm, when it was last said
  Counter loads;
  Counter subrequests;
  Histogram latency;  // from the call to the end of its answer
};

class Worker {
 public:
  Worker(WorkerCode code, size_t loops) : code_(std::move(code)), counters_(loops) {}

  [[nodiscard]] const WorkerCode& code() const { return code_; }
  [[nodiscard]] const std::string& name() const { return code_.name; }
  [[nodiscard]] const WorkerLimits& limits() const { return code_.limits; }
  [[nodiscard]] WorkerCounters& counters(size_t loop) { return counters_[loop]; }
  [[nodiscard]] const std::vector<WorkerCounters>& counters() const { return counters_; }

  // What V8 compiled of the code; empty until a process has said it. Any thread.
  [[nodiscard]] std::shared_ptr<const std::string> code_cache() const {
    const std::lock_guard lock(mutex_);
    return code_cache_;
  }
  void keep_code_cache(std::string_view bytes) {
    auto kept = std::make_shared<const std::string>(bytes);  // shared: loops read it while another replaces it
    const std::lock_guard lock(mutex_);
    code_cache_ = std::move(kept);
  }

 private:
  const WorkerCode code_;
  std::vector<WorkerCounters> counters_;
  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<const std::string> code_cache_;
};

}  // namespace verge::isolates
