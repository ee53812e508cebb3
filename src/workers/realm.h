// One worker's JavaScript: a V8 isolate, its context and the web platform in it. It does no I/O. It is entered by calls
// (a request, a chunk of a body, a timer that is due) and says what it wants through its Host; both run on one thread,
// and the host may call the realm back only after the call it is in has returned.
//
// Bodies. A body is either whole (bytes at hand) or a stream with a number. Numbers of streams that enter the realm are
// chosen by the host, numbers of streams that leave it by the realm. An entering stream moves one chunk for each
// pull(); a leaving one stops after write() returned false until Realm::writable().
//
// Start-up is deterministic: until the first event Date.now() is 0, performance.now() is 0, Math.random() starts from a
// fixed seed, and timers, fetch, caches and crypto.getRandomValues throw. A program that is run as a script (`verge
// worker run`) has no such limits.
//
// Errors: codes are workers.exception (the worker threw), workers.syntax, workers.no-handler, workers.memory,
// workers.terminated and what the host passes in. After a termination or a memory failure the realm is condemned: it
// answers whatever it is asked with that failure, and is to be discarded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace verge::workers {

class Engine;

using EventId = std::uint64_t;      // a dispatched fetch, scheduled or event call; chosen by the host, never 0
using StreamId = std::uint64_t;     // a body that is streamed
using OperationId = std::uint64_t;  // a subrequest or a cache operation; chosen by the realm

inline constexpr EventId kNoEvent = 0;  // start-up, and what a script does

// Bytes and what keeps them: an ArrayBuffer's memory, a frame's buffer, a string.
class Chunk {
 public:
  Chunk() = default;
  Chunk(std::string_view bytes, std::shared_ptr<const void> keeper) : bytes_(bytes), keeper_(std::move(keeper)) {}
  static Chunk of(std::string text) {
    auto kept = std::make_shared<const std::string>(std::move(text));
    return {*kept, kept};
  }
  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  // Shared: JavaScript and a socket's queue may hold the same memory.
  [[nodiscard]] const std::shared_ptr<const void>& keeper() const { return keeper_; }

 private:
  std::string_view bytes_;
  std::shared_ptr<const void> keeper_;
};

struct Body {
  enum class Kind : std::uint8_t {
    None,
    Whole,    // `whole`
    Stream,   // `stream`, a number of the side that sends it
    Socket,   // only out of Host::respond(), with status 101: a WebSocket, whose number is the event's
    Relayed,  // only out of Host::respond(), and only where Host::relays(): `stream` is one that entered and was not
              // read; the host passes it on itself, and no more is said of it to the realm
  };
  Kind kind = Kind::None;
  Chunk whole;  // out of Host::respond() without a keeper where it is short: good until return
  StreamId stream = 0;
  std::optional<std::uint64_t> length;  // of a stream or a relayed one, where known
};

struct Field {
  std::string_view name;  // lower case out of the realm; as received into it
  std::string_view value;
};

struct RequestHead {
  std::string_view method;
  std::string_view url;  // absolute
  std::span<const Field> fields;
  std::string_view place = {};  // into the realm: a JSON object, where the client is; empty: not known
};

struct ResponseHead {
  std::uint16_t status = 200;
  std::string_view reason;
  std::span<const Field> fields;
};

// Of the head of a request or an answer that leaves the realm.
inline constexpr std::size_t kHeadFieldsMax = 512;
inline constexpr std::size_t kHeadBytesMax = 256U << 10;
// What a head has too much of, `beside` the bytes that are no fields, such as "more than 512 fields"; empty: nothing.
[[nodiscard]] std::string_view excess_of(std::size_t beside, std::span<const Field> fields);

struct Failure {
  std::string_view code;  // a literal
  std::string text;       // "TypeError: x is not a function"
  std::string position;   // "app.js:3:14"; empty where there is none
  std::string stack;      // as V8 prints it; may be empty
};

enum class ConsoleLevel : std::uint8_t { Debug, Log, Info, Warn, Error };

struct EventEnd {
  std::optional<Failure> failure;  // the handler's own; a promise of waitUntil that rejects goes to uncaught()
  bool pass_through = false;       // failed before respond(), and ctx.passThroughOnException() had been called
};

struct Time {
  std::int64_t monotonic_ns = 0;
  std::int64_t wall_ms = 0;  // since 1970-01-01T00:00Z
};

// What takes long and is no JavaScript. run() is called once, on any thread; true of `stop` says that it is to end.
class Work {
 public:
  virtual ~Work() = default;
  virtual void run(const std::function<bool()>& stop) = 0;
};

// What a realm needs of the process it is in. No call may throw or enter the realm.
class Host {
 public:
  virtual ~Host() = default;

  virtual Time now() = 0;
  virtual void random(std::span<std::byte> out) = 0;  // of cryptographic quality

  virtual void console(EventId event, ConsoleLevel level, std::string_view text) = 0;
  // An error that nothing caught: in a timer, a listener, a promise.
  virtual void uncaught(EventId event, const Failure& failure) = 0;

  // The answer to a fetch event; once. Its head has no excess.
  virtual void respond(EventId event, const ResponseHead& head, Body body) = 0;
  // The handler has failed, or it has settled, and so have its waitUntil promises and its streamed body. Once, last.
  virtual void ended(EventId event, const EventEnd& end) = 0;
  // A script (not a module with handlers) has come to its end: no timer, no subrequest is left, or it failed.
  virtual void script_ended(const std::optional<Failure>& failure) = 0;

  // Streams that leave.
  virtual bool write(StreamId stream, Chunk chunk) = 0;  // false: no more until Realm::writable(stream)
  virtual void close(StreamId stream) = 0;
  virtual void abort(StreamId stream, const Failure& failure) = 0;

  // Streams that entered.
  virtual void pull(StreamId stream) = 0;    // one chunk, end or broken is wanted
  virtual void cancel(StreamId stream) = 0;  // nothing more is wanted
  // Whether the answer to `event` may be relayed from `stream`, which nobody has read from.
  virtual bool relays(EventId event, StreamId stream) const {
    static_cast<void>(event), static_cast<void>(stream);
    return false;
  }

  // Of a WebSocket, whose number is that of the event that it answers. False: too much waits, and it is to be ended.
  virtual bool socket_send(EventId socket, bool is_text, Chunk message) {
    static_cast<void>(socket), static_cast<void>(is_text), static_cast<void>(message);
    return true;
  }
  // Behind all that was sent. 1005: without a code.
  virtual void socket_end(EventId socket, std::uint16_t code, std::string_view reason) {
    static_cast<void>(socket), static_cast<void>(code), static_cast<void>(reason);
  }
  // A message of that size, which socket_message() left, has been taken.
  virtual void socket_taken(EventId socket, std::size_t bytes) { static_cast<void>(socket), static_cast<void>(bytes); }
  [[nodiscard]] virtual std::size_t socket_buffered(EventId socket) const {
    static_cast<void>(socket);
    return 0;
  }

  // What the inspector says: a message of the Chrome DevTools Protocol.
  virtual void inspector_send(std::string_view message) { static_cast<void>(message); }
  // Code stands at a breakpoint: waits for the next message and brings it (Realm::inspect, Realm::end_inspection).
  // False: there will be none.
  virtual bool inspector_wait() { return false; }

  // How often was written what `counter` counts (calls/write_counts.h). Nothing: nobody counts.
  virtual std::optional<std::uint64_t> writes_of(std::uint32_t counter) {
    static_cast<void>(counter);
    return std::nullopt;
  }

  // A subrequest. Redirections are not followed by the host: the realm does it.
  virtual void fetch(OperationId operation, EventId event, const RequestHead& head, Body body) = 0;
  virtual void abort_fetch(OperationId operation) = 0;

  // caches.default has the name "default".
  virtual void cache_match(OperationId operation, EventId event, std::string_view cache, const RequestHead& head) = 0;
  virtual void cache_put(OperationId operation, EventId event, std::string_view cache, const RequestHead& request,
                         const ResponseHead& head, Body body) = 0;
  virtual void cache_remove(OperationId operation, EventId event, std::string_view cache, const RequestHead& head) = 0;

  // Runs `work` on another thread, on behalf of `event`; Realm::computed(operation) follows when it has been run.
  // False: there is no room, or no such thread, and the realm does it itself.
  virtual bool compute(OperationId operation, EventId event, const std::shared_ptr<Work>& work) {
    static_cast<void>(operation), static_cast<void>(event), static_cast<void>(work);
    return false;
  }

  // A member of `env` that is a binding is asked for something: `head.method` is what, `head.url` the key. Answered
  // like a fetch. Hosts without bindings are never asked.
  virtual void ask_binding(OperationId operation, EventId event, std::string_view binding, const RequestHead& head,
                           Body body) {
    static_cast<void>(operation), static_cast<void>(event), static_cast<void>(binding);
    static_cast<void>(head), static_cast<void>(body);
  }
};

struct Module {
  // Bytes whose name ends in ".wasm" are WebAssembly, and imported compiled.
  enum class Kind : std::uint8_t { JavaScript, Json, Text, Bytes };
  std::string name;  // "app.js", "lib/words.json": what imports are resolved against
  std::string source;
  Kind kind = Kind::JavaScript;
};

struct Variable {
  std::string name;
  std::string value;
};

// A member of env that stands for something of the host's.
struct BoundName {
  enum class Kind : std::uint8_t { KeyValue, Queue };
  std::string name;
  Kind kind = Kind::KeyValue;
};

struct Program {
  enum class Kind : std::uint8_t {
    Worker,        // modules; the first one's default export has the handlers, or it is a WASI command
    ModuleScript,  // modules; the first one is run
    Script,        // modules[0] is a classic script
  };
  Kind kind = Kind::Worker;
  std::vector<Module> modules;
  std::vector<Variable> variables;        // env, secrets among them
  std::vector<BoundName> bindings;        // likewise
  std::string compatibility_date;         // YYYY-MM-DD; empty: the newest behaviour
  std::span<const std::byte> code_cache;  // of an earlier realm with the same modules; may be empty or stale
};

struct Limits {
  std::size_t heap_bytes_max = 128u << 20;
  std::size_t external_bytes_max = 128u << 20;  // ArrayBuffers, together
};

struct Memory {
  std::size_t heap_bytes = 0;       // used
  std::size_t committed_bytes = 0;  // of the heap
  std::size_t external_bytes = 0;   // of ArrayBuffers and of WebAssembly's memories
};

struct Message {  // of a batch that a rule sends
  std::string_view topic;
  std::string_view payload;
  std::int64_t time_ms = 0;
};

struct QueuedMessage {
  enum class Kind : std::uint8_t { Json, Text, Bytes };
  std::string_view id;
  std::string_view body;
  std::int64_t time_ms = 0;
  std::uint32_t attempts = 1;
  Kind kind = Kind::Json;
};

struct DueTimer {
  EventId event = kNoEvent;
  bool is_late_task = false;  // a task, which outlives its event, of one that is over
};

class Realm {
 public:
  // A realm with the platform, without a program: what a pool keeps ready. `engine` outlives it.
  static std::unique_ptr<Realm> create(Engine& engine, const Limits& limits);
  ~Realm();
  // Before load(), any number of times: compiles what workers use, and writes to the memory that a first call will
  // write to, for a process that stands ready. False: it failed on the way, which costs time and nothing else.
  bool warm_up();
  Realm(const Realm&) = delete;
  Realm& operator=(const Realm&) = delete;

  // Compiles and evaluates the program; once. `host` outlives the realm. A worker's evaluation must settle by itself; a
  // script may go on and ends with Host::script_ended.
  Result<void> load(const Program& program, Host& host);
  // For a later Program::code_cache: best made after some requests, when what is used has been compiled.
  [[nodiscard]] std::vector<std::byte> code_cache();
  // All that load() compiled came out of the code cache.
  [[nodiscard]] bool took_code_cache() const;
  // "fetch", "scheduled", "event", "queue": whether the worker has such a handler.
  [[nodiscard]] bool handles(std::string_view kind) const;

  void fetch(EventId event, const RequestHead& head, Body body);
  void scheduled(EventId event, std::string_view cron, std::int64_t time_ms);
  void event(EventId event, std::span<const Message> batch);
  // Answered by Host::respond() without a body: status 200, or 500 where the handler failed; for each message that is
  // to come again a field `retry`, "INDEX SECONDS", or "INDEX -" after the queue's own delay.
  void queue(EventId event, std::string_view name, std::span<const QueuedMessage> batch);
  // The client has gone: request.signal aborts, and the answer, if any is yet to come, is dropped.
  void abandon(EventId event);

  void answered(OperationId operation, const ResponseHead& head, Body body);  // of fetch and cache_match
  void missed(OperationId operation);                                         // of cache_match
  void done(OperationId operation, bool found);                               // of cache_put and cache_remove
  void failed(OperationId operation, const Failure& failure);
  void computed(OperationId operation);  // of compute: its work has been run

  void chunk(StreamId stream, Chunk chunk);
  void end(StreamId stream);
  void broken(StreamId stream, const Failure& failure);
  void writable(StreamId stream);
  void dropped(StreamId stream);  // the other end of a leaving stream is gone

  // A message for a WebSocket. False: Host::socket_taken() says when it was taken.
  bool socket_message(EventId socket, bool is_text, const Chunk& message);
  // The other end has closed it: `is_clean`, and said so; otherwise there is nobody to answer.
  void socket_closed(EventId socket, std::uint16_t code, std::string_view reason, bool is_clean);

  // A message of the Chrome DevTools Protocol, where the engine is for that. Also from within Host::inspector_wait(),
  // as the next.
  void inspect(std::string_view message);
  // Nobody inspects any more.
  void end_inspection();

  // When a timer is due, on the monotonic clock of Host::now().
  [[nodiscard]] std::optional<std::int64_t> next_deadline_ns() const;
  [[nodiscard]] std::size_t timers() const;
  // The first that is due now.
  [[nodiscard]] std::optional<DueTimer> due_timer() const;
  // Where there is one: runs it, with the microtasks that follow.
  void run_due_timer();
  // Where it is a task: lets it wait until take_up_tasks().
  void put_off_due_task();
  void take_up_tasks();
  // All that are due; what is set meanwhile waits for the next call.
  void run_timers();

  // Stops what runs, as soon as V8 can. From any thread. `code` is a literal such as "workers.cpu".
  void terminate(std::string_view code, std::string_view text) noexcept;
  [[nodiscard]] const std::optional<Failure>& condemned() const;

  // The event on whose behalf JavaScript was entered last: whom CPU time is to be charged.
  [[nodiscard]] EventId current_event() const;
  [[nodiscard]] Memory memory() const;
  void trim();  // gives back what it can: before it becomes idle

  struct State;

 private:
  explicit Realm(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace verge::workers
