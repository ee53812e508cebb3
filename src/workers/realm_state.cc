#include "workers/realm_state.h"

#include <utility>

#include <fmt/format.h>

#include "workers/realm_bindings.h"
#include "workers/realm_held.h"
#include "workers/realm_inspector.h"
#include "workers/realm_source_maps.h"

namespace verge::workers {
namespace {

// What a script near its heap limit gets to unwind with, once.
constexpr std::size_t kUnwindBytes = 16u << 20;

std::size_t near_heap_limit(void* data, std::size_t limit, std::size_t /*initial*/) {
  auto& state = *static_cast<Realm::State*>(data);
  state.out_of_memory = true;
  state.termination_asked.store(true);
  state.isolate->TerminateExecution();
  return limit + kUnwindBytes;
}

void note_rejection(v8::PromiseRejectMessage message) {
  const v8::Local<v8::Promise> promise = message.GetPromise();
  v8::Isolate* isolate = promise->GetIsolate();
  Realm::State& state = Realm::State::of(isolate);
  auto& rejections = state.rejections;
  if (message.GetEvent() == v8::kPromiseRejectWithNoHandler) {
    rejections.emplace_back(v8::Global<v8::Promise>(isolate, promise),
                            v8::Global<v8::Value>(isolate, message.GetValue()));
  } else if (message.GetEvent() == v8::kPromiseHandlerAddedAfterReject) {
    const auto is_its = [&](const auto& rejection) { return rejection.first == promise; };
    if (std::erase_if(rejections, is_its) == 0) state.handled_rejections.emplace_back(isolate, promise);
  }
}

// Date's clock: of the realm that runs on this thread.
double wall_clock() {
  v8::Isolate* isolate = v8::Isolate::TryGetCurrent();
  if (isolate == nullptr || isolate->GetNumberOfDataSlots() == 0 || isolate->GetData(0) == nullptr) return 0;
  const Realm::State& state = Realm::State::of(isolate);
  return state.awake ? static_cast<double>(state.host->now().wall_ms) : 0;
}

// Where the platform's own code was, says nothing to who wrote the worker: the place is that of the worker's innermost
// frame, or none.
void leave_out_platform(Failure& failure) {
  constexpr std::string_view kFrame = "\n    at ";
  constexpr std::string_view kPlatform = "verge:";
  bool is_found = false;
  for (std::size_t begin = failure.stack.find(kFrame); begin != std::string::npos;) {
    const std::size_t end = std::min(failure.stack.find('\n', begin + 1), failure.stack.size());
    const std::string_view line = std::string_view(failure.stack).substr(begin, end - begin);
    if (line.find(kPlatform) != std::string_view::npos) {
      failure.stack.erase(begin, end - begin);
      begin = failure.stack.find(kFrame, begin);
      continue;
    }
    const std::size_t bracket = line.rfind('(');
    std::string_view place = bracket == std::string_view::npos ? line.substr(kFrame.size()) : line.substr(bracket + 1);
    if (place.ends_with(')')) place.remove_suffix(1);
    const bool has_line = !place.empty() && place.back() >= '0' && place.back() <= '9';
    if (has_line && !std::exchange(is_found, true) && failure.position.starts_with(kPlatform)) failure.position = place;
    begin = failure.stack.find(kFrame, end);
  }
  if (failure.position.starts_with(kPlatform)) failure.position.clear();
}

}  // namespace

Realm::State::State(Engine& engine_in, const Limits& limits_in) : engine(engine_in), limits(limits_in) {
  auto owned = std::make_shared<BudgetAllocator>(limits.external_bytes_max);
  allocator = owned.get();
  allocator_owner = std::move(owned);
  engine.state().platform->set_clock(wall_clock);

  v8::Isolate::CreateParams parameters;
  parameters.array_buffer_allocator_shared = allocator_owner;
  parameters.snapshot_blob = &engine.state().snapshot;
  parameters.external_references = external_references();
  parameters.constraints.ConfigureDefaultsFromHeapSize(0, limits.heap_bytes_max);
  isolate = v8::Isolate::New(parameters);
  isolate->SetAllowAtomicsWait(false);  // nobody could wake it
  isolate->SetData(0, this);
  isolate->AddNearHeapLimitCallback(near_heap_limit, this);
  isolate->SetMicrotasksPolicy(v8::MicrotasksPolicy::kExplicit);
  isolate->SetPromiseRejectCallback(note_rejection);
  isolate->SetHostImportModuleDynamicallyCallback(import_dynamically);
  isolate->SetHostInitializeImportMetaObjectCallback(describe_module);
  isolate->SetCaptureStackTraceForUncaughtExceptions(true, 10);

  const v8::Isolate::Scope isolate_scope(isolate);
  const v8::HandleScope handles(isolate);
  const v8::Local<v8::Context> fresh = v8::Context::New(isolate);
  context.Reset(isolate, fresh);
  for (std::size_t index = 0; index < std::size(hooks); ++index) {
    hooks[index].Reset(isolate, fresh->GetDataFromSnapshotOnce<v8::Function>(index).ToLocalChecked());
  }
}

Realm::State::~State() {
  {
    const v8::Isolate::Scope isolate_scope(isolate);
    const v8::HandleScope handles(isolate);
    inspector.reset();
    for (auto& function : hooks) function.Reset();
    rejections.clear();
    handled_rejections.clear();
    modules.clear();
    built_ins.clear();
    held_objects.clear();
    script_promise.Reset();
    context.Reset();
  }
  engine.state().platform->forget(isolate);
  isolate->Dispose();
}

v8::MaybeLocal<v8::Value> Realm::State::call(Hook which, EventId event,
                                             std::initializer_list<v8::Local<v8::Value>> arguments) {
  const v8::Local<v8::Context> here = context_here();
  current = event;
  here->SetContinuationPreservedEmbedderData(v8::Number::New(isolate, static_cast<double>(event)));
  v8::TryCatch caught(isolate);
  // V8 reads them only.
  auto* first = const_cast<v8::Local<v8::Value>*>(arguments.begin());
  v8::MaybeLocal<v8::Value> answer =
      hook(which)->Call(here, v8::Undefined(isolate), static_cast<int>(arguments.size()), first);
  if (caught.HasCaught() && !caught.HasTerminated() && host != nullptr) {
    host->uncaught(event, failure_of(caught.Message(), caught.Exception(), "workers.exception"));
  }
  return answer;
}

void Realm::State::wake() {
  if (awake) return;
  awake = true;
  const Time now = host->now();
  wall_origin_ms = now.wall_ms;
  monotonic_origin_ns = now.monotonic_ns;
  call(Hook::Awake, kNoEvent, {});
}

void Realm::State::condemn(Failure failure) {
  if (condemned) return;
  condemned = std::move(failure);
  const std::unordered_set<EventId> open = std::exchange(open_events, {});
  timers.clear();
  timer_by_id.clear();
  put_off_tasks.clear();
  held.clear();
  for (const EventId event : open) host->ended(event, {.failure = condemned, .pass_through = false});
  if (std::exchange(script_open, false)) host->script_ended(condemned);
}

Timer Realm::State::take_first_timer() {
  const Timer timer = *timers.begin();
  timers.erase(timers.begin());
  timer_by_id.erase(timer.id);
  return timer;
}

void Realm::State::finish_entry() {
  while (!termination_asked.load(std::memory_order_relaxed)) {
    isolate->PerformMicrotaskCheckpoint();
    if (rejections.empty() && handled_rejections.empty()) break;
    for (const v8::Global<v8::Promise>& handled : std::exchange(handled_rejections, {})) {
      const v8::Local<v8::Promise> promise = handled.Get(isolate);
      call(Hook::Rejection, current, {promise, promise->Result(), v8::True(isolate)});
    }
    auto pending = std::exchange(rejections, {});
    for (auto& [promise, reason] : pending) {
      call(Hook::Rejection, current, {promise.Get(isolate), reason.Get(isolate), v8::False(isolate)});
    }
  }
  if (!termination_asked.load()) return;
  isolate->CancelTerminateExecution();
  if (host == nullptr) return;
  if (out_of_memory) {
    condemn({.code = "workers.memory",
             .text = fmt::format("the worker needs more than its {} MB of memory", limits.heap_bytes_max >> 20),
             .position = {},
             .stack = {}});
    return;
  }
  const std::scoped_lock lock(termination_mutex);
  condemn({.code = termination_code, .text = termination_text, .position = {}, .stack = {}});
}

Failure Realm::State::failure_of(v8::Local<v8::Value> error, std::string_view code) const {
  return failure_of(v8::Exception::CreateMessage(isolate, error), error, code);
}

Failure Realm::State::failure_of(v8::Local<v8::Message> message, v8::Local<v8::Value> error,
                                 std::string_view code) const {
  Failure failure{.code = code, .text = {}, .position = {}, .stack = {}};
  const v8::TryCatch caught(isolate);  // a toString of the worker's may throw
  if (!message.IsEmpty()) {
    failure.text = to_utf8(isolate, message->Get());
    if (failure.text.starts_with("Uncaught ")) failure.text.erase(0, 9);
    const v8::Local<v8::Value> name = message->GetScriptResourceName();
    const int line = message->GetLineNumber(context_here()).FromMaybe(0);
    if (line > 0 && name->IsString() && name.As<v8::String>()->Length() > 0) {
      failure.position = fmt::format("{}:{}:{}", to_utf8(isolate, name), line,
                                     message->GetStartColumn(context_here()).FromMaybe(0) + 1);
    }
  }
  if (!error.IsEmpty() && error->IsNativeError()) {
    v8::Local<v8::Value> stack;
    if (v8::TryCatch::StackTrace(context_here(), error).ToLocal(&stack) && stack->IsString()) {
      failure.stack = to_utf8(isolate, stack);
    }
  }
  leave_out_platform(failure);
  if (!failure.position.empty()) failure.position = with_original_places(*this, std::move(failure.position));
  if (!failure.stack.empty()) failure.stack = with_original_places(*this, std::move(failure.stack));
  return failure;
}

void Realm::State::look_for_end() {
  if (!script_open || condemned) return;
  if (!script_promise.IsEmpty()) {
    const v8::Local<v8::Promise> promise = script_promise.Get(isolate);
    if (promise->State() == v8::Promise::kRejected) {
      script_open = false;
      host->script_ended(failure_of(promise->Result()));
      return;
    }
  }
  if (!timers.empty() || !operations.empty() || !collectors.empty() || !awaited_streams.empty()) return;
  script_open = false;
  if (!script_promise.IsEmpty() && script_promise.Get(isolate)->State() == v8::Promise::kPending) {
    host->script_ended(Failure{.code = "workers.exception",
                               .text = "a top-level await waits for something that cannot happen any more",
                               .position = {},
                               .stack = {}});
    return;
  }
  host->script_ended(std::nullopt);
}

RealmEntry::RealmEntry(Realm::State& state)
    : state_(state), isolate_scope_(state.isolate), handle_scope_(state.isolate) {
  context = state.context_here();
  context_scope_.emplace(context);
  ++state_.depth;
}

RealmEntry::~RealmEntry() {
  if (--state_.depth > 0) return;
  if (state_.inspector) state_.inspector->settle();
  state_.finish_entry();
  state_.look_for_end();
}

}  // namespace verge::workers
