// WorkerHost: one worker in an isolate process: its realm, the calls that it is at, and the streams between both.
//
// It stands between frames and the realm, in both directions. A realm may be called only after the call it is in has
// returned, so what follows from a call (a chunk that was asked for, room to write) is gathered and done when it is
// over. A realm that was ended at a limit is condemned: its calls fail, it is thrown away, and the next call gets a new
// one from the same program, which is made when there is nothing else to do.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "calls/messages.h"
#include "calls/socket_frames.h"
#include "workers/leaving_bodies.h"
#include "workers/leaving_messages.h"
#include "workers/realm.h"

namespace verge::workers {

class IsolateProcess;
struct AsideJob;

// What an isolate process was told about a worker; a copy, since realms are made from it again.
struct LoadedProgram {
  explicit LoadedProgram(const calls::Load& load);
  [[nodiscard]] Limits realm_limits() const { return {memory_bytes, memory_bytes}; }

  std::string name;
  Program program;
  std::string code_cache;
  uint64_t cpu_ns;
  uint64_t start_cpu_ns;
  uint64_t memory_bytes;
};

class WorkerHost final : public Host {
 public:
  WorkerHost(IsolateProcess& process, uint32_t id, const calls::Load& load);
  ~WorkerHost() override;

  // Answers with LOADED or LOAD_FAILED. `ready`: a realm to be used, or null.
  void load(std::unique_ptr<Realm> ready);
  void begin(uint32_t call, const calls::Call& its, uint8_t flags, const std::shared_ptr<const void>& keeper);
  void take_body(uint32_t call, Chunk piece, bool ends);
  void add_credit(uint32_t call, uint64_t bytes);
  void abandon(uint32_t call);

  // Of WebSockets.
  void take_message(uint32_t call, bool is_text, const Chunk& message);
  void take_close(uint32_t call, const calls::SocketClose& close, bool is_clean);
  void add_socket_room(uint32_t call, uint64_t bytes);

  // A message for the inspector; until end_inspection() processor time has no limit. Also while code stands.
  void inspect(std::string_view message);
  void end_inspection();

  // Of subrequests.
  void answer(uint32_t subrequest, const calls::Head& head, bool ends, const std::shared_ptr<const void>& keeper);
  void take_answer_body(uint32_t subrequest, Chunk piece, bool ends);
  void fail_subrequest(uint32_t subrequest, const calls::Failure& failure);
  void settle_subrequest(uint32_t subrequest, bool found);
  void add_subrequest_credit(uint32_t subrequest, uint64_t bytes);

  void computed(const AsideJob& job);

  [[nodiscard]] std::optional<int64_t> next_deadline_ns() const;
  void run_timers();
  // Before the process waits for long.
  void rest();
  // Its realm was condemned, and no call needed another one yet.
  [[nodiscard]] bool wants_realm() const { return wants_realm_; }
  void replace_realm();
  [[nodiscard]] uint32_t id() const { return id_; }
  [[nodiscard]] bool has_call(uint32_t call) const { return calls_.contains(call); }
  [[nodiscard]] const LoadedProgram& program() const { return program_; }

  Time now() override;
  void random(std::span<std::byte> out) override;
  void console(EventId event, ConsoleLevel level, std::string_view text) override;
  // A script ends with it.
  void uncaught(EventId event, const Failure& failure) override;
  void respond(EventId event, const ResponseHead& head, Body body) override;
  void ended(EventId event, const EventEnd& end) override;
  void script_ended(const std::optional<Failure>& failure) override;
  bool write(StreamId stream, Chunk chunk) override;
  void close(StreamId stream) override;
  void abort(StreamId stream, const Failure& failure) override;
  void pull(StreamId stream) override;
  void cancel(StreamId stream) override;
  bool relays(EventId event, StreamId stream) const override;
  bool socket_send(EventId socket, bool is_text, Chunk message) override;
  void socket_end(EventId socket, uint16_t code, std::string_view reason) override;
  void socket_taken(EventId socket, size_t bytes) override;
  void inspector_send(std::string_view message) override;
  bool inspector_wait() override;
  [[nodiscard]] size_t socket_buffered(EventId socket) const override;
  void fetch(OperationId operation, EventId event, const RequestHead& head, Body body) override;
  void abort_fetch(OperationId operation) override;
  void cache_match(OperationId operation, EventId event, std::string_view cache, const RequestHead& head) override;
  void cache_put(OperationId operation, EventId event, std::string_view cache, const RequestHead& request,
                 const ResponseHead& head, Body body) override;
  void cache_remove(OperationId operation, EventId event, std::string_view cache, const RequestHead& head) override;
  bool compute(OperationId operation, EventId event, const std::shared_ptr<Work>& work) override;
  std::optional<std::uint64_t> writes_of(std::uint32_t counter) override;
  void ask_binding(OperationId operation, EventId event, std::string_view binding, const RequestHead& head,
                   Body body) override;

 private:
  struct CallState {
    uint64_t cpu_ns = 0;
    uint64_t former_cpu_ns = 0;                         // of a WebSocket: of the messages before
    uint64_t aside_ns = 0;                              // of that, what jobs used
    std::shared_ptr<std::atomic<uint64_t>> aside_used;  // by its jobs, so far; null where it had none
    bool has_ended = false;
    StreamId leaving = 0;  // of the answer, not at its end
  };
  // A body on its way to the realm.
  struct Entering {
    calls::FrameType credit;
    uint32_t id;
    std::deque<Chunk> waiting;
    bool pulled = false;
    bool ended = false;
    bool is_held = false;  // the node keeps it until there is credit
  };
  struct Subrequest {
    OperationId operation;
    EventId event;
    bool is_match = false;  // in the cache
    StreamId leaving = 0;
  };
  struct Excessive {
    OperationId operation;
    EventId event;
    std::string_view excess;
  };

  // Runs `work`, which calls the realm, as code of `event`, then what follows from it. Templates: `work` is inlined.
  template <class Work>
  void enter(EventId event, uint64_t allowed_ns, const Work& work);
  template <class Work>
  void enter_for(EventId event, const Work& work);
  void leave(EventId event);
  void charge(EventId event, uint64_t ns);
  void check_memory();
  void measure_memory();
  void condemn();
  // Of one call, or, for kNoEvent, all.
  void cancel_jobs(EventId event);
  void do_what_follows();
  void settle_ended();
  void end_unread_bodies();
  std::optional<Failure> make_realm(std::unique_ptr<Realm> ready);
  // The same again, which the node is told of.
  std::optional<Failure> restart();
  void tell_loaded(const std::optional<Failure>& problem);
  bool feed(StreamId stream);
  void take_piece(StreamId stream, Chunk piece, bool ends);
  StreamId open_entering(StreamId stream, calls::FrameType credit, uint32_t id, Chunk first);
  // Whole, or as the realm will write it.
  void send_body(StreamId stream, LeavingBodies::Sender sender, Body body);
  void add_room(StreamId stream, uint64_t bytes);
  // A body of theirs is at its end.
  void end_leaving(const LeavingBodies::Sender& sender);
  // Where its head has an excess it fails, once the realm can be told so.
  void begin_subrequest(OperationId operation, EventId event, calls::Request& request, const RequestHead& head,
                        Body body);
  Subrequest* find_subrequest(uint32_t subrequest);
  void forget_subrequest(uint32_t subrequest);
  void send_failure(calls::FrameType type, uint32_t id, const Failure& failure, uint8_t flags = 0);

  IsolateProcess& process_;
  const uint32_t id_;
  LoadedProgram program_;
  std::unique_ptr<Realm> realm_;
  std::function<void()> expired_;
  std::unordered_map<uint32_t, CallState> calls_;
  LeavingBodies leaving_;
  std::unordered_map<StreamId, Entering> entering_;
  LeavingMessages sockets_;
  std::unordered_map<uint32_t, Subrequest> subrequests_;
  std::unordered_map<OperationId, uint32_t> subrequest_ids_;
  std::vector<std::shared_ptr<AsideJob>> jobs_;  // what the realm waits for
  std::vector<uint32_t> ended_;                  // calls, in this entry
  std::vector<StreamId> unread_;                 // bodies of calls that are over
  std::vector<StreamId> pulled_;                 // to be fed
  std::vector<StreamId> roomy_;                  // to be told
  std::vector<Excessive> excessive_;             // requests, likewise
  std::vector<Field> fields_;                    // scratch, as the next
  calls::Head answer_;
  std::optional<Failure> load_failure_;
  std::optional<Failure> has_failed_;  // to start, for good
  uint64_t calls_done_ = 0;
  uint64_t memory_bytes_ = 0;
  uint64_t rested_bytes_ = 0;  // these, when it was loaded or last trimmed
  bool is_inspected_ = false;
  bool is_loading_ = false;
  bool wants_realm_ = false;
  size_t standing_ = 0;  // calls of inspector_wait()
  bool code_sent_ = false;
  // Since a call began last, of what is for no call that is under way: messages between ports, such things.
  uint64_t late_cpu_ns_ = 0;
  bool has_said_spent_ = false;
  bool is_cold_ = true;  // no call was begun in this realm
};

}  // namespace verge::workers
