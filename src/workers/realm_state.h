// What a Realm consists of. Included only by the realm_*.cc files.
//
// JavaScript's side of the platform (web/*.js) is a snapshot. C++ enters it through hooks, functions that web/main.js
// names, and it comes out through bindings (realm_bindings.h). Between the two go numbers, strings and memory; field
// lists as one string, "name\0value\0name\0value\0", Latin-1 as HTTP has it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <v8.h>

#include "workers/realm.h"
#include "workers/realm_crypto.h"
#include "workers/realm_engine_state.h"
#include "workers/realm_memory.h"

namespace verge::workers {

class RealmInspector;

// The functions that web/main.js gives, in the order of the snapshot's context data.
enum class Hook : std::uint8_t {
  Start,  // the program's default export, env
  Fetch,
  Scheduled,
  Event,
  Abandon,
  Answered,
  Missed,
  Done,
  Failed,
  Chunk,
  End,
  Broken,
  Collected,
  Writable,
  Dropped,
  SocketMessage,
  SocketClosed,
  Timer,
  Rejection,
  Awake,    // the first event: start-up's limits end
  Settled,  // a script's evaluation promise
  Clone,    // a host object of a structured clone
  WarmUp,   // uses what workers use; (true), then, after microtasks, (false)
  Computed,
  Queue,
  BuiltIn,  // the exports of a module that comes with the platform
  Count,
};
inline constexpr std::string_view kHookNames[] = {
    "start",     "fetch", "scheduled", "event",     "abandon",  "answered", "missed",        "done",         "failed",
    "chunk",     "end",   "broken",    "collected", "writable", "dropped",  "socketMessage", "socketClosed", "timer",
    "rejection", "awake", "settled",   "clone",     "warmUp",   "computed", "queue",         "builtIn"};
static_assert(std::size(kHookNames) == static_cast<std::size_t>(Hook::Count));

struct Timer {
  std::int64_t deadline_ns = 0;
  double id = 0;
  EventId event = kNoEvent;
  bool is_task = false;  // outlives its event
  auto operator<=>(const Timer&) const = default;
};

// What reads an entering stream to its end for text(), json(), arrayBuffer().
struct Collector {
  std::string bytes;
  Chunk only;  // while there is one chunk, it is not copied
  std::size_t chunks = 0;
  bool text = false;
  EventId event = kNoEvent;
};

struct ScriptCache {
  v8::Global<v8::UnboundModuleScript> script;
  std::uint64_t source_hash = 0;
};

struct LoadedModule {
  const Module* source = nullptr;  // of loaded_modules
  v8::Global<v8::Module> module;
  v8::Global<v8::Value> value;  // what it exports, where it is JSON or WebAssembly
  std::uint64_t source_hash = 0;
};

// A module that comes with the platform.
struct BuiltInModule {
  std::string name;
  v8::Global<v8::Module> module;
  v8::Global<v8::Object> exports;
};

class Held;  // realm_held.h

struct Realm::State {
  State(Engine& engine_in, const Limits& limits_in);
  ~State();

  static State& of(v8::Isolate* isolate) { return *static_cast<State*>(isolate->GetData(0)); }

  v8::Local<v8::Context> context_here() const { return context.Get(isolate); }
  v8::Local<v8::Function> hook(Hook which) const { return hooks[static_cast<std::size_t>(which)].Get(isolate); }
  // Calls a hook on behalf of an event. What throws out of a hook is a termination, or a defect of web/*.js, and is
  // told as uncaught. Nothing: it threw.
  v8::MaybeLocal<v8::Value> call(Hook which, EventId event, std::initializer_list<v8::Local<v8::Value>> arguments);

  void wake();
  [[nodiscard]] bool is_over(EventId event) const { return event != kNoEvent && !open_events.contains(event); }
  Timer take_first_timer();
  void finish_entry();  // microtasks, rejections nobody handled, terminations
  void condemn(Failure failure);
  [[nodiscard]] Failure failure_of(v8::Local<v8::Value> error, std::string_view code = "workers.exception") const;
  [[nodiscard]] Failure failure_of(v8::Local<v8::Message> message, v8::Local<v8::Value> error,
                                   std::string_view code) const;
  // A script that waits for nothing more has ended.
  void look_for_end();

  std::unique_ptr<RealmInspector> inspector;  // where the engine is for that
  Engine& engine;
  Limits limits;
  BudgetAllocator* allocator = nullptr;                         // of allocator_owner
  std::shared_ptr<v8::ArrayBuffer::Allocator> allocator_owner;  // V8 shares it with memory that outlives the isolate
  v8::Isolate* isolate = nullptr;
  v8::Global<v8::Context> context;
  v8::Global<v8::Function> hooks[static_cast<std::size_t>(Hook::Count)];

  Host* host = nullptr;
  Program::Kind kind = Program::Kind::Worker;
  bool awake = false;  // start-up is over: clock, random numbers and I/O are there
  std::int64_t wall_origin_ms = 0;
  std::int64_t monotonic_origin_ns = 0;

  std::vector<std::unique_ptr<Module>> loaded_modules;  // stable addresses
  std::vector<LoadedModule> modules;
  std::unordered_map<std::string, std::size_t> module_by_name;
  std::vector<BuiltInModule> built_ins;  // those that were imported
  std::vector<std::string> handlers;
  bool compiled_anew = false;  // a module was not in the code cache, or V8 refused what was there

  std::set<Timer> timers;
  std::unordered_map<double, Timer> timer_by_id;
  std::vector<Timer> put_off_tasks;
  std::unordered_map<StreamId, Collector> collectors;
  std::unordered_map<StreamId, EventId> stream_events;  // on whose behalf an entering stream is read
  std::unordered_map<OperationId, EventId> operations;
  std::unordered_map<OperationId, std::shared_ptr<CryptoWork>> works;  // at the host; each is an operation
  std::unordered_set<OperationId> text_operations;                     // those whose whole answer is wanted as a string
  std::unordered_set<EventId> open_events;
  std::unordered_map<EventId, Chunk> held;  // whole bodies of requests that JavaScript has not asked for
  std::vector<std::pair<v8::Global<v8::Promise>, v8::Global<v8::Value>>> rejections;
  std::vector<v8::Global<v8::Promise>> handled_rejections;  // of which it may have been said that nobody does
  v8::Global<v8::Promise> script_promise;
  bool script_open = false;
  std::unordered_set<StreamId> awaited_streams;  // while a script is open: it waits for the next piece of these
  std::unordered_map<Held*, std::unique_ptr<Held>> held_objects;
  std::int64_t held_bytes = 0;       // what they take
  std::int64_t held_bytes_gone = 0;  // of these and of ChunkStrings: collected, and still in V8's count

  std::string text_scratch;  // the memory of what most calls need, used again; as the next two
  std::string body_scratch;
  std::vector<Field> fields_scratch;

  EventId current = kNoEvent;
  int depth = 0;
  std::optional<Failure> condemned;
  bool out_of_memory = false;
  std::atomic<bool> termination_asked{false};
  std::mutex termination_mutex;  // guards the two below
  std::string_view termination_code;
  std::string termination_text;
};

// Enters the isolate and its context; leaves with microtasks run.
class RealmEntry {
 public:
  explicit RealmEntry(Realm::State& state);
  ~RealmEntry();
  RealmEntry(const RealmEntry&) = delete;
  RealmEntry& operator=(const RealmEntry&) = delete;

  v8::Local<v8::Context> context;

 private:
  Realm::State& state_;
  v8::Isolate::Scope isolate_scope_;
  v8::HandleScope handle_scope_;
  std::optional<v8::Context::Scope> context_scope_;
};

// realm_values.cc: between C++ and JavaScript.
v8::Local<v8::String> latin1(v8::Isolate* isolate, std::string_view text);
v8::Local<v8::String> internalized(v8::Isolate* isolate, std::string_view text);
v8::MaybeLocal<v8::String> utf8(v8::Isolate* isolate, std::string_view text);
std::string to_utf8(v8::Isolate* isolate, v8::Local<v8::Value> value);
// A string over the chunk's memory where it is long and ASCII; a copy otherwise.
v8::MaybeLocal<v8::String> text_of(Realm::State& state, const Chunk& chunk);
v8::Local<v8::ArrayBuffer> buffer_of(Realm::State& state, const Chunk& chunk);
// The memory of a string (UTF-8) or of an ArrayBuffer or view, without a copy where that is possible.
Chunk chunk_of(Realm::State& state, v8::Local<v8::Value> value);
// As chunk_of(), but what is short is copied into `scratch`, without a keeper.
Chunk passing_chunk_of(Realm::State& state, v8::Local<v8::Value> value, std::string& scratch);
void append_block(std::string& out, std::span<const Field> fields);
std::string block_of(std::span<const Field> fields);
void fields_of(std::string_view block, std::vector<Field>& fields);
std::vector<Field> fields_of(std::string_view block);

// realm_modules.cc
// Before load_program(): compiles and runs a module such as small workers are, of which nothing is left. False: it
// failed.
bool warm_up_compiler(Realm::State& state);
Result<void> load_program(Realm::State& state, const Program& program);
v8::MaybeLocal<v8::Promise> import_dynamically(v8::Local<v8::Context> context, v8::Local<v8::Data> options,
                                               v8::Local<v8::Value> referrer, v8::Local<v8::String> specifier,
                                               v8::Local<v8::FixedArray> assertions);
void describe_module(v8::Local<v8::Context> context, v8::Local<v8::Module> module, v8::Local<v8::Object> meta);

}  // namespace verge::workers
