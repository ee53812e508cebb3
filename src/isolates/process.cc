#include "isolates/process.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/log.h"
#include "calls/socket_frames.h"
#include "isolates/code_cache_files.h"
#include "isolates/failures.h"
#include "isolates/pool.h"
#include "net/http_message.h"

namespace verge::isolates {
namespace {

constexpr size_t kCodeCacheBytesMax = 8U << 20;
// A call whose time is over is to be done within this, or the process is killed.
constexpr Duration kObeysWithin = std::chrono::seconds(1);
// Frames wait for those of other connections that are ready at the same time, but about no longer than this.
constexpr Duration kGatherMax = std::chrono::microseconds(200);
constexpr size_t kGatheredBytesMax = 64U << 10;
// Of a body: larger pieces are sent as they lie, by themselves.
constexpr size_t kCopiedBytesMax = 16U << 10;
constexpr uint16_t kAbnormal = 1006;  // of a WebSocket's close (RFC 6455 section 7.4.1)
// WebSockets of a worker, on one loop.
constexpr size_t kSocketsMax = 10'000;
// Of a call's wall time, for want of the processor.
constexpr Duration kExtendedMax = std::chrono::seconds(2);

}  // namespace

Process::Process(Pool& pool, ForkedProcess forked)
    : pool_(pool),
      id_(forked.id),
      handle_(std::move(forked.handle)),
      page_(std::move(forked.page)),
      gathering_(pool.loop_) {
  schedule_ = net::Socket(open(fmt::format("/proc/{}/schedstat", id_).c_str(), O_RDONLY | O_CLOEXEC));
  stream_ =
      std::make_unique<net::TcpStream>(pool.loop_, std::move(forked.socket), static_cast<net::StreamObserver&>(*this));
}

Process::~Process() {
  for (auto& [id, record] : records_) record->let_go();
  subrequests_.clear();
  kill(killed_for_);
}

void Process::kill(calls::EndReason reason) {
  killed_for_ = reason;
  syscall(SYS_pidfd_send_signal, handle_.descriptor(), SIGKILL, nullptr, 0);
}

Duration Process::cpu_time() const {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(id_, &clock) != 0 || clock_gettime(clock, &time) != 0) return Duration(0);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::optional<Process::Schedule> Process::schedule() const {
  std::array<char, 64> text;
  const ssize_t got = schedule_ ? pread(schedule_.descriptor(), text.data(), text.size(), 0) : -1;
  if (got <= 0) return std::nullopt;
  const std::string_view line(text.data(), static_cast<size_t>(got));
  const std::string_view rest = line.substr(std::min(line.find(' '), line.size() - 1) + 1);
  int64_t executed = 0;
  int64_t delayed = 0;
  std::from_chars(line.data(), line.data() + line.size(), executed);
  std::from_chars(rest.data(), rest.data() + rest.size(), delayed);
  return Schedule{std::chrono::nanoseconds(executed), std::chrono::nanoseconds(delayed)};
}

Instance* Process::instance(uint32_t id) const {
  return id == 0 || id > instances.size() ? nullptr : instances[id - 1];
}

// --- To the process

std::string& Process::output() {
  if (!gathering_.pending()) {
    gathering_since_ = std::chrono::steady_clock::now();
    gathering_.after(Duration(0), [this] { flush(); });
  } else if (gathered_.size() > kGatheredBytesMax ||
             std::chrono::steady_clock::now() - gathering_since_ >= kGatherMax) {
    flush();
    gathering_since_ = std::chrono::steady_clock::now();
  }
  return gathered_;
}

void Process::flush() {
  if (gathered_.empty()) return;
  stream_->write(gathered_);
  gathered_.clear();
}

void Process::load(Instance& instance) {
  instances.push_back(&instance);
  instance.process = this;
  instance.id = static_cast<uint32_t>(instances.size());
  const WorkerCode& code = instance.worker->code();
  const auto microseconds = [](Duration duration) {
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
  };
  calls::Load load{.name = code.name,
                   .kind = code.kind,
                   .cpu_us = microseconds(code.limits.cpu),
                   .memory_bytes = code.limits.memory_bytes,
                   .start_cpu_us = microseconds(code.limits.start_cpu),
                   .compatibility_date = code.compatibility_date};
  for (const ModuleSource& module : code.modules) load.modules.push_back({module.name, module.type, module.source});
  for (const auto& [name, value] : code.variables) load.variables.push_back({name, value});
  for (const WorkerBinding& binding : code.bindings) load.bindings.push_back({binding.name, binding.kind});
  const std::shared_ptr<const std::string> compiled = instance.worker->code_cache();
  if (compiled) load.code_cache = *compiled;
  calls::append_load(output(), instance.id, load);
  ++loading_;
  pool_.counters(*instance.worker).loads.add();
}

void Process::unload(Instance& instance) {
  calls::append_frame(output(), calls::FrameType::kUnload, instance.id);
  instances[instance.id - 1] = nullptr;
  instance.process = nullptr;
  if (!instance.is_loaded) --loading_;
}

bool Process::has_instances() const {
  return std::ranges::any_of(instances, [](const Instance* instance) { return instance != nullptr; });
}

void Process::send(std::unique_ptr<CallRecord> owned, uint32_t worker) {
  CallRecord& record = *owned;
  record.process = this;
  record.id = ++last_call_;
  records_.emplace(record.id, std::move(owned));
  std::string& out = output();
  const size_t begin = out.size();
  out.append(record.frame);
  write_fixed_at(out, begin + 8, record.id);
  // The worker's id stands first in the payload, in as many bytes as were left for it.
  VERGE_ASSERT(worker < 0x4000);
  out[begin + calls::kFrameHeadBytes] = static_cast<char>(worker | 0x80);
  out[begin + calls::kFrameHeadBytes + 1] = static_cast<char>(worker >> 7);
  record.is_held = record.holds_body;
  record.body_window = record.holds_body ? 0 : calls::kWindowBytes;
  record.body_sent = 0;
  if (record.body.size() > 0) send_body(record);
}

// What the window allows. Where the body is not held, the first piece is part of the CALL.
void Process::send_body(CallRecord& record) {
  while (record.body_sent < record.body.size() && record.body_window > 0) {
    const bool is_first = record.body_sent == 0 && !record.holds_body;
    const size_t size = std::min<uint64_t>(record.body.size() - record.body_sent, record.body_window);
    const bool ends = record.body_sent + size == record.body.size();
    if (!is_first) {
      calls::FrameWriter frame(output(), calls::FrameType::kBody, record.id, ends ? calls::kEnd : 0);
      frame.end(size);
    }
    if (size <= kCopiedBytesMax) {
      gathered_.append(record.body.view().substr(record.body_sent, size));
    } else {
      flush();
      stream_->write(record.body, record.body_sent, size);
    }
    record.body_sent += size;
    record.body_window -= size;
  }
}

void Process::cancel(CallRecord& record) {
  if (record.is_cancelled) return;
  record.is_cancelled = true;
  record.deadline = pool_.loop_.now() + kObeysWithin;
  calls::append_frame(output(), calls::FrameType::kCancel, record.id);
}

void Process::credit(const CallRecord& record, uint64_t bytes) {
  calls::append_number(output(), calls::FrameType::kCredit, record.id, bytes);
}

// --- Limits

void Process::supervise() {
  const uint64_t entry = page_->entries.load(std::memory_order_acquire);
  if (entry % 2 == 0) {
    entry_ = 0;
    return;
  }
  const Duration cpu = cpu_time();
  const std::optional<Schedule> thread = schedule();
  if (entry != entry_) {
    entry_ = entry;
    entry_cpu_ = cpu;
    entry_thread_cpu_ = thread ? thread->executed : cpu;
    return;
  }
  const Instance* its = instance(static_cast<uint32_t>(page_->running_worker.load(std::memory_order_relaxed)));
  Duration allowed = std::chrono::seconds(1);
  if (its != nullptr) {
    const WorkerLimits& limits = its->worker->limits();
    const bool is_starting = !its->is_loaded || page_->running_call.load(std::memory_order_relaxed) == 0;
    allowed = is_starting ? std::max(limits.start_cpu, limits.cpu) : limits.cpu;
  }
  // Whether its realm is a fresh one is not known here. What it computes beside JavaScript comes on top.
  const Duration most = allowed + allowed / 2 + std::chrono::nanoseconds(calls::kColdNs);
  const Duration used = cpu - entry_cpu_;
  const Duration used_by_thread = thread ? thread->executed - entry_thread_cpu_ : used;
  if (used < most || (used_by_thread < most && used < most + allowed)) return;
  kill(calls::EndReason::kCpu);
}

Duration Process::take_run_delay(MonotonicTime now) {
  const Duration since = now - std::exchange(looked_, now);
  not_executed_ = Duration(0);
  const std::optional<Schedule> its = schedule();
  if (!its) return Duration(0);
  const Duration ran = its->executed - std::exchange(executed_, its->executed);
  if (ran < since / 2) not_executed_ = since - ran;
  const Duration before = std::exchange(run_delay_, its->delayed);
  return std::max(run_delay_ - before, Duration(0));
}

Duration Process::unfinished_wait() const {
  if (not_executed_ <= Duration(0)) return Duration(0);
  const net::Socket state(open(fmt::format("/proc/{}/stat", id_).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 128> text;
  const ssize_t got = state ? read(state.descriptor(), text.data(), text.size()) : -1;
  if (got <= 0) return Duration(0);
  const std::string_view line(text.data(), static_cast<size_t>(got));
  const size_t name_end = line.rfind(')');
  const bool is_ready = name_end != std::string_view::npos && line.substr(name_end).starts_with(") R");
  return is_ready ? not_executed_ : Duration(0);
}

void Process::end_at_wall(MonotonicTime now) {
  std::vector<CallRecord*> late;
  bool disobeys = false;
  const Duration delay = take_run_delay(now);
  std::optional<Duration> unfinished;
  const auto extend = [](CallRecord& record, Duration by) {
    if (record.extended >= kExtendedMax) return;
    record.extended += by;
    record.deadline += by;
  };
  for (const auto& [id, record] : records_) {
    const Duration foreseen = std::min(record->foreseen, delay);
    record->foreseen -= foreseen;
    extend(*record, delay - foreseen);
    // A WebSocket lasts as long as it is used; who holds it sees to that.
    if (record->is_socket && !record->is_cancelled) continue;
    if (record->is_paused || record->deadline > now) continue;
    if (!unfinished) unfinished = unfinished_wait();
    const Duration its = std::min(*unfinished, now - record->begun);
    extend(*record, its);
    record->foreseen += its;
    if (record->deadline > now) continue;
    if (record->is_cancelled) {
      disobeys = true;
    } else if (record->observer != nullptr || !record->has_answer) {
      late.push_back(record.get());
    }
  }
  if (disobeys) return kill(calls::EndReason::kCpu);
  for (CallRecord* record : late) {
    cancel(*record);
    pool_.fail(*record, {wall_error(record->worker->name(), record->worker->limits())});
  }
}

// --- From the process

void Process::on_bytes(std::string_view bytes) {
  if (ended_) return;
  if (input_.empty()) {
    const size_t taken = take_frames(bytes);
    const std::string_view rest = bytes.substr(taken);
    if (ended_ || rest.empty()) return;
    input_.reserve(std::max(rest.size(), calls::FrameReader::size_of_first(rest).value_or(0)));
    input_.assign(rest);
  } else {
    input_.append(bytes);
    std::string gathered = std::move(input_);
    input_.clear();
    const size_t taken = take_frames(gathered);
    if (taken > 0) gathered.erase(0, taken);
    input_ = std::move(gathered);
  }
}

size_t Process::take_frames(std::string_view bytes) {
  size_t taken = 0;
  while (!ended_) {
    const calls::FrameReader::Step step = calls::FrameReader::next(bytes.substr(taken));
    if (step.progress == calls::FrameReader::Progress::kNeedMore) break;
    if (step.progress == calls::FrameReader::Progress::kBreach || !take(step.frame)) {
      log_warning("workers", "an isolate process of {} broke the format of frames and was ended", owner);
      kill(calls::EndReason::kBreach);
      ended_ = true;
      return bytes.size();
    }
    taken += step.consumed;
  }
  return taken;
}

bool Process::take(const calls::Frame& frame) {
  switch (frame.type) {
    case calls::FrameType::kLoaded:
    case calls::FrameType::kLoadFailed:
    case calls::FrameType::kRestarts:
    case calls::FrameType::kScriptEnded:
    case calls::FrameType::kConsole:
    case calls::FrameType::kCode:
    case calls::FrameType::kInspected:
      return take_of_worker(frame);
    case calls::FrameType::kHead:
    case calls::FrameType::kAnswerPiece:
    case calls::FrameType::kCallCredit:
    case calls::FrameType::kFailed:
    case calls::FrameType::kDone:
    case calls::FrameType::kSocketSend:
    case calls::FrameType::kSocketEnd:
    case calls::FrameType::kSocketTaken:
      return take_of_call(frame);
    case calls::FrameType::kRequest:
      return take_request(frame);
    case calls::FrameType::kRequestBody:
    case calls::FrameType::kRequestCancel:
    case calls::FrameType::kAnswerCredit:
      return take_of_subrequest(frame);
    default:
      return false;
  }
}

bool Process::take_of_worker(const calls::Frame& frame) {
  if (frame.id == 0 || frame.id > instances.size()) return false;
  Instance* its = instance(frame.id);
  if (its == nullptr) return true;  // unloaded meanwhile
  switch (frame.type) {
    case calls::FrameType::kLoaded:
    case calls::FrameType::kLoadFailed:
      return take_load_end(frame);
    case calls::FrameType::kRestarts:
      return take_restart(*its);
    case calls::FrameType::kScriptEnded: {
      const auto ended = std::exchange(its->script_ended, {});
      if (!ended) return true;
      if ((frame.flags & calls::kThrew) == 0) return ended(std::nullopt), true;
      const std::optional<calls::Failure> failure = calls::read_failure(frame.payload);
      if (failure) ended(error_of(*failure, *its->worker));
      return failure.has_value();
    }
    case calls::FrameType::kInspected:
      if (its->inspector != nullptr) its->inspector->on_inspector_message(frame.payload, frame.ends());
      return true;
    case calls::FrameType::kConsole: {
      const std::optional<calls::Console> line = calls::read_console(frame.payload);
      if (!line || !pool_.console_) return line.has_value();
      const auto call = records_.find(line->call);
      pool_.console_({*its->worker, line->level, line->text, call == records_.end() ? 0 : call->second->number});
      return line.has_value();
    }
    default:
      if (frame.payload.size() > kCodeCacheBytesMax || std::exchange(its->has_said_code, true)) return true;
      its->worker->keep_code_cache(frame.payload);
      if (CodeCacheFiles* files = pool_.options_.code_cache_files) {
        files->keep(its->worker->code(), its->worker->code_cache());
      }
      return true;
  }
}

bool Process::take_restart(Instance& instance) {
  if (!instance.is_loaded || instance.restarts_left == 0) return false;
  --instance.restarts_left;
  instance.is_loaded = false;
  ++loading_;
  for (const auto& [id, record] : records_) {
    const bool waits = record->worker == instance.worker && !record->is_cancelled;
    if (waits && !std::exchange(record->has_awaited_restart, true)) record->await_load();
  }
  pool_.watch_limits();
  return true;
}

bool Process::take_load_end(const calls::Frame& frame) {
  Instance& its = *instance(frame.id);
  if (its.is_loaded || loading_ == 0) return false;
  const bool is_good = frame.type == calls::FrameType::kLoaded;
  const std::optional<uint64_t> memory = is_good ? calls::read_number(frame.payload) : std::nullopt;
  const std::optional<calls::Failure> failure = is_good ? std::nullopt : calls::read_failure(frame.payload);
  if (!memory && !failure) return false;
  --loading_;
  its.is_loaded = true;
  pool_.note_lacks(lacks());
  if (memory) {
    pool_.counters(*its.worker).memory_bytes.set(*memory);
    for (const auto& [id, record] : records_) {
      if (record->worker != its.worker || !std::exchange(record->awaits_load, false)) continue;
      record->deadline = pool_.loop_.now() + (record->is_cancelled ? kObeysWithin : its.worker->limits().wall);
    }
    pool_.load_ended(its, std::nullopt);
    return true;
  }
  pool_.load_failed(its, error_of(*failure, *its.worker));
  return true;
}

void Process::fail_instance(const Instance& instance, const Error& error) {
  std::vector<CallRecord*> its;
  for (const auto& [id, record] : records_) {
    if (record->worker == instance.worker) its.push_back(record.get());
  }
  for (CallRecord* record : its) pool_.fail(*record, {error});
}

bool Process::take_of_call(const calls::Frame& frame) {
  if (frame.id == 0 || frame.id > last_call_) return false;
  const auto found = records_.find(frame.id);
  if (found == records_.end()) return true;
  CallRecord& record = *found->second;
  switch (frame.type) {
    case calls::FrameType::kHead:
      return take_head(record, frame);
    case calls::FrameType::kAnswerPiece:
      return take_piece(record, frame);
    case calls::FrameType::kCallCredit: {
      const std::optional<uint64_t> bytes = calls::read_number(frame.payload);
      const uint64_t owed = record.is_held ? calls::kWindowBytes : record.body_sent;
      if (!bytes || *bytes > owed) return false;
      record.is_held = false;
      record.body_window += *bytes;
      send_body(record);
      return true;
    }
    case calls::FrameType::kFailed:
      return take_failed(record, frame);
    case calls::FrameType::kSocketSend:
    case calls::FrameType::kSocketEnd:
    case calls::FrameType::kSocketTaken:
      return take_of_socket(record, frame);
    default:
      return take_done(record, frame);
  }
}

bool Process::take_head(CallRecord& record, const calls::Frame& frame) {
  if (record.has_answer || !calls::read_head(frame.payload, head_)) return false;
  if (head_.body.size() > calls::kWindowBytes) return false;
  const bool is_relayed = (frame.flags & calls::kRelays) != 0;
  if (is_relayed && (!record.is_held || !head_.body.empty() || !frame.ends())) return false;
  const bool switches = (frame.flags & calls::kSwitches) != 0;
  if (switches != (head_.status == 101) || (switches && (frame.ends() || !head_.body.empty()))) return false;
  record.has_answer = true;
  record.status = head_.status;
  record.answer_window = calls::kWindowBytes - head_.body.size();
  if (is_relayed) head_.body = record.body.view();
  record.answer_bytes = head_.body.size();
  if (switches) record.was_socket = true;
  if (record.observer == nullptr) {
    // The client has gone meanwhile; the event is to end.
    if (switches) {
      calls::append_socket_close(output(), calls::FrameType::kSocketClose, record.id, {kAbnormal, {}});
    }
    return true;
  }
  if (record.answer_bytes > record.worker->limits().answer_bytes_max) {
    pool_.end_long_answer(record);
    return true;
  }
  if (switches && pool_.instances_.at(record.worker.get())->sockets >= kSocketsMax) {
    calls::append_socket_close(output(), calls::FrameType::kSocketClose, record.id, {kAbnormal, {}});
    pool_.fail(record, {{"workers.busy", fmt::format("worker {} has {} WebSockets", record.worker->name(), kSocketsMax),
                         "try again"}});
    return true;
  }
  CallObserver& observer = *record.observer;
  if (switches) {
    pool_.socket_begun(record);
    ++sockets_;
    record.socket_window = record.socket_given = calls::kSocketWindowBytes;
  }
  if (is_relayed) {
    observer.on_relayed(head_, record.body);
  } else {
    observer.on_answer(head_, frame.ends());
  }
  // It may have gone.
  if (!frame.ends() || record.observer == nullptr) return true;
  pool_.answer_over(record);
  observer.on_end();
  return true;
}

bool Process::take_piece(CallRecord& record, const calls::Frame& frame) {
  if (!record.has_answer || record.was_socket || frame.payload.size() > record.answer_window) return false;
  record.answer_window -= frame.payload.size();
  record.answer_bytes += frame.payload.size();
  if (record.observer == nullptr) return true;
  if (record.answer_bytes > record.worker->limits().answer_bytes_max) {
    pool_.end_long_answer(record);
    return true;
  }
  CallObserver& observer = *record.observer;
  if (!frame.payload.empty()) observer.on_body(frame.payload);
  if (!frame.ends() || record.observer == nullptr) return true;
  pool_.answer_over(record);
  observer.on_end();
  return true;
}

bool Process::take_failed(CallRecord& record, const calls::Frame& frame) {
  const std::optional<calls::Failure> failure = calls::read_failure(frame.payload);
  if (!failure) return false;
  const bool passes = (frame.flags & calls::kPassesThrough) != 0 && !record.has_answer;
  pool_.fail(record, {error_of(*failure, *record.worker), passes});
  return true;
}

bool Process::take_done(CallRecord& record, const calls::Frame& frame) {
  const std::optional<calls::Done> done = calls::read_done(frame.payload);
  if (!done) return false;
  WorkerCounters& counters = pool_.counters(*record.worker);
  counters.cpu_us.add(done->cpu_us);
  if (done->memory_bytes > 0) counters.memory_bytes.set(done->memory_bytes);
  // Of a kind without an answer.
  if (CallObserver* observer = record.observer) {
    pool_.answer_over(record);
    observer->on_end();
  }
  if (record.is_socket) --sockets_;
  std::erase_if(subrequests_, [&](const auto& entry) {
    if (entry.second->call_ != record.id) return false;
    refuse_subrequest(entry.first, {"workers.subrequest", "the call that it belongs to is over", ""});
    return true;
  });
  auto taken = records_.extract(record.id);
  pool_.call_over(std::move(taken.mapped()));
  return true;
}

// --- The inspector

bool Process::is_inspected() const {
  return std::ranges::any_of(instances,
                             [](const Instance* its) { return its != nullptr && its->inspector != nullptr; });
}

void Process::inspect(Instance& instance, std::string_view message) {
  // Longer ones are no requests that DevTools make.
  if (message.size() > calls::kPayloadBytesMax) return;
  ++instance.restarts_left;
  calls::append_frame(output(), calls::FrameType::kInspect, instance.id, message);
}

void Process::end_inspection(const Instance& instance) {
  calls::append_frame(output(), calls::FrameType::kInspect, instance.id, {}, calls::kDetaches);
  // Time begins anew for what stood meanwhile.
  entry_ = 0;
  const MonotonicTime now = pool_.loop_.now();
  for (const auto& [id, record] : records_) {
    record->deadline = std::max(record->deadline, now + record->worker->limits().wall);
  }
}

// --- WebSockets

bool Process::has_only_sockets() const {
  constexpr Duration kLately = std::chrono::seconds(1);
  return loading_ == 0 && sockets_ == records_.size() && pool_.loop_.now() - told_socket_ > kLately &&
         page_->entries.load(std::memory_order_acquire) % 2 == 0;
}

bool Process::send_message(CallRecord& record, bool is_text, std::string_view payload) {
  if (!record.is_socket) return true;
  VERGE_ASSERT(payload.size() <= calls::kMessageBytesMax && !record.waiting_message);
  const uint64_t cost = calls::socket_cost(payload.size());
  if (cost > record.socket_window) {
    record.waiting_message = payload;
    record.waiting_is_text = is_text;
    return false;
  }
  record.socket_window -= cost;
  record.subrequests = 0;  // each message may make as many
  told_socket_ = pool_.loop_.now();
  pool_.watch_limits();
  calls::append_frame(output(), calls::FrameType::kSocketMessage, record.id, payload, is_text ? calls::kText : 0);
  return true;
}

void Process::send_close(const CallRecord& record, uint16_t code, std::string_view reason, bool is_clean) {
  if (!record.is_socket) return;
  told_socket_ = pool_.loop_.now();
  pool_.watch_limits();
  calls::append_socket_close(output(), calls::FrameType::kSocketClose, record.id, {code, reason},
                             is_clean ? calls::kClean : 0);
}

void Process::give_socket(CallRecord& record, size_t bytes) {
  const uint64_t cost = calls::socket_cost(bytes);
  record.socket_given += cost;
  calls::append_number(output(), calls::FrameType::kSocketRoom, record.id, cost);
}

void Process::end_socket(CallRecord& record) {
  --sockets_;
  pool_.socket_over(record);
  record.waiting_message.reset();
  pool_.answer_over(record);
  pool_.watch_limits();
}

bool Process::take_of_socket(CallRecord& record, const calls::Frame& frame) {
  if (!record.was_socket) return false;
  if (!record.is_socket || record.observer == nullptr) return true;
  switch (frame.type) {
    case calls::FrameType::kSocketSend: {
      const uint64_t cost = calls::socket_cost(frame.payload.size());
      if (cost > record.socket_given) return false;
      record.socket_given -= cost;
      record.observer->on_socket_message((frame.flags & calls::kText) != 0, frame.payload);
      return true;
    }
    case calls::FrameType::kSocketEnd: {
      const std::optional<calls::SocketClose> close = calls::read_socket_close(frame.payload);
      if (close) record.observer->on_socket_end(close->code, close->reason);
      return close.has_value();
    }
    default: {
      const std::optional<uint64_t> bytes = calls::read_number(frame.payload);
      if (!bytes || *bytes > calls::kSocketWindowBytes - record.socket_window) return false;
      record.socket_window += *bytes;
      const size_t size = record.waiting_message ? record.waiting_message->size() : 0;
      if (calls::socket_cost(size) > record.socket_window) return true;
      const std::optional<std::string> message = std::exchange(record.waiting_message, std::nullopt);
      if (!message) return true;
      send_message(record, record.waiting_is_text, *message);
      record.observer->on_socket_room();
      return true;
    }
  }
}

// --- Subrequests

bool Process::take_request(const calls::Frame& frame) {
  const std::optional<calls::Request> request = calls::read_request(frame.payload);
  if (!request || frame.id != last_subrequest_ + 1 || request->body.size() > calls::kWindowBytes) return false;
  last_subrequest_ = frame.id;
  Worker* worker = nullptr;
  CallObserver* of_call = nullptr;
  if (request->call == 0) {
    // Of a script, which has its process alone; or of a worker whose call is over.
    for (const Instance* its : instances) {
      if (its != nullptr && its->worker->code().kind != calls::ProgramKind::kWorker) worker = its->worker.get();
    }
    if (worker != nullptr && last_subrequest_ > worker->limits().subrequests_max) {
      refuse_subrequest(frame.id, subrequests_error(*worker));
      return true;
    }
  } else if (const auto call = records_.find(request->call); call != records_.end()) {
    CallRecord& record = *call->second;
    worker = record.worker.get();
    of_call = record.observer;
    if (++record.subrequests > worker->limits().subrequests_max) {
      refuse_subrequest(frame.id, subrequests_error(*worker));
      return true;
    }
  }
  if (worker == nullptr) {
    refuse_subrequest(frame.id, {"workers.subrequest", "the call that it belongs to is over", ""});
    return true;
  }
  pool_.counters(*worker).subrequests.add();
  const bool is_binding = request->target == calls::RequestTarget::kBinding;
  if (is_binding && frame.ends() && pool_.outbound_.answer_at_once(*worker, *request, head_)) {
    calls::append_head(output(), calls::FrameType::kAnswer, frame.id, head_, calls::kEnd);
    return true;
  }
  auto& record = subrequests_[frame.id] = std::make_unique<SubrequestRecord>(*this, frame.id);
  const bool lasts = std::ranges::any_of(
      request->fields, [](const calls::Field& field) { return net::equals_ignoring_case(field.name, "upgrade"); });
  if (lasts) record->call_ = request->call;
  if (!frame.ends()) record->given_ = calls::kWindowBytes - request->body.size();
  record->undrained_ = frame.ends() ? 0 : request->body.size();
  if (of_call != nullptr && !is_binding)
    record->subrequest_ = of_call->begin_subrequest(*request, frame.ends(), *record);
  if (!record->subrequest_) record->subrequest_ = pool_.outbound_.begin(*worker, *request, frame.ends(), *record);
  return true;
}

void Process::refuse_subrequest(uint32_t id, const Error& error) {
  calls::append_failure(output(), calls::FrameType::kAnswerFailed, id, {error.code, error.line(), {}, {}});
}

bool Process::take_of_subrequest(const calls::Frame& frame) {
  if (frame.id == 0 || frame.id > last_subrequest_) return false;
  const auto found = subrequests_.find(frame.id);
  if (found == subrequests_.end()) return true;
  SubrequestRecord& record = *found->second;
  if (frame.type == calls::FrameType::kRequestCancel) {
    subrequests_.erase(found);
    return true;
  }
  if (frame.type == calls::FrameType::kRequestBody) {
    if (frame.payload.size() > record.given_) return false;
    record.given_ -= frame.payload.size();
    record.undrained_ += frame.payload.size();
    record.subrequest_->write_body(frame.payload);
    if (frame.ends()) record.subrequest_->finish_body();
    return true;
  }
  const std::optional<uint64_t> bytes = calls::read_number(frame.payload);
  if (!bytes || *bytes > calls::kLoadBytesMax) return false;
  record.window_ += *bytes;
  const std::string waiting = std::exchange(record.waiting_, {});
  const bool ends = record.ended_;
  record.send_body(waiting, ends);
  return true;
}

void SubrequestRecord::on_answer(const calls::Head& head, bool ends) {
  // A body that is larger than one frame or the window follows in pieces.
  const bool fits = head.body.size() <= calls::kWindowBytes;
  calls::Head its = head;
  if (!fits) its.body = {};
  const bool whole = ends && fits;
  calls::append_head(process_.output(), calls::FrameType::kAnswer, id_, its, whole ? calls::kEnd : 0);
  if (whole) {
    process_.subrequests_.erase(id_);
    return;
  }
  if (fits) {
    window_ -= head.body.size();
  } else {
    send_body(head.body, ends);
  }
}

void SubrequestRecord::on_body(std::string_view piece, bool ends) {
  if (!waiting_.empty()) {
    waiting_.append(piece);
    ended_ |= ends;
    return;
  }
  send_body(piece, ends);
}

// What the window allows; the rest waits, and its source with it.
void SubrequestRecord::send_body(std::string_view piece, bool ends) {
  while (!piece.empty() && window_ > 0) {
    const size_t size = std::min<uint64_t>({piece.size(), window_, calls::kPieceBytesMax});
    const bool is_last = ends && size == piece.size();
    calls::append_frame(process_.output(), calls::FrameType::kAnswerBody, id_, piece.substr(0, size),
                        is_last ? calls::kEnd : 0);
    window_ -= size;
    piece.remove_prefix(size);
    if (!is_last) continue;
    process_.subrequests_.erase(id_);
    return;
  }
  if (piece.empty()) {
    if (ends) {
      calls::append_frame(process_.output(), calls::FrameType::kAnswerBody, id_, {}, calls::kEnd);
      process_.subrequests_.erase(id_);
    } else if (subrequest_) {
      subrequest_->resume();
    }
    return;
  }
  waiting_ = piece;
  ended_ = ends;
  if (subrequest_) subrequest_->pause();
}

void SubrequestRecord::on_settled(bool found) {
  calls::append_frame(process_.output(), calls::FrameType::kSettled, id_, {}, found ? calls::kFound : 0);
  process_.subrequests_.erase(id_);
}

void SubrequestRecord::on_failed(const Error& error) {
  process_.refuse_subrequest(id_, error);
  process_.subrequests_.erase(id_);
}

void SubrequestRecord::on_drained() {
  if (undrained_ == 0) return;
  calls::append_number(process_.output(), calls::FrameType::kSubrequestCredit, id_, undrained_);
  given_ += undrained_;
  undrained_ = 0;
}

// --- The end

void Process::on_closed(std::string_view reason) {
  static_cast<void>(reason);
  ended_ = true;
  kill(killed_for_);
  const uint32_t begun = page_->begun_call.load(std::memory_order_relaxed);
  const uint32_t running = page_->running_call.load(std::memory_order_relaxed);
  std::vector<std::unique_ptr<CallRecord>> again;
  std::vector<std::unique_ptr<CallRecord>> failed;
  for (auto& [id, record] : records_) {
    const bool may_be_repeated = id > begun && record->attempts == 0 && record->observer != nullptr;
    (may_be_repeated ? again : failed).push_back(std::move(record));
  }
  records_.clear();
  subrequests_.clear();
  std::ranges::sort(again, {}, [](const auto& record) { return record->id; });
  for (std::unique_ptr<CallRecord>& record : failed) {
    pool_.fail(*record, {reason_of_end(*record, record->id == running)});
    pool_.call_over(std::move(record));
  }
  pool_.process_ended(*this, std::move(again));
}

// What is said to a call that the process's end took with it.
Error Process::reason_of_end(const CallRecord& record, bool is_guilty) const {
  const WorkerLimits& limits = record.worker->limits();
  const std::string& name = record.worker->name();
  if (!is_guilty) {
    return {"workers.restarted", fmt::format("worker {} was ended with its process, for what another call did", name),
            "try again"};
  }
  // Its word is good enough for what a call is told.
  const calls::EndReason reason =
      killed_for_ != calls::EndReason::kUnknown ? killed_for_ : page_->end_reason.load(std::memory_order_relaxed);
  if (reason == calls::EndReason::kCpu) return cpu_error(name, limits);
  if (reason == calls::EndReason::kBreach) {
    return {"workers.crashed", fmt::format("the process of worker {} spoke nonsense and was ended", name), "report it"};
  }
  // V8 ends its process where it gets no memory.
  return memory_error(name, limits);
}

}  // namespace verge::isolates
