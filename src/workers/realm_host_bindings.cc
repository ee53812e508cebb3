// Bindings to the Host: what a worker does to the outside. Arguments come from web/*.js, which has checked them;
// numbers of events, operations and streams are JavaScript numbers.
#include "workers/realm_bindings.h"
#include "workers/realm_state.h"

namespace verge::workers {
namespace {

using Call = const v8::FunctionCallbackInfo<v8::Value>&;

Realm::State& state_of(Call call) { return Realm::State::of(call.GetIsolate()); }

double number_at(Call call, int index) { return call[index].As<v8::Number>()->Value(); }
std::uint64_t id_at(Call call, int index) { return static_cast<std::uint64_t>(number_at(call, index)); }

void latin1_at(Call call, int index, std::string& text) {
  text.clear();
  if (!call[index]->IsString()) return;
  const v8::Local<v8::String> value = call[index].As<v8::String>();
  text.resize(static_cast<std::size_t>(value->Length()));
  value->WriteOneByte(call.GetIsolate(), reinterpret_cast<std::uint8_t*>(text.data()), 0, value->Length(),
                      v8::String::NO_NULL_TERMINATION);
}

std::string latin1_at(Call call, int index) {
  std::string text;
  latin1_at(call, index, text);
  return text;
}

EventId event_here(Call call) {
  const v8::Local<v8::Value> data = call.GetIsolate()->GetCurrentContext()->GetContinuationPreservedEmbedderData();
  return data->IsNumber() ? static_cast<EventId>(data.As<v8::Number>()->Value()) : kNoEvent;
}

// Nobody can ask for its body any more.
void forget_event(Realm::State& state, EventId event) {
  if (!state.held.empty()) state.held.erase(event);
}

Chunk take_held(Realm::State& state, EventId event) {
  const auto found = state.held.find(event);
  if (found == state.held.end()) return {};
  Chunk chunk = std::move(found->second);
  state.held.erase(found);
  return chunk;
}

// (kind, body, length) at `first`: kind 0 none, 1 a string or memory, 2 a stream of ours, 3 one that entered, relayed,
// 4 the whole body that an event came with. (5, of an answer only: a WebSocket.)
Body body_at(Call call, int first) {
  Body body;
  const auto kind = static_cast<int>(number_at(call, first));
  if (kind == 0) return body;
  if (kind == 1) {
    body.kind = Body::Kind::Whole;
    body.whole = chunk_of(state_of(call), call[first + 1]);
    return body;
  }
  if (kind == 4) {
    body.kind = Body::Kind::Whole;
    body.whole = take_held(state_of(call), id_at(call, first + 1));
    return body;
  }
  body.kind = kind == 2 ? Body::Kind::Stream : Body::Kind::Relayed;
  body.stream = id_at(call, first + 1);
  const double length = number_at(call, first + 2);
  if (length >= 0) body.length = static_cast<std::uint64_t>(length);
  if (kind == 3) state_of(call).stream_events.erase(body.stream);
  return body;
}

Failure failure_at(Call call, int index) { return state_of(call).failure_of(call[index]); }

// (event, status, reason, block, kind, body, length, ends): `ends`, the event has ended, too. What the head has too
// much of, where nothing was done for that.
void respond(Call call) {
  Realm::State& state = state_of(call);
  const EventId event = id_at(call, 0);
  const auto open = state.open_events.find(event);
  if (open == state.open_events.end()) return;
  const std::string reason = latin1_at(call, 2);
  latin1_at(call, 3, state.text_scratch);
  fields_of(state.text_scratch, state.fields_scratch);
  const std::string_view excess = excess_of(reason.size(), state.fields_scratch);
  if (!excess.empty()) return call.GetReturnValue().Set(latin1(state.isolate, excess));
  const bool ends = call[7]->IsTrue();
  if (ends) state.open_events.erase(open);
  Body body;
  if (static_cast<int>(number_at(call, 4)) == 5) {
    body.kind = Body::Kind::Socket;
  } else if (static_cast<int>(number_at(call, 4)) == 1) {
    body.kind = Body::Kind::Whole;
    body.whole = passing_chunk_of(state, call[5], state.body_scratch);
  } else {
    body = body_at(call, 4);
  }
  state.host->respond(
      event,
      {.status = static_cast<std::uint16_t>(number_at(call, 1)), .reason = reason, .fields = state.fields_scratch},
      std::move(body));
  if (!ends) return;
  forget_event(state, event);
  state.host->ended(event, {});
}

// (event): all that belongs to it has settled. (event, error, pass through): it failed.
void ended(Call call) {
  Realm::State& state = state_of(call);
  const EventId event = id_at(call, 0);
  if (state.open_events.erase(event) == 0) return;
  forget_event(state, event);
  EventEnd end;
  if (call.Length() > 1) {
    end.failure = failure_at(call, 1);
    end.pass_through = call[2]->IsTrue();
  }
  state.host->ended(event, end);
}

// (level, text)
void console(Call call) {
  Realm::State& state = state_of(call);
  if (state.host == nullptr) return;
  state.host->console(event_here(call), static_cast<ConsoleLevel>(number_at(call, 0)),
                      to_utf8(call.GetIsolate(), call[1]));
}

void uncaught(Call call) { state_of(call).host->uncaught(event_here(call), failure_at(call, 0)); }

// (error): {message, filename, lineno, colno} of an ErrorEvent, as an array.
void position_of(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const v8::Local<v8::Context> context = isolate->GetCurrentContext();
  const v8::Local<v8::Message> message = v8::Exception::CreateMessage(isolate, call[0]);
  v8::Local<v8::Value> name = message->GetScriptResourceName();
  if (!name->IsString()) name = v8::String::Empty(isolate);
  v8::Local<v8::Value> parts[] = {message->Get(), name,
                                  v8::Integer::New(isolate, message->GetLineNumber(context).FromMaybe(0)),
                                  v8::Integer::New(isolate, message->GetStartColumn(context).FromMaybe(0) + 1)};
  call.GetReturnValue().Set(v8::Array::New(isolate, parts, std::size(parts)));
}

void event(Call call) { call.GetReturnValue().Set(static_cast<double>(event_here(call))); }

// (event): the whole body that it came with, as an ArrayBuffer, once; undefined where it is gone.
void take_held_memory(Call call) {
  Realm::State& state = state_of(call);
  const Chunk chunk = take_held(state, id_at(call, 0));
  if (!chunk.bytes().empty()) call.GetReturnValue().Set(buffer_of(state, chunk));
}

// The same as a string.
void take_held_text(Call call) {
  Realm::State& state = state_of(call);
  const Chunk chunk = take_held(state, id_at(call, 0));
  v8::Local<v8::String> text;
  if (chunk.bytes().empty()) {
    constexpr std::string_view kGone = "The event has ended, and the body of its request is gone";
    state.isolate->ThrowException(v8::Exception::TypeError(latin1(state.isolate, kGone)));
  } else if (text_of(state, chunk).ToLocal(&text)) {
    call.GetReturnValue().Set(text);
  } else {
    state.isolate->ThrowException(v8::Exception::RangeError(internalized(state.isolate, "Invalid string length")));
  }
}

// (event): what runs from here on is on its behalf.
void set_event(Call call) { call.GetIsolate()->GetCurrentContext()->SetContinuationPreservedEmbedderData(call[0]); }

// (stream): false where it is over: its event may have ended.
void pull(Call call) {
  Realm::State& state = state_of(call);
  const StreamId stream = id_at(call, 0);
  const bool is_open = state.stream_events.contains(stream);
  if (is_open && state.script_open) state.awaited_streams.insert(stream);
  if (is_open) state.host->pull(stream);
  call.GetReturnValue().Set(is_open);
}

void cancel(Call call) {
  Realm::State& state = state_of(call);
  const StreamId stream = id_at(call, 0);
  state.stream_events.erase(stream);
  state.collectors.erase(stream);
  state.awaited_streams.erase(stream);
  state.host->cancel(stream);
}

// (stream, as text): reads it to its end; Hook::Collected or Hook::Broken follows.
void collect(Call call) {
  Realm::State& state = state_of(call);
  const StreamId stream = id_at(call, 0);
  Collector& collector = state.collectors[stream];
  collector.text = call[1]->IsTrue();
  collector.event = event_here(call);
  state.host->pull(stream);
}

// (stream, bytes or string): false where the host wants no more for now.
void write(Call call) {
  Realm::State& state = state_of(call);
  call.GetReturnValue().Set(state.host->write(id_at(call, 0), chunk_of(state, call[1])));
}

void close(Call call) { state_of(call).host->close(id_at(call, 0)); }

// (stream, error)
void abort(Call call) { state_of(call).host->abort(id_at(call, 0), failure_at(call, 1)); }

// (socket, bytes or string): false where too much waits.
void socket_send(Call call) {
  Realm::State& state = state_of(call);
  call.GetReturnValue().Set(state.host->socket_send(id_at(call, 0), call[1]->IsString(), chunk_of(state, call[1])));
}

// (socket, code, reason)
void socket_end(Call call) {
  state_of(call).host->socket_end(id_at(call, 0), static_cast<std::uint16_t>(number_at(call, 1)),
                                  to_utf8(call.GetIsolate(), call[2]));
}

// (socket, bytes)
void socket_taken(Call call) {
  state_of(call).host->socket_taken(id_at(call, 0), static_cast<std::size_t>(number_at(call, 1)));
}

// (socket)
void socket_buffered(Call call) {
  call.GetReturnValue().Set(static_cast<double>(state_of(call).host->socket_buffered(id_at(call, 0))));
}

// (event, stream)
void relays(Call call) { call.GetReturnValue().Set(state_of(call).host->relays(id_at(call, 0), id_at(call, 1))); }

// (operation, method, url, block, kind, body, length)
void fetch(Call call) {
  Realm::State& state = state_of(call);
  const OperationId operation = id_at(call, 0);
  const EventId event = event_here(call);
  const std::string method = latin1_at(call, 1);
  const std::string url = to_utf8(call.GetIsolate(), call[2]);
  const std::string block = latin1_at(call, 3);
  const std::vector<Field> fields = fields_of(block);
  state.operations[operation] = event;
  state.host->fetch(operation, event, {.method = method, .url = url, .fields = fields}, body_at(call, 4));
}

void abort_fetch(Call call) {
  Realm::State& state = state_of(call);
  if (state.operations.erase(id_at(call, 0)) != 0) state.host->abort_fetch(id_at(call, 0));
}

// (operation, cache, method, url, block)
void cache_match(Call call) {
  Realm::State& state = state_of(call);
  const std::string cache = to_utf8(call.GetIsolate(), call[1]);
  const std::string method = latin1_at(call, 2);
  const std::string url = to_utf8(call.GetIsolate(), call[3]);
  const std::string block = latin1_at(call, 4);
  const std::vector<Field> fields = fields_of(block);
  const EventId event = event_here(call);
  state.operations[id_at(call, 0)] = event;
  state.host->cache_match(id_at(call, 0), event, cache, {.method = method, .url = url, .fields = fields});
}

void cache_remove(Call call) {
  Realm::State& state = state_of(call);
  const std::string cache = to_utf8(call.GetIsolate(), call[1]);
  const std::string method = latin1_at(call, 2);
  const std::string url = to_utf8(call.GetIsolate(), call[3]);
  const std::string block = latin1_at(call, 4);
  const std::vector<Field> fields = fields_of(block);
  const EventId event = event_here(call);
  state.operations[id_at(call, 0)] = event;
  state.host->cache_remove(id_at(call, 0), event, cache, {.method = method, .url = url, .fields = fields});
}

// (operation, cache, url, block of the request, status, reason, block of the answer, kind, body, length)
void cache_put(Call call) {
  Realm::State& state = state_of(call);
  const std::string cache = to_utf8(call.GetIsolate(), call[1]);
  const std::string url = to_utf8(call.GetIsolate(), call[2]);
  const std::string request_block = latin1_at(call, 3);
  const std::vector<Field> request_fields = fields_of(request_block);
  const std::string reason = latin1_at(call, 5);
  const std::string block = latin1_at(call, 6);
  const std::vector<Field> fields = fields_of(block);
  const EventId event = event_here(call);
  state.operations[id_at(call, 0)] = event;
  state.host->cache_put(id_at(call, 0), event, cache, {.method = "GET", .url = url, .fields = request_fields},
                        {.status = static_cast<std::uint16_t>(number_at(call, 4)), .reason = reason, .fields = fields},
                        body_at(call, 7));
}

// (operation, binding, what, key, block, kind, body, length, as text)
void ask_binding(Call call) {
  Realm::State& state = state_of(call);
  const OperationId operation = id_at(call, 0);
  const EventId event = event_here(call);
  const std::string binding = to_utf8(call.GetIsolate(), call[1]);
  const std::string what = latin1_at(call, 2);
  const std::string key = to_utf8(call.GetIsolate(), call[3]);
  latin1_at(call, 4, state.text_scratch);
  fields_of(state.text_scratch, state.fields_scratch);
  state.operations[operation] = event;
  if (call[8]->IsTrue()) state.text_operations.insert(operation);
  state.host->ask_binding(operation, event, binding, {.method = what, .url = key, .fields = state.fields_scratch},
                          body_at(call, 5));
}

// (counter): how often was written what it counts; -1 where nobody counts.
void writes_of(Call call) {
  const auto writes = state_of(call).host->writes_of(static_cast<std::uint32_t>(number_at(call, 0)));
  call.GetReturnValue().Set(writes ? static_cast<double>(*writes) : -1.0);
}

// (id, milliseconds, whether it is a task)
void timer(Call call) {
  Realm::State& state = state_of(call);
  const Timer timer{.deadline_ns = state.host->now().monotonic_ns + static_cast<std::int64_t>(number_at(call, 1) * 1e6),
                    .id = number_at(call, 0),
                    .event = event_here(call),
                    .is_task = call[2]->IsTrue()};
  state.timers.insert(timer);
  state.timer_by_id[timer.id] = timer;
}

void clear_timer(Call call) {
  Realm::State& state = state_of(call);
  const auto found = state.timer_by_id.find(number_at(call, 0));
  if (found == state.timer_by_id.end()) return;
  state.timers.erase(found->second);
  state.timer_by_id.erase(found);
}

// Milliseconds since the first event, monotonic.
void now(Call call) {
  const Realm::State& state = state_of(call);
  if (!state.awake) return call.GetReturnValue().Set(0.0);
  // In steps of 5 µs, as browsers do without isolation of origins they show finer ones to none.
  const std::int64_t elapsed = state.host->now().monotonic_ns - state.monotonic_origin_ns;
  const std::int64_t steps = elapsed / 5000;
  call.GetReturnValue().Set(static_cast<double>(steps) * 0.005);
}

void time_origin(Call call) { call.GetReturnValue().Set(static_cast<double>(state_of(call).wall_origin_ms)); }

// (view): fills it.
void random(Call call) {
  Realm::State& state = state_of(call);
  const v8::Local<v8::ArrayBufferView> view = call[0].As<v8::ArrayBufferView>();
  auto* memory = static_cast<std::byte*>(view->Buffer()->GetBackingStore()->Data());
  if (view->ByteLength() > 0) state.host->random({memory + view->ByteOffset(), view->ByteLength()});
}

constexpr Binding kBindings[] = {
    {"respond", respond},
    {"ended", ended},
    {"console", console},
    {"uncaught", uncaught},
    {"positionOf", position_of},
    {"event", event},
    {"setEvent", set_event},
    {"takeHeld", take_held_memory},
    {"takeHeldText", take_held_text},
    {"pull", pull},
    {"cancel", cancel},
    {"collect", collect},
    {"write", write},
    {"close", close},
    {"abort", abort},
    {"socketSend", socket_send},
    {"socketEnd", socket_end},
    {"socketTaken", socket_taken},
    {"socketBuffered", socket_buffered},
    {"relays", relays},
    {"fetch", fetch},
    {"abortFetch", abort_fetch},
    {"writesOf", writes_of},
    {"cacheMatch", cache_match},
    {"cacheRemove", cache_remove},
    {"cachePut", cache_put},
    {"askBinding", ask_binding},
    {"timer", timer},
    {"clearTimer", clear_timer},
    {"now", now},
    {"timeOrigin", time_origin},
    {"random", random},
};

}  // namespace

std::span<const Binding> host_bindings() { return kBindings; }

}  // namespace verge::workers
