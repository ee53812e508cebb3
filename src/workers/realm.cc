#include "workers/realm.h"

#include "workers/realm_code_cache.h"
#include "workers/realm_engine_state.h"
#include "workers/realm_inspector.h"
#include "workers/realm_state.h"
#include "workers/realm_text.h"

namespace verge::workers {
namespace {

v8::Local<v8::Value> number(v8::Isolate* isolate, std::uint64_t value) {
  return v8::Number::New(isolate, static_cast<double>(value));
}

// How a body is told to JavaScript: undefined, an ArrayBuffer, or the number of a stream; and its length, -1 unknown.
// The whole body of an event's request is told as true, and fetched where it is wanted.
v8::Local<v8::Value> body_value(Realm::State& state, const Body& body) {
  switch (body.kind) {
    case Body::Kind::None:
      return v8::Undefined(state.isolate);
    case Body::Kind::Whole:
      return buffer_of(state, body.whole);
    default:
      return number(state.isolate, body.stream);
  }
}

v8::Local<v8::Value> length_value(Realm::State& state, const Body& body) {
  return v8::Number::New(state.isolate, body.length ? static_cast<double>(*body.length) : -1);
}

v8::Local<v8::String> block_value(v8::Isolate* isolate, std::span<const Field> fields) {
  return latin1(isolate, block_of(fields));
}

v8::Local<v8::Value> text_value(v8::Isolate* isolate, std::string_view text) {
  return utf8(isolate, text).FromMaybe(v8::String::Empty(isolate));
}

v8::Local<v8::Value> failure_value(v8::Isolate* isolate, const Failure& failure) {
  return text_value(isolate, failure.text);
}

}  // namespace

std::string_view excess_of(std::size_t beside, std::span<const Field> fields) {
  if (fields.size() > kHeadFieldsMax) return "more than 512 fields";
  std::size_t bytes = beside;
  for (const Field& field : fields) bytes += field.name.size() + field.value.size();
  return bytes > kHeadBytesMax ? "more than 262144 bytes" : "";
}

Realm::Realm(std::unique_ptr<State> state) : state_(std::move(state)) {}
Realm::~Realm() = default;

std::unique_ptr<Realm> Realm::create(Engine& engine, const Limits& limits) {
  return std::unique_ptr<Realm>(new Realm(std::make_unique<State>(engine, limits)));
}

bool Realm::warm_up() {
  State& state = *state_;
  bool is_done = true;
  for (const bool begins : {true, false}) {
    const RealmEntry entry(state);
    is_done &= !state.call(Hook::WarmUp, kNoEvent, {v8::Boolean::New(state.isolate, begins)}).IsEmpty();
    if (begins) is_done &= warm_up_compiler(state);
  }
  return is_done;
}

Result<void> Realm::load(const Program& program, Host& host) {
  if (program.modules.empty()) return fail("workers.syntax", "the program has no module");
  State& state = *state_;
  if (state.host == nullptr) state.kind = program.kind;
  state.host = &host;
  const RealmEntry entry(state);
  if (state.engine.state().is_inspected) state.inspector = std::make_unique<RealmInspector>(state);
  if (program.kind != Program::Kind::Worker) {
    state.script_open = true;
    state.wake();
  }
  Result<void> loaded = load_program(state, program);
  if (!loaded) state.script_open = false;
  return loaded;
}

std::vector<std::byte> Realm::code_cache() {
  State& state = *state_;
  const RealmEntry entry(state);
  CodeCacheWriter writer;
  for (const LoadedModule& loaded : state.modules) {
    if (loaded.source->kind != Module::Kind::JavaScript || loaded.module.IsEmpty()) continue;
    const v8::Local<v8::Module> module = loaded.module.Get(state.isolate);
    if (module->GetStatus() == v8::Module::kErrored) continue;
    const std::unique_ptr<v8::ScriptCompiler::CachedData> blob(
        v8::ScriptCompiler::CreateCodeCache(module->GetUnboundModuleScript()));
    if (blob == nullptr) continue;
    writer.add(loaded.source->name, loaded.source_hash, {blob->data, static_cast<std::size_t>(blob->length)});
  }
  return writer.finish();
}

bool Realm::took_code_cache() const { return !state_->compiled_anew; }

bool Realm::handles(std::string_view kind) const {
  return std::ranges::find(state_->handlers, kind) != state_->handlers.end();
}

void Realm::fetch(EventId event, const RequestHead& head, Body body) {
  State& state = *state_;
  if (state.condemned) return state.host->ended(event, {.failure = state.condemned, .pass_through = false});
  const RealmEntry entry(state);
  state.wake();
  state.open_events.insert(event);
  if (body.kind == Body::Kind::Stream) state.stream_events[body.stream] = event;
  v8::Isolate* isolate = state.isolate;
  // One string for all, which JavaScript takes apart where somebody looks (ReceivedState in web/request.js).
  std::string& text = state.text_scratch;
  v8::Local<v8::Value> url = v8::Undefined(isolate);
  text.assign(head.method);
  if (is_ascii(head.url)) {
    text.append(head.url);
  } else {
    url = text_value(isolate, head.url);
  }
  const std::size_t url_end = text.size();
  append_block(text, head.fields);
  v8::Local<v8::Value> body_told = v8::True(isolate);
  if (body.kind == Body::Kind::Whole && !body.whole.bytes().empty()) {
    body.length = body.whole.bytes().size();
    state.held[event] = std::move(body.whole);
  } else {
    body_told = body_value(state, body);
  }
  state.call(Hook::Fetch, event,
             {number(isolate, event), latin1(isolate, text), number(isolate, head.method.size()),
              number(isolate, url_end), url, body_told, length_value(state, body),
              head.place.empty() ? v8::Local<v8::Value>(v8::Undefined(isolate)) : text_value(isolate, head.place)});
}

void Realm::scheduled(EventId event, std::string_view cron, std::int64_t time_ms) {
  State& state = *state_;
  if (state.condemned) return state.host->ended(event, {.failure = state.condemned, .pass_through = false});
  const RealmEntry entry(state);
  state.wake();
  state.open_events.insert(event);
  state.call(Hook::Scheduled, event,
             {number(state.isolate, event), text_value(state.isolate, cron),
              v8::Number::New(state.isolate, static_cast<double>(time_ms))});
}

void Realm::event(EventId event, std::span<const Message> batch) {
  State& state = *state_;
  if (state.condemned) return state.host->ended(event, {.failure = state.condemned, .pass_through = false});
  const RealmEntry entry(state);
  state.wake();
  state.open_events.insert(event);
  v8::Isolate* isolate = state.isolate;
  std::vector<v8::Local<v8::Value>> flat;  // topic, payload, time, topic, …
  flat.reserve(batch.size() * 3);
  for (const Message& message : batch) {
    flat.push_back(text_value(isolate, message.topic));
    flat.push_back(buffer_of(state, Chunk::of(std::string(message.payload))));
    flat.push_back(v8::Number::New(isolate, static_cast<double>(message.time_ms)));
  }
  state.call(Hook::Event, event, {number(isolate, event), v8::Array::New(isolate, flat.data(), flat.size())});
}

bool Realm::socket_message(EventId socket, bool is_text, const Chunk& message) {
  State& state = *state_;
  if (state.condemned) return true;
  const RealmEntry entry(state);
  v8::Isolate* isolate = state.isolate;
  v8::Local<v8::Value> data;
  if (!is_text) {
    data = buffer_of(state, message);
  } else if (v8::Local<v8::String> text; text_of(state, message).ToLocal(&text)) {
    data = text;
  } else {
    return true;
  }
  v8::Local<v8::Value> taken;
  const bool is_told =
      state.call(Hook::SocketMessage, socket, {number(isolate, socket), data, number(isolate, message.bytes().size())})
          .ToLocal(&taken);
  return !is_told || !taken->IsFalse();
}

void Realm::socket_closed(EventId socket, std::uint16_t code, std::string_view reason, bool is_clean) {
  State& state = *state_;
  if (state.condemned) return;
  const RealmEntry entry(state);
  v8::Isolate* isolate = state.isolate;
  state.call(Hook::SocketClosed, socket,
             {number(isolate, socket), number(isolate, code), text_value(isolate, reason),
              v8::Boolean::New(isolate, is_clean)});
}

void Realm::inspect(std::string_view message) {
  State& state = *state_;
  if (state.condemned) return;
  const RealmEntry entry(state);
  if (state.inspector) state.inspector->dispatch(message);
}

void Realm::end_inspection() {
  State& state = *state_;
  if (!state.inspector) return;
  const RealmEntry entry(state);
  state.inspector->end();
}

void Realm::queue(EventId event, std::string_view name, std::span<const QueuedMessage> batch) {
  State& state = *state_;
  if (state.condemned) return state.host->ended(event, {.failure = state.condemned, .pass_through = false});
  const RealmEntry entry(state);
  state.wake();
  state.open_events.insert(event);
  v8::Isolate* isolate = state.isolate;
  std::vector<v8::Local<v8::Value>> flat;  // id, body, time, attempts, kind, id, …
  flat.reserve(batch.size() * 5);
  for (const QueuedMessage& message : batch) {
    flat.push_back(text_value(isolate, message.id));
    flat.push_back(buffer_of(state, Chunk::of(std::string(message.body))));
    flat.push_back(v8::Number::New(isolate, static_cast<double>(message.time_ms)));
    flat.push_back(number(isolate, message.attempts));
    flat.push_back(v8::Integer::New(isolate, static_cast<int>(message.kind)));
  }
  state.call(Hook::Queue, event,
             {number(isolate, event), text_value(isolate, name), v8::Array::New(isolate, flat.data(), flat.size())});
}

void Realm::abandon(EventId event) {
  State& state = *state_;
  if (state.condemned || !state.open_events.contains(event)) return;
  const RealmEntry entry(state);
  state.call(Hook::Abandon, event, {number(state.isolate, event)});
}

void Realm::answered(OperationId operation, const ResponseHead& head, Body body) {
  State& state = *state_;
  const auto found = state.operations.find(operation);
  if (state.condemned || found == state.operations.end()) {
    if (body.kind == Body::Kind::Stream) state.host->cancel(body.stream);
    return;
  }
  const EventId event = found->second;
  const RealmEntry entry(state);
  state.operations.erase(found);
  if (body.kind == Body::Kind::Stream) state.stream_events[body.stream] = event;
  v8::Isolate* isolate = state.isolate;
  v8::Local<v8::Value> told;
  const bool as_text = !state.text_operations.empty() && state.text_operations.erase(operation) != 0;
  v8::Local<v8::String> text;
  if (as_text && body.kind == Body::Kind::Whole && text_of(state, body.whole).ToLocal(&text)) {
    told = text;
  } else {
    told = body_value(state, body);
  }
  state.call(Hook::Answered, event,
             {number(isolate, operation), v8::Integer::New(isolate, head.status), latin1(isolate, head.reason),
              block_value(isolate, head.fields), told, length_value(state, body)});
}

void Realm::missed(OperationId operation) {
  State& state = *state_;
  const auto found = state.operations.find(operation);
  if (state.condemned || found == state.operations.end()) return;
  const RealmEntry entry(state);
  const EventId event = found->second;
  state.operations.erase(found);
  state.call(Hook::Missed, event, {number(state.isolate, operation)});
}

void Realm::done(OperationId operation, bool found_it) {
  State& state = *state_;
  const auto found = state.operations.find(operation);
  if (state.condemned || found == state.operations.end()) return;
  const RealmEntry entry(state);
  const EventId event = found->second;
  state.operations.erase(found);
  state.call(Hook::Done, event, {number(state.isolate, operation), v8::Boolean::New(state.isolate, found_it)});
}

void Realm::failed(OperationId operation, const Failure& failure) {
  State& state = *state_;
  const auto found = state.operations.find(operation);
  if (state.condemned || found == state.operations.end()) return;
  const RealmEntry entry(state);
  const EventId event = found->second;
  state.operations.erase(found);
  state.text_operations.erase(operation);
  state.call(Hook::Failed, event, {number(state.isolate, operation), failure_value(state.isolate, failure)});
}

void Realm::computed(OperationId operation) {
  State& state = *state_;
  const auto found = state.operations.find(operation);
  const auto work = state.works.extract(operation);
  if (state.condemned || found == state.operations.end() || work.empty()) return;
  const RealmEntry entry(state);
  const EventId event = found->second;
  state.operations.erase(found);
  state.call(Hook::Computed, event, {number(state.isolate, operation), value_of(state, work.mapped()->result())});
}

void Realm::chunk(StreamId stream, Chunk chunk) {
  State& state = *state_;
  if (state.condemned) return;
  const auto collecting = state.collectors.find(stream);
  if (collecting != state.collectors.end()) {
    Collector& collector = collecting->second;
    if (++collector.chunks == 1) {
      collector.only = std::move(chunk);
    } else {
      if (collector.chunks == 2) collector.bytes.assign(std::exchange(collector.only, {}).bytes());
      collector.bytes.append(chunk.bytes());
    }
    if (collector.bytes.size() <= state.limits.external_bytes_max) return state.host->pull(stream);
    state.host->cancel(stream);
    return broken(stream, {.code = "workers.memory",
                           .text = "RangeError: the body is larger than the memory a worker may have",
                           .position = {},
                           .stack = {}});
  }
  const auto found = state.stream_events.find(stream);
  if (found == state.stream_events.end()) return;
  state.awaited_streams.erase(stream);
  const RealmEntry entry(state);
  state.call(Hook::Chunk, found->second, {number(state.isolate, stream), buffer_of(state, chunk)});
}

void Realm::end(StreamId stream) {
  State& state = *state_;
  const auto found = state.stream_events.find(stream);
  if (state.condemned || found == state.stream_events.end()) return;
  const EventId event = found->second;
  const RealmEntry entry(state);
  state.stream_events.erase(found);
  state.awaited_streams.erase(stream);
  auto collected = state.collectors.extract(stream);
  if (collected.empty()) {
    state.call(Hook::End, event, {number(state.isolate, stream)});
    return;
  }
  Collector& collector = collected.mapped();
  const Chunk all = collector.chunks <= 1 ? std::move(collector.only) : Chunk::of(std::move(collector.bytes));
  v8::Local<v8::Value> value;
  if (collector.text) {
    v8::Local<v8::String> text;
    if (text_of(state, all).ToLocal(&text)) value = text;
  } else {
    value = buffer_of(state, all);
  }
  if (value.IsEmpty()) {
    state.call(Hook::Broken, event, {number(state.isolate, stream), text_value(state.isolate, "the body is too long")});
    return;
  }
  state.call(Hook::Collected, event, {number(state.isolate, stream), value});
}

void Realm::broken(StreamId stream, const Failure& failure) {
  State& state = *state_;
  const auto found = state.stream_events.find(stream);
  if (state.condemned || found == state.stream_events.end()) return;
  const EventId event = found->second;
  const RealmEntry entry(state);
  state.stream_events.erase(found);
  state.awaited_streams.erase(stream);
  state.collectors.erase(stream);
  state.call(Hook::Broken, event, {number(state.isolate, stream), failure_value(state.isolate, failure)});
}

void Realm::writable(StreamId stream) {
  State& state = *state_;
  if (state.condemned) return;
  const RealmEntry entry(state);
  state.call(Hook::Writable, state.current, {number(state.isolate, stream)});
}

void Realm::dropped(StreamId stream) {
  State& state = *state_;
  if (state.condemned) return;
  const RealmEntry entry(state);
  state.call(Hook::Dropped, state.current, {number(state.isolate, stream)});
}

std::optional<std::int64_t> Realm::next_deadline_ns() const {
  if (state_->timers.empty()) return std::nullopt;
  return state_->timers.begin()->deadline_ns;
}

std::size_t Realm::timers() const { return state_->timers.size(); }

std::optional<DueTimer> Realm::due_timer() const {
  const State& state = *state_;
  if (state.condemned || state.timers.empty()) return std::nullopt;
  const Timer& timer = *state.timers.begin();
  if (timer.deadline_ns > state.host->now().monotonic_ns) return std::nullopt;
  return DueTimer{.event = timer.event, .is_late_task = timer.is_task && !state.open_events.contains(timer.event)};
}

void Realm::run_due_timer() {
  State& state = *state_;
  const Timer timer = state.take_first_timer();
  const RealmEntry entry(state);
  state.call(Hook::Timer, timer.event,
             {v8::Number::New(state.isolate, timer.id), v8::Boolean::New(state.isolate, state.is_over(timer.event))});
}

void Realm::put_off_due_task() { state_->put_off_tasks.push_back(state_->take_first_timer()); }

void Realm::take_up_tasks() {
  for (const Timer& task : std::exchange(state_->put_off_tasks, {})) {
    state_->timers.insert(task);
    state_->timer_by_id[task.id] = task;
  }
}

void Realm::run_timers() {
  for (std::size_t most = timers(); most > 0 && due_timer(); --most) run_due_timer();
}

void Realm::terminate(std::string_view code, std::string_view text) noexcept {
  {
    const std::scoped_lock lock(state_->termination_mutex);
    if (state_->termination_asked.load()) return;
    state_->termination_code = code;
    state_->termination_text = text;
    state_->termination_asked.store(true);
  }
  state_->isolate->TerminateExecution();
}

const std::optional<Failure>& Realm::condemned() const { return state_->condemned; }

EventId Realm::current_event() const { return state_->current; }

Memory Realm::memory() const {
  v8::HeapStatistics statistics;
  state_->isolate->GetHeapStatistics(&statistics);
  // V8 counts the memories of WebAssembly and the texts of external strings, which the allocator does not see, together
  // with ArrayBuffers, and not what is held for JavaScript.
  return {.heap_bytes = statistics.used_heap_size(),
          .committed_bytes = statistics.total_physical_size(),
          .external_bytes = std::max(state_->allocator->bytes(), statistics.external_memory()) +
                            static_cast<std::size_t>(state_->held_bytes)};
}

void Realm::trim() {
  if (state_->condemned) return;
  const v8::Isolate::Scope scope(state_->isolate);
  state_->isolate->MemoryPressureNotification(v8::MemoryPressureLevel::kCritical);
}

}  // namespace verge::workers
