// IsolateProcess: the loop of one isolate process: reads what the node sends, runs it, and sends what came of it.
//
// One thread, one blocking socket. A turn takes all frames that one read gives, runs them one after the other and ends
// with one write. Answers do not wait for code that runs long: before a call is begun they are sent if the one before
// it took its time. The process ends when the node closes the socket.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "calls/frame.h"
#include "calls/messages.h"
#include "calls/status_page.h"
#include "calls/write_counts.h"
#include "workers/aside_thread.h"
#include "workers/outbox.h"
#include "workers/realm.h"
#include "workers/watchdog.h"
#include "workers/worker_host.h"

namespace verge::workers {

class IsolateProcess {
 public:
  // `counts` may be null. `ready`: a realm made ahead with the limits `ready_limits`, or null.
  IsolateProcess(Engine& engine, int socket, calls::StatusPage& page, const calls::WriteCounts* counts,
                 std::unique_ptr<Realm> ready, const Limits& ready_limits);
  ~IsolateProcess();
  [[nodiscard]] Watchdog& watchdog() { return watchdog_; }

  // To be started with the watchdog.
  [[nodiscard]] AsideThread& aside() { return aside_; }

  // Until the node closes the socket; gives the exit status.
  int run();

  // For the workers.
  [[nodiscard]] Engine& engine() { return engine_; }
  [[nodiscard]] Outbox& outbox() { return outbox_; }
  // Null: the node gives none.
  [[nodiscard]] const calls::WriteCounts* write_counts() const { return counts_; }
  // Of the calling process, on the monotonic clock.
  [[nodiscard]] static int64_t monotonic_ns();
  void begin_code(uint32_t worker, uint32_t call, uint64_t allowed_ns, std::function<void()>& expired);
  // How much processor time it took.
  uint64_t end_code();
  uint32_t add_subrequest(WorkerHost& worker);
  void remove_subrequest(uint32_t subrequest) { subrequests_.erase(subrequest); }
  void note_call_over(uint32_t call) { calls_.erase(call); }
  // A worker's realm was ended at a limit. A fresh one takes 10 ms and more of processor time: where others leave none,
  // and that worker is the only one here, the process ends once all is sent, and the node takes one that stands ready.
  void note_condemned();
  // Code stands at a breakpoint: sends what there is to be sent, and takes the next message for an inspector; all else
  // waits until later. False: the node is gone.
  bool wait_while_standing();

 private:
  // What was received.
  struct Inbox {
    explicit Inbox(size_t bytes) : memory(std::make_unique_for_overwrite<char[]>(bytes)), size(bytes) {}
    std::unique_ptr<char[]> memory;
    const size_t size;
  };

  bool receive();
  bool wait();
  void rest();
  // False: the frame is a breach.
  bool take(const calls::Frame& frame);
  bool take_load(const calls::Frame& frame);
  bool take_call(const calls::Frame& frame);
  bool take_of_call(const calls::Frame& frame);
  bool take_of_socket(const calls::Frame& frame);
  bool take_inspect(const calls::Frame& frame);
  bool take_of_subrequest(const calls::Frame& frame);
  [[nodiscard]] Chunk chunk_of(std::string_view bytes) const;
  void take_computed();
  void make_room();
  std::shared_ptr<Inbox> spare_inbox(size_t bytes);
  void run_timers();
  void send_if_slow();
  // False: the process is to end.
  bool send();
  // False: the node is gone.
  bool replace_realms();
  [[nodiscard]] int64_t next_deadline_ns() const;

  Engine& engine_;
  const int socket_;
  calls::StatusPage& page_;
  const calls::WriteCounts* const counts_;
  Outbox outbox_;
  Watchdog watchdog_;
  AsideThread aside_;
  std::unique_ptr<Realm> ready_;
  const Limits ready_limits_;
  std::map<uint32_t, std::unique_ptr<WorkerHost>> workers_;
  std::unordered_map<uint32_t, WorkerHost*> calls_;
  std::unordered_map<uint32_t, WorkerHost*> subrequests_;
  uint32_t last_subrequest_ = 0;
  std::shared_ptr<Inbox> inbox_;                // shared: bodies that the realm holds lie in it
  std::vector<std::shared_ptr<Inbox>> former_;  // the last few, to be used again when the realm has let go of them
  size_t begin_ = 0;                            // of what was received and not taken
  size_t end_ = 0;
  size_t taken_ = 0;         // of the inbox: behind the frame that is being taken
  std::string put_off_;      // came while code stood
  size_t put_off_seen_ = 0;  // of that: looked at
  bool rested_ = false;
  bool broken_ = false;
  bool is_over_ = false;
  bool was_starved_ = false;  // in the last entry that was long
  calls::Call call_;          // scratch, as the next
  calls::Head head_;
  int64_t code_began_ns_ = 0;
  int64_t last_send_ns_ = 0;
  uint64_t cpu_known_ns_ = 0;  // of this thread, when it was last read, plus what short pieces took since
};

}  // namespace verge::workers
