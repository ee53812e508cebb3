// Pool: the isolate processes of one loop, and which of them has which worker.
//
// A worker that is called gets an instance: in a process of its owner, if there is one with room, else in one of those
// that stand ready. Instances that nobody has called for idle_max are unloaded, and processes without any are let go;
// the code cache stays with the Worker. A process that ends takes only its own calls with it; those it had not begun
// are sent to another, once.
//
// At the bounds: calls above WorkerLimits::calls_max, and workers above what processes_max holds while all are busy,
// are refused with workers.busy.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "isolates/call.h"
#include "isolates/call_record.h"
#include "isolates/outbound.h"
#include "isolates/process.h"
#include "isolates/worker.h"
#include "isolates/zygote.h"
#include "runtime/loop.h"

namespace verge::isolates {

class CodeCacheFiles;

struct PoolOptions {
  size_t loop = 0;   // for Worker::counters()
  size_t ready = 2;  // processes without a worker, once one was needed
  size_t processes_max = 512;
  size_t instances_a_process_max = 32;
  Duration idle_max = std::chrono::seconds(60);
  CodeCacheFiles* code_cache_files = nullptr;  // outlives the pool; null: what V8 compiles is kept in memory alone
};

class InspectorObserver;

// A worker in a process.
struct Instance {
  std::shared_ptr<Worker> worker;
  Process* process = nullptr;  // null while it waits for one
  uint32_t id = 0;             // in the process
  std::deque<std::unique_ptr<CallRecord>> waiting;
  size_t calls = 0;
  size_t sockets = 0;  // of these
  bool is_loaded = false;
  bool has_said_code = false;  // once is enough: it costs the loop time
  uint64_t restarts_left = 0;  // each has a call or an inspector's message before it
  std::optional<Error> load_failure;
  InspectorObserver* inspector = nullptr;
  MonotonicTime failed_at{};
  MonotonicTime last_call{};
  std::function<void(const std::optional<Error>&)> script_ended;
  std::vector<std::function<void(const std::optional<Error>&)>> load_observers;
};

struct ConsoleLine {
  const Worker& worker;
  calls::ConsoleLevel level;
  std::string_view text;
  uint64_t call = 0;  // its number; 0: of none
};

// A call that is over: what it said on its console was told before.
struct EndedCall {
  const Worker& worker;
  uint64_t call = 0;  // its number, of which no other call of the pool has the same
  calls::CallKind kind = calls::CallKind::kFetch;
  std::string_view method;  // kFetch, as the next two
  std::string_view url;
  uint32_t status = 0;     // 0: it gave no answer
  std::string_view error;  // the code; empty: none
  bool is_cancelled = false;
  Duration took{};
};

// Who inspects a worker: messages of the Chrome DevTools Protocol in pieces, and that the worker is there no more. May
// not detach from within.
class InspectorObserver {
 public:
  virtual ~InspectorObserver() = default;
  virtual void on_inspector_message(std::string_view piece, bool ends) = 0;
  virtual void on_inspector_end() = 0;
};

class Pool {
 public:
  // What the processes that stand ready are for.
  static constexpr uint64_t kUsualMemoryBytes = 128U << 20;

  // `loop`, `zygote` and `outbound` outlive it.
  Pool(runtime::Loop& loop, Zygote& zygote, Outbound& outbound, const PoolOptions& options);
  // Calls that are under way end without a word.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // `observer` outlives the call. Never null. Observers are not called from within.
  [[nodiscard]] std::unique_ptr<Call> begin(const std::shared_ptr<Worker>& worker, const CallRequest& request,
                                            CallObserver& observer);
  // Runs a program that is no worker (ProgramKind); `ended` is called once, with what it failed with.
  void run_script(const std::shared_ptr<Worker>& worker, std::function<void(const std::optional<Error>&)> ended);
  // Starts the worker, if it is not there: `loaded` is called once, with what its start failed with.
  void load(const std::shared_ptr<Worker>& worker, std::function<void(const std::optional<Error>&)> loaded);
  // Forks the processes that shall stand ready.
  void warm_up();

  // Of a worker that is loaded. False: it is not, or somebody inspects it already. Until detach_inspector() no limit of
  // time holds in its process. `observer` outlives that.
  bool attach_inspector(const Worker& worker, InspectorObserver& observer);
  void inspect(const Worker& worker, std::string_view message);
  void detach_inspector(const Worker& worker);

  void observe_console(std::function<void(const ConsoleLine&)> line) { console_ = std::move(line); }
  // While `wanted` says so; it outlives the pool.
  void observe_calls(std::function<void(const EndedCall&)> ended, const std::atomic<bool>& wanted) {
    ended_ = std::move(ended);
    wants_ended_ = &wanted;
  }
  [[nodiscard]] runtime::Loop& loop() const { return loop_; }
  [[nodiscard]] size_t processes() const { return processes_.size(); }
  [[nodiscard]] size_t instances() const { return instances_.size(); }

 private:
  friend class Process;
  friend class Call;

  Instance& instance_of(const std::shared_ptr<Worker>& worker);
  // What the sandbox of a process has to do without.
  void note_lacks(uint32_t lacks);
  void place(Instance& instance);
  void put(Instance& instance, Process& process);
  void send(Instance& instance, std::unique_ptr<CallRecord> record);
  void refuse(std::unique_ptr<CallRecord> record, Error error);
  void fork_wanted();
  void refill();
  void fork(uint64_t memory_bytes);
  void take_forked(Result<ForkedProcess> forked, uint64_t memory_bytes);
  void make_way();
  // The process is at its end: what it had not begun is in `again`.
  void process_ended(Process& process, std::vector<std::unique_ptr<CallRecord>> again);
  void load_failed(Instance& instance, const Error& error);
  void load_ended(Instance& instance, const std::optional<Error>& error);
  // The answer is complete.
  void answer_over(CallRecord& record);
  void end_long_answer(CallRecord& record);
  // All of the call is.
  void call_over(std::unique_ptr<CallRecord> record);
  void tell_ended(const CallRecord& record) const;
  void socket_begun(CallRecord& record);
  void socket_over(CallRecord& record);
  void fail(CallRecord& record, const CallFailure& failure);
  // On the worker's console.
  void tell_owner(const CallRecord& record, const Error& error) const;
  std::unique_ptr<CallRecord> fresh_record();
  void watch_limits();
  void look();
  void end_at_wall(Process& process, MonotonicTime now);
  void evict_idle(MonotonicTime now);
  void forget(Instance& instance);
  [[nodiscard]] WorkerCounters& counters(Worker& worker) const { return worker.counters(options_.loop); }

  runtime::Loop& loop_;
  Outbound& outbound_;
  const PoolOptions options_;
  Forks forks_;
  std::unordered_map<const Worker*, std::unique_ptr<Instance>> instances_;
  std::vector<std::unique_ptr<Process>> processes_;
  std::vector<Process*> ready_;
  std::vector<std::unique_ptr<Process>> gone_;  // destroyed in a later turn
  std::deque<Instance*> waiting_;               // for a process
  size_t forking_ = 0;
  std::map<uint64_t, size_t> forking_of_;  // by bound of memory
  std::vector<std::pair<std::unique_ptr<CallRecord>, Error>> refused_;
  std::vector<std::unique_ptr<CallRecord>> spare_;
  std::vector<calls::Field> fields_;  // scratch
  size_t looks_ = 0;
  bool looks_slowly_ = false;
  runtime::Timer looking_;
  runtime::Timer refusing_;
  runtime::Timer evicting_;
  runtime::Timer refilling_;
  runtime::Timer clearing_;
  std::function<void(const ConsoleLine&)> console_;
  std::function<void(const EndedCall&)> ended_;
  const std::atomic<bool>* wants_ended_ = nullptr;
  uint64_t last_call_ = 0;
  uint32_t lacks_ = 0;  // that the log has told of: calls::kLacks…
};

}  // namespace verge::isolates
