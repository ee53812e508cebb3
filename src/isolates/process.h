// Process: the node's side of one isolate process: its workers, its calls, their streams, and whether it obeys.
//
// What it sends is hostile until proven otherwise: a frame that breaks the format or a window ends it. All is bounded:
// calls by their worker, bodies by windows.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "calls/frame.h"
#include "calls/messages.h"
#include "isolates/call_record.h"
#include "isolates/zygote.h"
#include "net/stream.h"

namespace verge::isolates {

class Pool;
class Process;
struct Instance;

// A subrequest of a call, and where its pieces go.
class SubrequestRecord final : public SubrequestObserver {
 public:
  SubrequestRecord(Process& process, uint32_t id) : process_(process), id_(id) {}
  void on_answer(const calls::Head& head, bool ends) override;
  void on_body(std::string_view piece, bool ends) override;
  void on_settled(bool found) override;
  void on_failed(const Error& error) override;
  void on_drained() override;

 private:
  friend class Process;
  void send_body(std::string_view piece, bool ends);

  Process& process_;
  const uint32_t id_;
  std::unique_ptr<Subrequest> subrequest_;
  uint64_t given_ = 0;      // credit for its body that was not used yet
  uint64_t undrained_ = 0;  // of its body, written since it was drained
  std::string waiting_;     // of the answer's body, for want of credit
  uint64_t window_ = calls::kWindowBytes;
  bool ended_ = false;  // the answer, behind what waits
  uint32_t call_ = 0;   // whose it is, of one that lasts as long as that: a WebSocket
};

class Process final : private net::StreamObserver {
 public:
  Process(Pool& pool, ForkedProcess forked);
  // Kills it.
  ~Process() override;

  // --- For the pool
  void load(Instance& instance);
  void unload(Instance& instance);
  void send(std::unique_ptr<CallRecord> record, uint32_t worker);
  void cancel(CallRecord& record);
  // Gives the worker more room for the answer.
  void credit(const CallRecord& record, uint64_t bytes);
  // Of a record that is a WebSocket; see Call.
  bool send_message(CallRecord& record, bool is_text, std::string_view payload);
  void send_close(const CallRecord& record, uint16_t code, std::string_view reason, bool is_clean);
  void give_socket(CallRecord& record, size_t bytes);
  void end_socket(CallRecord& record);
  // Looks whether code runs that should have ended, and then kills the process.
  void supervise();
  void kill(calls::EndReason reason);
  // Ends calls that have been at it for too long. What the process waited for the processor, for which it is of low
  // priority, is not theirs.
  void end_at_wall(MonotonicTime now);
  // Calls of an instance whose start failed.
  void fail_instance(const Instance& instance, const Error& error);
  [[nodiscard]] bool is_busy() const { return !records_.empty() || loading_ > 0; }
  void inspect(Instance& instance, std::string_view message);
  void end_inspection(const Instance& instance);
  [[nodiscard]] bool is_inspected() const;
  // Nothing but WebSockets, of which none was told anything of late.
  [[nodiscard]] bool has_only_sockets() const;
  [[nodiscard]] int id() const { return id_; }
  [[nodiscard]] uint32_t lacks() const { return page_->lacks.load(std::memory_order_relaxed); }
  // CPU time of the process, its threads together.
  [[nodiscard]] Duration cpu_time() const;

  [[nodiscard]] bool has_instances() const;
  [[nodiscard]] bool was_killed_for_time() const { return killed_for_ == calls::EndReason::kCpu; }

  std::string owner;
  uint64_t memory_bytes = 0;         // of each of its workers
  bool takes_workers = true;         // beside those that it has
  std::vector<Instance*> instances;  // by id - 1; null: unloaded

 private:
  friend class SubrequestRecord;
  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;
  size_t take_frames(std::string_view bytes);
  // False: the frame is a breach.
  bool take(const calls::Frame& frame);
  bool take_load_end(const calls::Frame& frame);
  bool take_restart(Instance& instance);
  bool take_of_call(const calls::Frame& frame);
  bool take_head(CallRecord& record, const calls::Frame& frame);
  bool take_piece(CallRecord& record, const calls::Frame& frame);
  bool take_failed(CallRecord& record, const calls::Frame& frame);
  bool take_done(CallRecord& record, const calls::Frame& frame);
  bool take_of_socket(CallRecord& record, const calls::Frame& frame);
  bool take_request(const calls::Frame& frame);
  bool take_of_subrequest(const calls::Frame& frame);
  bool take_of_worker(const calls::Frame& frame);
  void send_body(CallRecord& record);
  // What is appended is sent when all connections that are ready have been seen to.
  std::string& output();
  void flush();
  // Of its main thread, on which JavaScript runs, some milliseconds old; nothing where the system does not tell.
  struct Schedule {
    Duration executed;
    Duration delayed;  // while it was ready to run
  };
  [[nodiscard]] std::optional<Schedule> schedule() const;
  // How long it was ready to run and did not, since the last time; what it waits now is not among it.
  Duration take_run_delay(MonotonicTime now);
  // It is ready to run now: how much of the time between the last two looks it did not.
  [[nodiscard]] Duration unfinished_wait() const;
  void refuse_subrequest(uint32_t id, const Error& error);
  [[nodiscard]] Error reason_of_end(const CallRecord& record, bool is_guilty) const;
  [[nodiscard]] Instance* instance(uint32_t id) const;

  Pool& pool_;
  const int id_;
  net::Socket handle_;
  std::shared_ptr<calls::StatusPage> page_;
  std::unique_ptr<net::TcpStream> stream_;
  std::string gathered_;  // of output
  runtime::Timer gathering_;
  MonotonicTime gathering_since_{};
  std::string input_;  // what is no whole frame yet
  std::unordered_map<uint32_t, std::unique_ptr<CallRecord>> records_;
  std::unordered_map<uint32_t, std::unique_ptr<SubrequestRecord>> subrequests_;
  uint32_t last_call_ = 0;
  uint32_t last_subrequest_ = 0;
  size_t loading_ = 0;
  size_t sockets_ = 0;  // of records_
  MonotonicTime told_socket_{};
  calls::Head head_;  // scratch
  // Of the code that runs now.
  uint64_t entry_ = 0;
  Duration entry_cpu_{};
  Duration entry_thread_cpu_{};
  net::Socket schedule_;  // /proc/PID/schedstat
  Duration run_delay_{};
  Duration executed_{};
  Duration not_executed_{};  // of the time between the last two looks
  MonotonicTime looked_{};
  calls::EndReason killed_for_ = calls::EndReason::kUnknown;
  bool ended_ = false;
};

}  // namespace verge::isolates
