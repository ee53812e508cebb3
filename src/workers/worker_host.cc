#include "workers/worker_host.h"

#include <algorithm>

#include <sys/random.h>
#include <time.h>

#include "workers/isolate_process.h"

namespace verge::workers {
namespace {

// Streams of a subrequest's answer are numbered apart from those of requests, and those that this host opens for whole
// bodies larger than a window from those of the realm.
constexpr StreamId kOfSubrequest = StreamId{1} << 32;
constexpr StreamId kOwnStream = StreamId{1} << 62;
// Calls after which what a worker uses has been compiled.
constexpr uint64_t kCallsBeforeCode = 32;
// Of an entry while somebody inspects.
constexpr uint64_t kInspectedNs = 3'600'000'000'000;
// An entry longer than this may have taken memory worth looking for.
constexpr uint64_t kLongEntryNs = 1'000'000;
// Garbage below this is not worth the processor time of a whole collection, 10 ms and more, for which those wait that
// start.
constexpr uint64_t kWorthTrimmingBytes = 1U << 20;
constexpr std::string_view kSpentText =
    "what went on after its calls were over waits for the next: it used the processor time of a call [workers.cpu]";
// Two heads, of a cache's put, with the lengths of what they have, and what comes of a body, are one frame.
static_assert(kHeadFieldsMax == calls::kFieldsMax);
static_assert(2 * (kHeadBytesMax + kHeadFieldsMax * 10) + calls::kWindowBytes < calls::kPayloadBytesMax);

calls::ConsoleLevel level_of(ConsoleLevel level) { return static_cast<calls::ConsoleLevel>(level); }

std::vector<calls::Field> fields_of(std::span<const Field> fields) {
  std::vector<calls::Field> out;
  out.reserve(fields.size());
  for (const Field& field : fields) out.push_back({field.name, field.value});
  return out;
}

void copy_fields(std::span<const calls::Field> from, std::vector<Field>& to) {
  to.clear();
  for (const calls::Field& field : from) to.push_back({field.name, field.value});
}

}  // namespace

LoadedProgram::LoadedProgram(const calls::Load& load)
    : name(load.name),
      code_cache(load.code_cache),
      cpu_ns(load.cpu_us * 1000),
      start_cpu_ns(load.start_cpu_us * 1000),
      memory_bytes(load.memory_bytes) {
  program.kind = static_cast<Program::Kind>(load.kind);
  program.compatibility_date = load.compatibility_date;
  for (const calls::Module& module : load.modules) {
    program.modules.push_back(
        {std::string(module.name), std::string(module.source), static_cast<Module::Kind>(module.type)});
  }
  for (const calls::Field& variable : load.variables) {
    program.variables.push_back({std::string(variable.name), std::string(variable.value)});
  }
  for (const calls::Binding& binding : load.bindings) {
    program.bindings.push_back({std::string(binding.name), static_cast<BoundName::Kind>(binding.kind)});
  }
}

WorkerHost::WorkerHost(IsolateProcess& process, uint32_t id, const calls::Load& load)
    : process_(process), id_(id), program_(load), leaving_(process.outbox()), sockets_(process.outbox()) {
  program_.program.code_cache = std::as_bytes(std::span(program_.code_cache));
  expired_ = [this] { realm_->terminate("workers.cpu", "it used its processor time"); };
}

WorkerHost::~WorkerHost() {
  for (const auto& [id, subrequest] : subrequests_) process_.remove_subrequest(id);
  for (const auto& [id, call] : calls_) process_.note_call_over(id);
  cancel_jobs(kNoEvent);
}

// --- Realms

void WorkerHost::load(std::unique_ptr<Realm> ready) {
  tell_loaded(make_realm(std::move(ready)));
  do_what_follows();
}

void WorkerHost::tell_loaded(const std::optional<Failure>& problem) {
  if (problem) {
    has_failed_ = problem;
    send_failure(calls::FrameType::kLoadFailed, id_, *problem);
    return;
  }
  const uint8_t flags =
      (realm_->handles("fetch") ? calls::kHasFetch : 0) | (realm_->handles("scheduled") ? calls::kHasScheduled : 0) |
      (realm_->handles("event") ? calls::kHasEvent : 0) | (realm_->handles("queue") ? calls::kHasQueue : 0);
  calls::append_number(process_.outbox().text(), calls::FrameType::kLoaded, id_, memory_bytes_, flags);
}

template <class Work>
void WorkerHost::enter(EventId event, uint64_t allowed_ns, const Work& work) {
  process_.begin_code(id_, static_cast<uint32_t>(event), is_inspected_ ? kInspectedNs : allowed_ns, expired_);
  work();
  leave(event);
}

template <class Work>
void WorkerHost::enter_for(EventId event, const Work& work) {
  if (!realm_) return;
  uint64_t used = 0;
  if (const auto call = calls_.find(static_cast<uint32_t>(event)); call != calls_.end()) {
    // Each message of a WebSocket has the time of a call.
    if (sockets_.has(call->first)) call->second.former_cpu_ns += std::exchange(call->second.cpu_ns, 0);
    used = call->second.cpu_ns;
  }
  if (used >= program_.cpu_ns && !is_inspected_) realm_->terminate("workers.cpu", "it used its processor time");
  const uint64_t allowed = program_.cpu_ns + (is_cold_ ? calls::kColdNs : 0);
  is_cold_ = false;
  enter(event, allowed - std::min(used, allowed - 1), work);
  do_what_follows();
}

void WorkerHost::leave(EventId event) {
  const uint64_t used = process_.end_code();
  charge(realm_->current_event() != kNoEvent ? realm_->current_event() : event, used);
  if (used > kLongEntryNs && !realm_->condemned()) check_memory();
  if (realm_->condemned()) condemn();
  if (!ended_.empty()) settle_ended();
}

// Why there is none.
std::optional<Failure> WorkerHost::make_realm(std::unique_ptr<Realm> ready) {
  if (!ready) process_.watchdog().wake();
  realm_ = ready ? std::move(ready) : Realm::create(process_.engine(), program_.realm_limits());
  is_loading_ = true;
  wants_realm_ = false;
  Result<void> loaded;
  enter(kNoEvent, program_.start_cpu_ns, [&] { loaded = realm_->load(program_.program, *this); });
  is_loading_ = false;
  if (!loaded || !realm_) {
    realm_.reset();
    std::optional<Failure> problem = std::exchange(load_failure_, std::nullopt);
    if (!problem && !loaded) problem = Failure{loaded.error().code, loaded.error().what, loaded.error().fix, {}};
    return problem ? std::move(problem) : Failure{"workers.start", "it ended while it was started", {}, {}};
  }
  measure_memory();
  rested_bytes_ = memory_bytes_;
  is_cold_ = true;
  late_cpu_ns_ = 0;
  has_said_spent_ = false;
  code_sent_ = realm_->took_code_cache();
  return std::nullopt;
}

std::optional<Failure> WorkerHost::restart() {
  if (program_.program.kind != Program::Kind::Worker) return make_realm(nullptr);
  calls::append_frame(process_.outbox().text(), calls::FrameType::kRestarts, id_);
  // It takes long. Where nobody takes it the process ends soon.
  static_cast<void>(process_.outbox().send());
  std::optional<Failure> problem = make_realm(nullptr);
  tell_loaded(problem);
  // What runs in it may end the process, and the node is to know that it was not the start.
  static_cast<void>(process_.outbox().send());
  return problem;
}

void WorkerHost::replace_realm() {
  static_cast<void>(restart());  // the node is told
  do_what_follows();
}

void WorkerHost::charge(EventId event, uint64_t ns) {
  if (const auto call = calls_.find(static_cast<uint32_t>(event)); call != calls_.end()) {
    call->second.cpu_ns += ns;
  } else {
    late_cpu_ns_ += ns;
  }
}

// What is over the limit may be garbage that V8 had no reason to collect yet.
void WorkerHost::check_memory() {
  measure_memory();
  if (memory_bytes_ <= program_.memory_bytes) return;
  realm_->trim();
  measure_memory();
  if (memory_bytes_ <= program_.memory_bytes) return;
  realm_->terminate("workers.memory", "it used more memory than it may");
}

void WorkerHost::measure_memory() {
  const Memory memory = realm_->memory();
  memory_bytes_ = memory.heap_bytes + memory.external_bytes;
}

void WorkerHost::condemn() {
  const Failure failure = realm_->condemned().value_or(Failure{});
  const EventId guilty = realm_->current_event();
  if (program_.program.kind != Program::Kind::Worker || is_loading_) load_failure_ = failure;
  for (auto& [id, call] : calls_) {
    if (call.has_ended && call.leaving == 0) continue;
    if (id == guilty) {
      send_failure(calls::FrameType::kFailed, id, failure);
    } else {
      send_failure(calls::FrameType::kFailed, id,
                   {"workers.restarted", "the worker was ended at a limit that another call went over", {}, {}});
    }
    call.has_ended = true;
    ended_.push_back(id);
  }
  for (const auto& [id, subrequest] : subrequests_) {
    calls::append_frame(process_.outbox().text(), calls::FrameType::kRequestCancel, id);
    process_.remove_subrequest(id);
  }
  if (program_.program.kind != Program::Kind::Worker) script_ended(failure);
  if (!is_loading_ && !calls_.contains(static_cast<uint32_t>(guilty))) {
    console(kNoEvent, ConsoleLevel::Error,
            "what went on after its calls was ended: " + failure.text + " [" + std::string(failure.code) + "]");
  }
  cancel_jobs(kNoEvent);
  jobs_.clear();
  subrequests_.clear();
  subrequest_ids_.clear();
  leaving_.clear();
  entering_.clear();
  sockets_.clear();
  for (auto& [id, call] : calls_) call.leaving = 0;
  pulled_.clear();
  roomy_.clear();
  excessive_.clear();
  realm_.reset();
  // What code did between calls it would do in the next one likewise, without end.
  wants_realm_ =
      program_.program.kind == Program::Kind::Worker && !is_loading_ && calls_.contains(static_cast<uint32_t>(guilty));
  if (wants_realm_ && !is_inspected_) process_.note_condemned();
}

// DONE, for calls whose last entry was this one.
void WorkerHost::settle_ended() {
  for (const uint32_t id : ended_) {
    const auto call = calls_.find(id);
    if (call == calls_.end() || call->second.leaving != 0) continue;
    calls::append_done(process_.outbox().text(), id,
                       {(call->second.former_cpu_ns + call->second.cpu_ns) / 1000, memory_bytes_});
    calls_.erase(call);
    sockets_.remove(id);
    process_.note_call_over(id);
    ++calls_done_;
    if (entering_.erase(id) != 0) unread_.push_back(id);
  }
  ended_.clear();
  end_unread_bodies();
  if (calls_done_ >= kCallsBeforeCode && !code_sent_ && realm_ && calls_.empty()) {
    code_sent_ = true;
    const std::vector<std::byte> code = realm_->code_cache();
    const std::string_view bytes(reinterpret_cast<const char*>(code.data()), code.size());
    program_.code_cache = bytes;
    program_.program.code_cache = std::as_bytes(std::span(program_.code_cache));
    if (bytes.size() > calls::kLoadBytesMax) return;
    calls::append_frame(process_.outbox().text(), calls::FrameType::kCode, id_, bytes);
  }
}

// The node sends no more of them.
void WorkerHost::end_unread_bodies() {
  while (!unread_.empty() && realm_) {
    const StreamId stream = unread_.back();
    unread_.pop_back();
    const Failure gone{"workers.exception", "The event has ended, and the body of its request is gone", {}, {}};
    enter(kNoEvent, program_.cpu_ns, [&] { realm_->broken(stream, gone); });
  }
  unread_.clear();
}

void WorkerHost::do_what_follows() {
  while (realm_ && (!pulled_.empty() || !roomy_.empty() || !excessive_.empty())) {
    if (!excessive_.empty()) {
      const Excessive its = excessive_.back();
      excessive_.pop_back();
      const Failure told{"workers.subrequest", "the request has " + std::string(its.excess), {}, {}};
      enter(its.event, program_.cpu_ns, [&] { realm_->failed(its.operation, told); });
    } else if (!pulled_.empty()) {
      const StreamId stream = pulled_.back();
      pulled_.pop_back();
      feed(stream);
    } else {
      const StreamId stream = roomy_.back();
      roomy_.pop_back();
      enter(kNoEvent, program_.cpu_ns, [&] { realm_->writable(stream); });
    }
  }
}

std::optional<int64_t> WorkerHost::next_deadline_ns() const {
  return realm_ ? realm_->next_deadline_ns() : std::nullopt;
}

void WorkerHost::run_timers() {
  const bool is_bounded = program_.program.kind == Program::Kind::Worker && !is_inspected_;
  // An entry for each, on the time of its call. What is set meanwhile waits for the next turn.
  for (std::size_t most = realm_ ? realm_->timers() : 0; most > 0 && realm_; --most) {
    const std::optional<DueTimer> due = realm_->due_timer();
    if (!due) return;
    if (!is_bounded || !due->is_late_task || late_cpu_ns_ < program_.cpu_ns) {
      enter_for(due->event, [this] { realm_->run_due_timer(); });
      continue;
    }
    realm_->put_off_due_task();
    if (!std::exchange(has_said_spent_, true)) console(kNoEvent, ConsoleLevel::Error, kSpentText);
  }
}

void WorkerHost::rest() {
  if (!realm_ || !calls_.empty()) return;
  measure_memory();
  if (memory_bytes_ < rested_bytes_ + kWorthTrimmingBytes) return;
  process_.watchdog().wake();
  realm_->trim();
  measure_memory();
  rested_bytes_ = memory_bytes_;
}

// --- From the node

void WorkerHost::begin(uint32_t call, const calls::Call& its, uint8_t flags,
                       const std::shared_ptr<const void>& keeper) {
  // Where it did not start the node unloads it.
  const std::optional<Failure> problem = has_failed_ ? has_failed_ : realm_ ? std::nullopt : restart();
  CallState& state = calls_[call];
  if (problem) {
    send_failure(calls::FrameType::kFailed, call, *problem);
    state.has_ended = true;
    ended_.push_back(call);
    settle_ended();
    return;
  }
  late_cpu_ns_ = 0;
  has_said_spent_ = false;
  realm_->take_up_tasks();
  switch (its.kind) {
    case calls::CallKind::kFetch: {
      copy_fields(its.fields, fields_);
      Body body;
      if ((flags & calls::kEnd) == 0) {
        body = {.kind = Body::Kind::Stream,
                .stream = open_entering(call, calls::FrameType::kCallCredit, call, Chunk(its.body, keeper))};
        entering_[call].is_held = (flags & calls::kHolds) != 0;
      } else if (!its.body.empty()) {
        body = {.kind = Body::Kind::Whole, .whole = Chunk(its.body, keeper)};
      }
      enter_for(call, [&] { realm_->fetch(call, {its.method, its.url, fields_, its.place}, std::move(body)); });
      break;
    }
    case calls::CallKind::kScheduled:
      enter_for(call, [&] { realm_->scheduled(call, its.cron, static_cast<int64_t>(its.time_ms)); });
      break;
    case calls::CallKind::kEvent: {
      std::vector<Message> messages;
      messages.reserve(its.messages.size());
      for (const calls::Message& message : its.messages) {
        messages.push_back({message.topic, message.payload, static_cast<int64_t>(message.time_ms)});
      }
      enter_for(call, [&] { realm_->event(call, messages); });
      break;
    }
    case calls::CallKind::kQueue: {
      std::vector<QueuedMessage> messages;
      messages.reserve(its.queued.size());
      for (const calls::QueuedMessage& message : its.queued) {
        messages.push_back({.id = message.id,
                            .body = message.body,
                            .time_ms = static_cast<int64_t>(message.time_ms),
                            .attempts = message.attempts,
                            .kind = static_cast<QueuedMessage::Kind>(message.kind)});
      }
      enter_for(call, [&] { realm_->queue(call, its.queue, messages); });
      break;
    }
  }
}

StreamId WorkerHost::open_entering(StreamId stream, calls::FrameType credit, uint32_t id, Chunk first) {
  Entering& entering = entering_[stream];
  entering = {.credit = credit, .id = id};
  if (!first.bytes().empty()) entering.waiting.push_back(std::move(first));
  return stream;
}

void WorkerHost::take_body(uint32_t call, Chunk piece, bool ends) { take_piece(call, std::move(piece), ends); }

void WorkerHost::take_piece(StreamId stream, Chunk piece, bool ends) {
  const auto entering = entering_.find(stream);
  if (entering == entering_.end()) return;
  if (!piece.bytes().empty()) entering->second.waiting.push_back(std::move(piece));
  entering->second.ended |= ends;
  if (entering->second.pulled && feed(stream)) do_what_follows();
}

// One chunk, or the end, where it was asked for and is there.
bool WorkerHost::feed(StreamId stream) {
  const auto found = entering_.find(stream);
  if (found == entering_.end() || !found->second.pulled) return false;
  Entering& entering = found->second;
  const EventId event = stream < kOfSubrequest ? stream : kNoEvent;
  if (!entering.waiting.empty()) {
    const Chunk chunk = std::move(entering.waiting.front());
    entering.waiting.pop_front();
    entering.pulled = false;
    if (!entering.ended) {
      calls::append_number(process_.outbox().text(), entering.credit, entering.id, chunk.bytes().size());
    }
    enter(event, program_.cpu_ns, [&] { realm_->chunk(stream, chunk); });
    return true;
  }
  if (!entering.ended) return false;
  entering_.erase(found);
  enter(event, program_.cpu_ns, [&] { realm_->end(stream); });
  return true;
}

void WorkerHost::add_credit(uint32_t call, uint64_t bytes) {
  const auto state = calls_.find(call);
  if (state != calls_.end() && state->second.leaving != 0) add_room(state->second.leaving, bytes);
}

void WorkerHost::add_room(StreamId stream, uint64_t bytes) {
  const LeavingBodies::Room room = leaving_.add_room(stream, bytes);
  if (room.ended) {
    end_leaving(*room.ended);
    settle_ended();
  } else if (room.is_awaited) {
    roomy_.push_back(stream);
    do_what_follows();
  }
}

void WorkerHost::abandon(uint32_t call) {
  const auto state = calls_.find(call);
  if (state == calls_.end() || !realm_) return;
  cancel_jobs(call);
  const StreamId leaving = state->second.leaving;
  if (leaving != 0) {
    leaving_.remove(leaving);
    state->second.leaving = 0;
    if (state->second.has_ended) ended_.push_back(call);
  }
  enter_for(call, [&] {
    // First: the event may end with its answer.
    realm_->abandon(call);
    if (leaving != 0 && leaving < kOwnStream) realm_->dropped(leaving);
  });
}

// --- WebSockets

void WorkerHost::take_message(uint32_t call, bool is_text, const Chunk& message) {
  if (!sockets_.has(call)) return;
  bool is_taken = true;
  enter_for(call, [&] { is_taken = realm_->socket_message(call, is_text, message); });
  if (is_taken) socket_taken(call, message.bytes().size());
}

void WorkerHost::take_close(uint32_t call, const calls::SocketClose& close, bool is_clean) {
  if (!sockets_.has(call)) return;
  sockets_.closed_by_other_end(call);
  enter_for(call, [&] { realm_->socket_closed(call, close.code, close.reason, is_clean); });
}

void WorkerHost::add_socket_room(uint32_t call, uint64_t bytes) { sockets_.add_room(call, bytes); }

bool WorkerHost::socket_send(EventId socket, bool is_text, Chunk message) {
  return sockets_.send(static_cast<uint32_t>(socket), is_text, std::move(message));
}

void WorkerHost::socket_end(EventId socket, uint16_t code, std::string_view reason) {
  sockets_.end(static_cast<uint32_t>(socket), code, reason);
}

void WorkerHost::socket_taken(EventId socket, size_t bytes) {
  calls::append_number(process_.outbox().text(), calls::FrameType::kSocketTaken, static_cast<uint32_t>(socket),
                       calls::socket_cost(bytes));
}

size_t WorkerHost::socket_buffered(EventId socket) const {
  return sockets_.waiting_bytes(static_cast<uint32_t>(socket));
}

// --- The inspector

void WorkerHost::inspect(std::string_view message) {
  is_inspected_ = true;
  if (!realm_ && (has_failed_ || restart())) return;
  if (standing_ > 0) return realm_->inspect(message);
  enter(kNoEvent, program_.cpu_ns, [&] { realm_->inspect(message); });
  do_what_follows();
}

void WorkerHost::end_inspection() {
  is_inspected_ = false;
  if (!realm_) return;
  if (standing_ > 0) return realm_->end_inspection();
  enter(kNoEvent, program_.cpu_ns, [&] { realm_->end_inspection(); });
  for (auto& [id, call] : calls_) call.cpu_ns = 0;
}

void WorkerHost::inspector_send(std::string_view message) {
  do {
    const std::string_view piece = message.substr(0, calls::kPayloadBytesMax);
    message.remove_prefix(piece.size());
    calls::append_frame(process_.outbox().text(), calls::FrameType::kInspected, id_, piece,
                        message.empty() ? calls::kEnd : 0);
    if (process_.outbox().has_much()) static_cast<void>(process_.outbox().send());
  } while (!message.empty());
}

bool WorkerHost::inspector_wait() {
  ++standing_;
  const bool goes_on = process_.wait_while_standing();
  --standing_;
  return goes_on;
}

// --- Answers to subrequests

WorkerHost::Subrequest* WorkerHost::find_subrequest(uint32_t subrequest) {
  const auto found = subrequests_.find(subrequest);
  return found == subrequests_.end() ? nullptr : &found->second;
}

void WorkerHost::forget_subrequest(uint32_t subrequest) {
  const auto found = subrequests_.find(subrequest);
  if (found == subrequests_.end()) return;
  subrequest_ids_.erase(found->second.operation);
  if (found->second.leaving != 0) leaving_.remove(found->second.leaving);
  subrequests_.erase(found);
  process_.remove_subrequest(subrequest);
}

void WorkerHost::answer(uint32_t subrequest, const calls::Head& head, bool ends,
                        const std::shared_ptr<const void>& keeper) {
  Subrequest* its = find_subrequest(subrequest);
  if (its == nullptr) return;
  const OperationId operation = its->operation;
  const EventId event = its->event;
  copy_fields(head.fields, fields_);
  Body body;
  if (!ends) {
    const StreamId stream = kOfSubrequest | subrequest;
    body = {.kind = Body::Kind::Stream,
            .stream = open_entering(stream, calls::FrameType::kAnswerCredit, subrequest, Chunk(head.body, keeper))};
    subrequest_ids_.erase(operation);
  } else {
    if (!head.body.empty()) body = {.kind = Body::Kind::Whole, .whole = Chunk(head.body, keeper)};
    forget_subrequest(subrequest);
  }
  enter_for(event, [&] {
    realm_->answered(operation, {static_cast<uint16_t>(head.status), head.reason, fields_}, std::move(body));
  });
}

void WorkerHost::take_answer_body(uint32_t subrequest, Chunk piece, bool ends) {
  if (ends) forget_subrequest(subrequest);
  take_piece(kOfSubrequest | subrequest, std::move(piece), ends);
}

void WorkerHost::fail_subrequest(uint32_t subrequest, const calls::Failure& failure) {
  Subrequest* its = find_subrequest(subrequest);
  if (its == nullptr) return;
  const OperationId operation = its->operation;
  const EventId event = its->event;
  forget_subrequest(subrequest);
  const Failure told{"workers.subrequest", std::string(failure.text), {}, {}};
  const StreamId stream = kOfSubrequest | subrequest;
  if (entering_.erase(stream) != 0) {
    enter_for(event, [&] { realm_->broken(stream, told); });
  } else {
    enter_for(event, [&] { realm_->failed(operation, told); });
  }
}

void WorkerHost::settle_subrequest(uint32_t subrequest, bool found) {
  Subrequest* its = find_subrequest(subrequest);
  if (its == nullptr) return;
  const OperationId operation = its->operation;
  const EventId event = its->event;
  const bool was_match = its->is_match;
  forget_subrequest(subrequest);
  enter_for(event, [&] { was_match ? realm_->missed(operation) : realm_->done(operation, found); });
}

void WorkerHost::add_subrequest_credit(uint32_t subrequest, uint64_t bytes) {
  const Subrequest* its = find_subrequest(subrequest);
  if (its != nullptr && its->leaving != 0) add_room(its->leaving, bytes);
}

// --- From the realm

Time WorkerHost::now() {
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  return {.monotonic_ns = IsolateProcess::monotonic_ns(), .wall_ms = wall.tv_sec * 1000 + wall.tv_nsec / 1'000'000};
}

void WorkerHost::random(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = getrandom(out.data(), out.size(), 0);
    if (got > 0) out = out.subspan(static_cast<size_t>(got));
  }
}

void WorkerHost::console(EventId event, ConsoleLevel level, std::string_view text) {
  constexpr size_t kTextMax = 16U << 10;
  calls::append_console(process_.outbox().text(), id_,
                        {static_cast<uint32_t>(event), level_of(level), text.substr(0, kTextMax)});
}

void WorkerHost::uncaught(EventId event, const Failure& failure) {
  if (program_.program.kind != Program::Kind::Worker) return script_ended(failure);
  console(event, ConsoleLevel::Error, "Uncaught " + (failure.stack.empty() ? failure.text : failure.stack));
}

void WorkerHost::respond(EventId event, const ResponseHead& head, Body body) {
  const auto call = static_cast<uint32_t>(event);
  const auto found = calls_.find(call);
  if (found == calls_.end() || found->second.has_ended) return;
  CallState& state = found->second;
  std::string& out = process_.outbox().text();
  calls::Head& its = answer_;
  its.status = head.status;
  its.reason = head.reason;
  its.fields.clear();
  for (const Field& field : head.fields) its.fields.push_back({field.name, field.value});
  if (body.kind == Body::Kind::Socket) {
    calls::append_head(out, calls::FrameType::kHead, call, its, calls::kSwitches);
    sockets_.open(call);
    return;
  }
  if (body.kind == Body::Kind::Relayed) {
    entering_.erase(body.stream);
    calls::append_head(out, calls::FrameType::kHead, call, its, calls::kEnd | calls::kRelays);
    return;
  }
  if (body.kind == Body::Kind::None || (body.kind == Body::Kind::Whole && body.whole.bytes().empty())) {
    calls::append_head(out, calls::FrameType::kHead, call, its, calls::kEnd);
    return;
  }
  if (body.kind == Body::Kind::Whole && body.whole.bytes().size() <= calls::kWindowBytes) {
    calls::append_head(out, calls::FrameType::kHead, call, its, calls::kEnd, body.whole.bytes().size());
    process_.outbox().share(body.whole, body.whole.bytes());
    return;
  }
  calls::append_head(out, calls::FrameType::kHead, call, its, 0);
  state.leaving = body.kind == Body::Kind::Whole ? kOwnStream | call : body.stream;
  send_body(state.leaving, {calls::FrameType::kAnswerPiece, call}, std::move(body));
}

void WorkerHost::ended(EventId event, const EventEnd& end) {
  // Whose fault it was is told to each call by condemn().
  if (realm_ && realm_->condemned()) return;
  const auto call = calls_.find(static_cast<uint32_t>(event));
  if (call == calls_.end() || call->second.has_ended) return;
  if (end.failure) {
    send_failure(calls::FrameType::kFailed, call->first, *end.failure, end.pass_through ? calls::kPassesThrough : 0);
  }
  call->second.has_ended = true;
  ended_.push_back(call->first);
}

void WorkerHost::script_ended(const std::optional<Failure>& failure) {
  if (failure) {
    send_failure(calls::FrameType::kScriptEnded, id_, *failure, calls::kThrew);
  } else {
    calls::append_frame(process_.outbox().text(), calls::FrameType::kScriptEnded, id_);
  }
}

void WorkerHost::send_failure(calls::FrameType type, uint32_t id, const Failure& failure, uint8_t flags) {
  constexpr size_t kTextMax = 16U << 10;
  const auto cut = [](std::string_view text) { return text.substr(0, kTextMax); };
  calls::append_failure(process_.outbox().text(), type, id,
                        {failure.code, cut(failure.text), cut(failure.position), cut(failure.stack)}, flags);
}

// --- Work for the other thread

bool WorkerHost::compute(OperationId operation, EventId event, const std::shared_ptr<Work>& work) {
  // Of a call that is over it is done within what may still run of that, and has no time of its own.
  if (event != kNoEvent && !calls_.contains(static_cast<uint32_t>(event))) return false;
  auto job = std::make_shared<AsideJob>();
  job->worker = id_;
  job->operation = operation;
  job->event = event;
  job->work = work;
  job->allowed_ns = program_.cpu_ns;
  if (const auto call = calls_.find(static_cast<uint32_t>(event)); call != calls_.end()) {
    CallState& its = call->second;
    if (!its.aside_used) its.aside_used = std::make_shared<std::atomic<uint64_t>>(0);
    job->used_ns = its.aside_used;
    job->allowed_ns -= std::min(job->allowed_ns, its.cpu_ns - its.aside_ns);
  } else {
    job->used_ns = std::make_shared<std::atomic<uint64_t>>(0);
  }
  if (!process_.aside().add(job)) return false;
  jobs_.push_back(std::move(job));
  return true;
}

void WorkerHost::computed(const AsideJob& job) {
  // Of a realm that is gone: nobody waits for it.
  if (std::erase_if(jobs_, [&job](const auto& one) { return one.get() == &job; }) == 0 || !realm_) return;
  charge(job.event, job.its_ns);
  if (const auto call = calls_.find(static_cast<uint32_t>(job.event)); call != calls_.end()) {
    call->second.aside_ns += job.its_ns;
  }
  if (job.is_over && !job.is_cancelled) realm_->terminate("workers.cpu", "it used its processor time");
  enter_for(job.event, [&] { realm_->computed(job.operation); });
}

void WorkerHost::cancel_jobs(EventId event) {
  for (const std::shared_ptr<AsideJob>& job : jobs_) {
    if (event == kNoEvent || job->event == event) job->is_cancelled = true;
  }
}

// --- Bodies that leave

void WorkerHost::send_body(StreamId stream, LeavingBodies::Sender sender, Body body) {
  if (body.kind != Body::Kind::Whole) {
    leaving_.open(stream, sender);
  } else if (const auto ended = leaving_.send_whole(stream, sender, std::move(body.whole))) {
    end_leaving(*ended);
  }
}

bool WorkerHost::write(StreamId stream, Chunk chunk) { return leaving_.write(stream, std::move(chunk)); }

void WorkerHost::close(StreamId stream) {
  if (const auto ended = leaving_.close(stream)) end_leaving(*ended);
}

void WorkerHost::abort(StreamId stream, const Failure& failure) {
  const auto sender = leaving_.remove(stream);
  if (!sender) return;
  if (sender->type == calls::FrameType::kAnswerPiece) {
    send_failure(calls::FrameType::kFailed, sender->id, failure);
  } else {
    calls::append_frame(process_.outbox().text(), calls::FrameType::kRequestCancel, sender->id);
  }
  end_leaving(*sender);
}

void WorkerHost::end_leaving(const LeavingBodies::Sender& sender) {
  if (sender.type != calls::FrameType::kAnswerPiece) {
    if (Subrequest* its = find_subrequest(sender.id)) its->leaving = 0;
    return;
  }
  const auto call = calls_.find(sender.id);
  if (call == calls_.end()) return;
  call->second.leaving = 0;
  if (call->second.has_ended) ended_.push_back(sender.id);
}

// --- Bodies that enter

void WorkerHost::pull(StreamId stream) {
  const auto found = entering_.find(stream);
  if (found == entering_.end()) return;
  found->second.pulled = true;
  if (std::exchange(found->second.is_held, false)) {
    calls::append_number(process_.outbox().text(), found->second.credit, found->second.id, calls::kWindowBytes);
  }
  if (!found->second.waiting.empty() || found->second.ended) pulled_.push_back(stream);
}

void WorkerHost::cancel(StreamId stream) {
  if (entering_.erase(stream) == 0 || stream < kOfSubrequest) return;
  const auto subrequest = static_cast<uint32_t>(stream);
  if (find_subrequest(subrequest) == nullptr) return;
  calls::append_frame(process_.outbox().text(), calls::FrameType::kRequestCancel, subrequest);
  forget_subrequest(subrequest);
}

bool WorkerHost::relays(EventId event, StreamId stream) const {
  const auto found = entering_.find(stream);
  return stream == event && found != entering_.end() && found->second.is_held;
}

// --- Subrequests

void WorkerHost::begin_subrequest(OperationId operation, EventId event, calls::Request& request,
                                  const RequestHead& head, Body body) {
  const std::string_view excess = excess_of(request.cache.size() + head.method.size() + head.url.size(), head.fields);
  if (!excess.empty()) {
    excessive_.push_back({operation, event, excess});
    return;
  }
  const uint32_t id = process_.add_subrequest(*this);
  Subrequest& its = subrequests_[id];
  its = {.operation = operation, .event = event, .is_match = request.target == calls::RequestTarget::kCacheMatch};
  subrequest_ids_[operation] = id;
  request.call = static_cast<uint32_t>(event);
  request.method = head.method;
  request.url = head.url;
  request.fields = fields_of(head.fields);
  const bool is_whole = body.kind == Body::Kind::None ||
                        (body.kind == Body::Kind::Whole && body.whole.bytes().size() <= calls::kWindowBytes);
  if (is_whole) {
    request.body = body.whole.bytes();
    calls::append_request(process_.outbox().text(), id, request, calls::kEnd);
    return;
  }
  calls::append_request(process_.outbox().text(), id, request, 0);
  its.leaving = body.kind == Body::Kind::Whole ? kOwnStream | kOfSubrequest | id : body.stream;
  send_body(its.leaving, {calls::FrameType::kRequestBody, id}, std::move(body));
}

void WorkerHost::fetch(OperationId operation, EventId event, const RequestHead& head, Body body) {
  calls::Request request{.target = calls::RequestTarget::kFetch};
  begin_subrequest(operation, event, request, head, std::move(body));
}

void WorkerHost::abort_fetch(OperationId operation) {
  const auto found = subrequest_ids_.find(operation);
  if (found == subrequest_ids_.end()) return;
  const uint32_t id = found->second;
  calls::append_frame(process_.outbox().text(), calls::FrameType::kRequestCancel, id);
  entering_.erase(kOfSubrequest | id);
  forget_subrequest(id);
}

void WorkerHost::cache_match(OperationId operation, EventId event, std::string_view cache, const RequestHead& head) {
  calls::Request request{.target = calls::RequestTarget::kCacheMatch, .cache = cache};
  begin_subrequest(operation, event, request, head, {});
}

void WorkerHost::cache_put(OperationId operation, EventId event, std::string_view cache, const RequestHead& request,
                           const ResponseHead& head, Body body) {
  if (const std::string_view excess = excess_of(head.reason.size(), head.fields); !excess.empty()) {
    excessive_.push_back({operation, event, excess});
    return;
  }
  calls::Request its{.target = calls::RequestTarget::kCachePut,
                     .cache = cache,
                     .status = head.status,
                     .reason = head.reason,
                     .answer_fields = fields_of(head.fields)};
  begin_subrequest(operation, event, its, request, std::move(body));
}

void WorkerHost::cache_remove(OperationId operation, EventId event, std::string_view cache, const RequestHead& head) {
  calls::Request request{.target = calls::RequestTarget::kCacheRemove, .cache = cache};
  begin_subrequest(operation, event, request, head, {});
}

std::optional<std::uint64_t> WorkerHost::writes_of(std::uint32_t counter) {
  const calls::WriteCounts* counts = process_.write_counts();
  if (counts == nullptr || counter >= calls::WriteCounts::kCounters) return std::nullopt;
  return counts->of(counter);
}

void WorkerHost::ask_binding(OperationId operation, EventId event, std::string_view binding, const RequestHead& head,
                             Body body) {
  calls::Request request{.target = calls::RequestTarget::kBinding, .cache = binding};
  begin_subrequest(operation, event, request, head, std::move(body));
}

}  // namespace verge::workers
