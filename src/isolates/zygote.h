// Zygote: the program `verge-isolate`, from which isolate processes are forked
// (docs/decisions/0019-isolate-processes.md), and Forks: one loop's line to it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "calls/status_page.h"
#include "calls/write_counts.h"
#include "net/socket.h"
#include "runtime/loop.h"

namespace verge::isolates {

// Beside the running program, or in ../libexec/verge. Error: workers.program.
Result<std::string> find_isolate_program();

// Started when first asked for, and again, once it has ended. Any thread.
class Zygote {
 public:
  // `is_inspected`: its processes may make threads, as profilers do.
  explicit Zygote(std::string program, bool is_inspected = false);
  // All lines to it are closed before. Processes that still run end with their sockets.
  ~Zygote();
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;

  // A further line. Error: workers.program.
  Result<net::Socket> connect();

  // What its processes see. Where they cannot, it counts all the same.
  [[nodiscard]] const std::shared_ptr<calls::WriteCounts>& write_counts() const { return write_counts_; }

 private:
  Result<void> start();
  void stop();
  [[nodiscard]] bool send_line(int line) const;

  const std::string program_;
  const bool is_inspected_;
  net::Socket counts_file_;                           // none: it could not be made, or not be sealed
  std::shared_ptr<calls::WriteCounts> write_counts_;  // unmapped by its last owner
  std::mutex mutex_;                                  // guards what follows
  net::Socket control_;
  int process_ = 0;
};

// What a fork gave: the node's end of a process.
struct ForkedProcess {
  net::Socket socket;
  net::Socket handle;  // a pidfd
  int id = 0;
  std::shared_ptr<calls::StatusPage> page;  // shared with the process; unmapped by the last owner
};

// Asks the zygote for forks, over a line of its own. A few are under way at a time, as many as the line has room for;
// the others wait their turn here.
class Forks final : private runtime::Watcher {
 public:
  // `loop` and `zygote` outlive it.
  Forks(runtime::Loop& loop, Zygote& zygote) : loop_(loop), zygote_(zygote), retry_(loop) {}
  ~Forks() override;

  // Called once, later. Error: workers.program.
  using Forked = std::function<void(Result<ForkedProcess>)>;
  void fork(uint64_t data_bytes, Forked forked);

 private:
  struct Waiting {
    Forked forked;
    ForkedProcess process;
  };
  struct Wanted {
    uint64_t data_bytes;
    Forked forked;
  };
  // Those whose turn it is.
  void ask_for_next();
  void ask_for(uint64_t data_bytes, Forked forked);
  void on_ready(uint32_t events) override;
  Result<void> connect();
  void lose(const Error& error);
  void fail_later(Forked forked, Error error);

  runtime::Loop& loop_;
  Zygote& zygote_;
  net::Socket line_;
  uint32_t last_number_ = 0;
  std::unordered_map<uint32_t, Waiting> waiting_;  // for an answer
  std::deque<Wanted> wanted_;
  std::vector<std::pair<Forked, Error>> failed_;
  runtime::Timer retry_;
};

}  // namespace verge::isolates
