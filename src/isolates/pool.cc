#include "isolates/pool.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/log.h"
#include "isolates/failures.h"

namespace verge::isolates {
namespace {

// How often limits are looked at while calls are under way; wall time every other time.
constexpr Duration kLook = std::chrono::milliseconds(2);
constexpr size_t kLooksAWall = 2;
// Where nothing but WebSockets is under way, whose code runs now and then.
constexpr Duration kLookAtSockets = std::chrono::milliseconds(50);
// A worker that did not start is not tried again for this long.
constexpr Duration kLoadAgainAfter = std::chrono::seconds(1);
// Beside what its workers may hold: what V8 and the start take.
constexpr uint64_t kOwnDataBytes = 96U << 20;
constexpr Duration kRefillAfter = std::chrono::milliseconds(5);
// Of a request: a longer body is not sent before the worker wants it, which may be never, or hands it on as it is.
constexpr size_t kHeldBodyMin = 64U << 10;
constexpr size_t kSpareRecordsMax = 1024;
constexpr size_t kSpareFrameBytesMax = 4096;
// Room for two bytes, which Process::send() writes over.
constexpr uint32_t kAnyWorker = 0x80;

}  // namespace

// --- Call

Call::Call(CallRecord& record) : record_(&record) { record.handle = this; }

Call::~Call() {
  if (record_ == nullptr) return;
  CallRecord& record = *record_;
  record.let_go();
  if (record.process != nullptr) record.process->cancel(record);
}

void Call::taken(size_t bytes) {
  if (record_ == nullptr || record_->process == nullptr || bytes == 0) return;
  record_->answer_window += bytes;
  record_->process->credit(*record_, bytes);
}

void Call::pause_clock(bool paused) {
  if (record_ == nullptr || record_->is_paused == paused) return;
  const MonotonicTime now = std::chrono::steady_clock::now();
  if (paused) {
    record_->paused_since = now;
  } else {
    record_->deadline += now - record_->paused_since;
  }
  record_->is_paused = paused;
}

bool Call::send_message(bool is_text, std::string_view payload) {
  if (record_ == nullptr || record_->process == nullptr) return true;
  return record_->process->send_message(*record_, is_text, payload);
}

void Call::send_close(uint16_t code, std::string_view reason, bool is_clean) {
  if (record_ == nullptr || record_->process == nullptr) return;
  record_->process->send_close(*record_, code, reason, is_clean);
}

void Call::message_taken(size_t bytes) {
  if (record_ == nullptr || record_->process == nullptr || !record_->is_socket) return;
  record_->process->give_socket(*record_, bytes);
}

void Call::end_socket() {
  if (record_ == nullptr || record_->process == nullptr || !record_->is_socket) return;
  record_->process->end_socket(*record_);
}

// --- Pool

Pool::Pool(runtime::Loop& loop, Zygote& zygote, Outbound& outbound, const PoolOptions& options)
    : loop_(loop),
      outbound_(outbound),
      options_(options),
      forks_(loop, zygote),
      looking_(loop),
      refusing_(loop),
      evicting_(loop),
      refilling_(loop),
      clearing_(loop) {}

Pool::~Pool() {
  for (const auto& [worker, instance] : instances_) {
    for (const std::unique_ptr<CallRecord>& record : instance->waiting) record->let_go();
  }
  for (const auto& [record, error] : refused_) record->let_go();
}

std::unique_ptr<CallRecord> Pool::fresh_record() {
  if (spare_.empty()) return std::make_unique<CallRecord>();
  std::unique_ptr<CallRecord> record = std::move(spare_.back());
  spare_.pop_back();
  return record;
}

std::unique_ptr<Call> Pool::begin(const std::shared_ptr<Worker>& worker, const CallRequest& request,
                                  CallObserver& observer) {
  std::unique_ptr<CallRecord> record = fresh_record();
  record->number = (static_cast<uint64_t>(options_.loop + 1) << 40U) | ++last_call_;
  record->worker = worker;
  record->observer = &observer;
  record->begun = loop_.now();
  record->body = request.body;
  record->holds_body = request.body.size() > kHeldBodyMin;
  const size_t first = record->holds_body ? 0 : request.body.size();
  calls::Call call{.worker = kAnyWorker,
                   .kind = request.kind,
                   .method = request.method,
                   .url = request.url,
                   .fields = {},
                   .place = request.place,
                   .cron = request.cron,
                   .time_ms = request.time_ms,
                   .queue = request.queue};
  call.fields = std::move(fields_);
  call.fields.assign(request.fields.begin(), request.fields.end());
  call.messages.assign(request.messages.begin(), request.messages.end());
  call.queued.assign(request.queued.begin(), request.queued.end());
  calls::append_call(record->frame, 0, call, record->holds_body ? calls::kHolds : calls::kEnd, first);
  fields_ = std::move(call.fields);

  auto handle = std::make_unique<Call>(*record);
  Instance& instance = instance_of(worker);
  counters(*worker).calls.add();
  if (instance.load_failure && loop_.now() - instance.failed_at < kLoadAgainAfter) {
    refuse(std::move(record), *instance.load_failure);
  } else if (instance.calls - instance.sockets >= worker->limits().calls_max) {
    refuse(std::move(record),
           {"workers.busy", fmt::format("worker {} has {} calls under way", worker->name(), instance.calls),
            "try again, or give it more processes"});
  } else {
    send(instance, std::move(record));
  }
  return handle;
}

void Pool::run_script(const std::shared_ptr<Worker>& worker, std::function<void(const std::optional<Error>&)> ended) {
  Instance& instance = instance_of(worker);
  instance.script_ended = std::move(ended);
  if (instance.process == nullptr) place(instance);
}

void Pool::load(const std::shared_ptr<Worker>& worker, std::function<void(const std::optional<Error>&)> loaded) {
  Instance& instance = instance_of(worker);
  instance.last_call = loop_.now();
  if (instance.process != nullptr && instance.is_loaded) {
    loop_.post([loaded = std::move(loaded)] { loaded(std::nullopt); });
    return;
  }
  instance.load_observers.push_back(std::move(loaded));
  if (instance.process == nullptr) place(instance);
}

void Pool::load_ended(Instance& instance, const std::optional<Error>& error) {
  for (const auto& loaded : std::exchange(instance.load_observers, {})) loaded(error);
}

Instance& Pool::instance_of(const std::shared_ptr<Worker>& worker) {
  std::unique_ptr<Instance>& place = instances_[worker.get()];
  if (!place) {
    place = std::make_unique<Instance>();
    place->worker = worker;
    place->last_call = loop_.now();
    if (!evicting_.pending()) evicting_.after(options_.idle_max / 4, [this] { evict_idle(loop_.now()); });
  }
  return *place;
}

void Pool::send(Instance& instance, std::unique_ptr<CallRecord> record) {
  instance.last_call = loop_.now();
  ++instance.calls;
  if (instance.process == nullptr) {
    instance.waiting.push_back(std::move(record));
    place(instance);
    return;
  }
  record->deadline = loop_.now() + instance.worker->limits().wall;
  record->awaits_load = record->has_awaited_restart = false;
  ++instance.restarts_left;
  if (!instance.is_loaded) record->await_load();
  instance.process->send(std::move(record), instance.id);
  watch_limits();
}

// --- Processes

void Pool::place(Instance& instance) {
  instance.load_failure.reset();
  instance.is_loaded = false;
  instance.has_said_code = false;
  instance.restarts_left = 0;
  const WorkerCode& code = instance.worker->code();
  // A script's process is its own.
  if (code.kind == calls::ProgramKind::kWorker) {
    for (const std::unique_ptr<Process>& process : processes_) {
      if (process->owner == code.owner && process->takes_workers &&
          process->instances.size() < options_.instances_a_process_max &&
          process->memory_bytes == code.limits.memory_bytes) {
        return put(instance, *process);
      }
    }
  }
  if (std::ranges::find(waiting_, &instance) == waiting_.end()) waiting_.push_back(&instance);
  // Those that stand ready have the usual bound of memory.
  while (!waiting_.empty() && !ready_.empty() && waiting_.front()->worker->limits().memory_bytes == kUsualMemoryBytes) {
    Process* process = ready_.back();
    ready_.pop_back();
    Instance* next = waiting_.front();
    waiting_.pop_front();
    process->owner = next->worker->code().owner;
    process->memory_bytes = kUsualMemoryBytes;
    process->takes_workers = next->worker->code().kind == calls::ProgramKind::kWorker;
    put(*next, *process);
  }
  fork_wanted();
}

void Pool::put(Instance& instance, Process& process) {
  process.load(instance);
  watch_limits();
  for (std::unique_ptr<CallRecord>& record : std::exchange(instance.waiting, {})) {
    if (record->observer == nullptr) {
      --instance.calls;
      continue;
    }
    --instance.calls;  // send() counts it
    send(instance, std::move(record));
  }
}

void Pool::warm_up() { refill(); }

// As many as wait for one; those that shall stand ready are forked later, and not beside the start that took one.
void Pool::fork_wanted() {
  // Of each bound of memory: one that is forked with another is no use to them.
  std::map<uint64_t, size_t> wanted;
  for (const Instance* instance : waiting_) {
    ++wanted[instance->worker->limits().memory_bytes];
  }
  for (const auto& [memory_bytes, count] : wanted) {
    while (forking_of_[memory_bytes] < count && processes_.size() + forking_ < options_.processes_max) {
      fork(memory_bytes);
    }
  }
  if (!waiting_.empty() && processes_.size() + forking_ >= options_.processes_max && forking_ == 0) make_way();
  if (!refilling_.pending()) refilling_.after(kRefillAfter, [this] { refill(); });
}

void Pool::refill() {
  while (ready_.size() + forking_ < options_.ready + waiting_.size() &&
         processes_.size() + forking_ < options_.processes_max) {
    fork(kUsualMemoryBytes);
  }
}

void Pool::fork(uint64_t memory_bytes) {
  ++forking_;
  ++forking_of_[memory_bytes];
  forks_.fork(kOwnDataBytes + 2 * memory_bytes, [this, memory_bytes](Result<ForkedProcess> forked) {
    --forking_;
    --forking_of_[memory_bytes];
    take_forked(std::move(forked), memory_bytes);
  });
}

void Pool::note_lacks(uint32_t lacks) {
  constexpr uint32_t kKnown =
      calls::kLacksLandlock | calls::kLacksSeccomp | calls::kLacksIdlePriority | calls::kLacksTurns;
  if ((lacks & kKnown & ~lacks_) == 0) return;
  lacks_ |= lacks & kKnown;
  std::string words;
  for (const auto& [bit, word] :
       {std::pair(calls::kLacksLandlock, "Landlock"), std::pair(calls::kLacksSeccomp, "seccomp"),
        std::pair(calls::kLacksIdlePriority, "SCHED_IDLE"), std::pair(calls::kLacksTurns, "timers for giving way")}) {
    if ((lacks_ & bit) != 0) words += (words.empty() ? "" : ", ") + std::string(word);
  }
  log_warning("workers", "isolate processes have to do without {}", words);
}

void Pool::take_forked(Result<ForkedProcess> forked, uint64_t memory_bytes) {
  if (!forked) {
    log_warning("workers", "{}", forked.error().line());
    for (Instance* instance : std::exchange(waiting_, {})) load_failed(*instance, forked.error());
    return;
  }
  processes_.push_back(std::make_unique<Process>(*this, std::move(*forked)));
  Process& process = *processes_.back();
  process.memory_bytes = memory_bytes;
  const auto first = std::ranges::find_if(
      waiting_, [&](const Instance* instance) { return instance->worker->limits().memory_bytes == memory_bytes; });
  if (first == waiting_.end()) {
    ready_.push_back(&process);
    if (!waiting_.empty()) fork_wanted();
    return;
  }
  Instance* instance = *first;
  waiting_.erase(first);
  process.owner = instance->worker->code().owner;
  process.takes_workers = instance->worker->code().kind == calls::ProgramKind::kWorker;
  put(*instance, process);
}

// Lets the instance go that was idle the longest, or refuses those that wait.
void Pool::make_way() {
  Instance* oldest = nullptr;
  for (const auto& [worker, instance] : instances_) {
    if (instance->process == nullptr || instance->calls > 0 || instance->process->is_busy()) continue;
    if (oldest == nullptr || instance->last_call < oldest->last_call) oldest = instance.get();
  }
  if (oldest != nullptr) {
    forget(*oldest);
    return;
  }
  for (Instance* instance : std::exchange(waiting_, {})) {
    load_failed(*instance, {"workers.busy", "all isolate processes are busy", "raise workers.processes_max"});
  }
}

void Pool::process_ended(Process& process, std::vector<std::unique_ptr<CallRecord>> again) {
  std::erase(ready_, &process);
  std::vector<std::pair<Instance*, bool>> its;  // and whether it was being started
  for (Instance* instance : process.instances) {
    if (instance == nullptr) continue;
    instance->process = nullptr;
    if (InspectorObserver* inspector = std::exchange(instance->inspector, nullptr)) inspector->on_inspector_end();
    its.emplace_back(instance, !instance->is_loaded);
  }
  const auto place_of = std::ranges::find_if(processes_, [&](const auto& one) { return one.get() == &process; });
  VERGE_ASSERT(place_of != processes_.end());
  gone_.push_back(std::move(*place_of));
  processes_.erase(place_of);
  clearing_.after(Duration(0), [this] { gone_.clear(); });
  for (std::unique_ptr<CallRecord>& record : again) {
    Instance& instance = *instances_.at(record->worker.get());
    record->process = nullptr;
    ++record->attempts;
    --instance.calls;  // send() counts it
    send(instance, std::move(record));
  }
  const bool some_were_loaded = std::ranges::any_of(its, [](const auto& one) { return !one.second; });
  for (const auto& [instance, was_starting] : its) {
    if (auto ended = std::exchange(instance->script_ended, {})) {
      // V8 ends its process where it gets no memory.
      const WorkerLimits& limits = instance->worker->limits();
      const std::string& name = instance->worker->name();
      ended(process.was_killed_for_time() ? cpu_error(name, limits) : memory_error(name, limits));
    } else if (was_starting && instance->process == nullptr &&
               std::ranges::find(waiting_, instance) == waiting_.end()) {
      // What another one did there is not its fault.
      if (some_were_loaded) {
        place(*instance);
        continue;
      }
      load_failed(*instance, {"workers.crashed",
                              fmt::format("the process of worker {} ended while it started", instance->worker->name()),
                              "make its start do less"});
    }
  }
}

void Pool::load_failed(Instance& instance, const Error& error) {
  instance.load_failure = error;
  instance.failed_at = loop_.now();
  load_ended(instance, error);
  if (InspectorObserver* inspector = std::exchange(instance.inspector, nullptr)) inspector->on_inspector_end();
  if (auto ended = std::exchange(instance.script_ended, {})) ended(error);
  for (std::unique_ptr<CallRecord>& record : std::exchange(instance.waiting, {})) {
    --instance.calls;
    refuse(std::move(record), error);
  }
  if (instance.process == nullptr) return;
  Process& process = *instance.process;
  process.fail_instance(instance, error);
  process.unload(instance);
}

// --- Calls

void Pool::refuse(std::unique_ptr<CallRecord> record, Error error) {
  refused_.emplace_back(std::move(record), std::move(error));
  refusing_.after(Duration(0), [this] {
    for (auto& [one, its] : std::exchange(refused_, {})) {
      if (one->observer == nullptr) continue;
      fail(*one, {its});
      tell_ended(*one);
    }
  });
}

void Pool::fail(CallRecord& record, const CallFailure& failure) {
  CallObserver* observer = record.observer;
  WorkerCounters& its = counters(*record.worker);
  const bool is_limited = is_limit(failure.error);
  if (is_limited) its.limited.add();
  // It has its answer, or nobody waits for one; what goes on behind it went over a limit.
  if (observer == nullptr && is_limited) tell_owner(record, failure.error);
  if (observer == nullptr) return;
  its.errors.add();
  its.latency.record(loop_.now() - record.begun);
  record.error = failure.error.code;
  record.let_go();
  // Who wrote the worker is told what it failed with; where it did not run there is nothing to mend in it.
  const bool is_its_own = failure.error.code != "workers.busy" && failure.error.code != "workers.restarted";
  if (is_its_own) tell_owner(record, failure.error);
  observer->on_failed(failure);
}

void Pool::tell_owner(const CallRecord& record, const Error& error) const {
  if (!console_) return;
  const std::string text = owner_text(error);
  console_({*record.worker, calls::ConsoleLevel::kError, text, record.number});
}

void Pool::answer_over(CallRecord& record) {
  counters(*record.worker).latency.record(loop_.now() - record.begun);
  record.let_go();
}

void Pool::end_long_answer(CallRecord& record) {
  record.process->cancel(record);
  fail(record, {answer_error(*record.worker)});
}

void Pool::tell_ended(const CallRecord& record) const {
  const bool is_wanted = wants_ended_ != nullptr && wants_ended_->load(std::memory_order_relaxed);
  if (!is_wanted || record.frame.size() < calls::kFrameHeadBytes) return;
  calls::Call call;
  // Some of the body may not be in it, which is no part of what is read here.
  const std::string_view payload = std::string_view(record.frame).substr(calls::kFrameHeadBytes);
  if (!calls::read_call(payload, call)) return;
  ended_({.worker = *record.worker,
          .call = record.number,
          .kind = call.kind,
          .method = call.method,
          .url = call.url,
          .status = record.status,
          .error = record.error,
          .is_cancelled = record.is_cancelled && record.error.empty(),
          .took = loop_.now() - record.begun});
}

void Pool::call_over(std::unique_ptr<CallRecord> record) {
  tell_ended(*record);
  if (const auto its = instances_.find(record->worker.get()); its != instances_.end()) {
    --its->second->calls;
    if (record->is_socket) --its->second->sockets;
  }
  if (spare_.size() >= kSpareRecordsMax || record->frame.capacity() > kSpareFrameBytesMax) return;
  std::string frame = std::move(record->frame);
  frame.clear();
  *record = {};
  record->frame = std::move(frame);
  spare_.push_back(std::move(record));
}

// --- The inspector

bool Pool::attach_inspector(const Worker& worker, InspectorObserver& observer) {
  const auto its = instances_.find(&worker);
  if (its == instances_.end()) return false;
  Instance& instance = *its->second;
  if (instance.process == nullptr || !instance.is_loaded || instance.inspector != nullptr) return false;
  instance.inspector = &observer;
  return true;
}

void Pool::inspect(const Worker& worker, std::string_view message) {
  const auto its = instances_.find(&worker);
  if (its == instances_.end() || its->second->process == nullptr || its->second->inspector == nullptr) return;
  its->second->process->inspect(*its->second, message);
}

void Pool::detach_inspector(const Worker& worker) {
  const auto its = instances_.find(&worker);
  if (its == instances_.end() || std::exchange(its->second->inspector, nullptr) == nullptr) return;
  if (its->second->process != nullptr) its->second->process->end_inspection(*its->second);
  watch_limits();
}

// --- Limits

void Pool::watch_limits() {
  if (looking_.pending() && !looks_slowly_) return;
  looks_slowly_ = false;
  looking_.after(kLook, [this] { look(); });
}

void Pool::socket_begun(CallRecord& record) {
  record.is_socket = record.was_socket = true;
  ++instances_.at(record.worker.get())->sockets;
}

void Pool::socket_over(CallRecord& record) {
  if (!std::exchange(record.is_socket, false)) return;
  record.deadline = loop_.now() + record.worker->limits().wall;
  if (const auto its = instances_.find(record.worker.get()); its != instances_.end()) --its->second->sockets;
}

void Pool::look() {
  const MonotonicTime now = loop_.now();
  const bool at_wall = ++looks_ % kLooksAWall == 0;
  bool any_busy = false;
  bool any_sockets = false;
  // By index: what is told may begin calls, which may begin processes.
  for (size_t i = 0; i < processes_.size(); ++i) {
    Process& process = *processes_[i];
    if (!process.is_busy() || process.is_inspected()) continue;
    (process.has_only_sockets() ? any_sockets : any_busy) = true;
    process.supervise();
    if (at_wall) process.end_at_wall(now);
  }
  if (any_busy) {
    watch_limits();
  } else if (any_sockets && !looking_.pending()) {
    looks_slowly_ = true;
    looking_.after(kLookAtSockets, [this] { look(); });
  }
}

void Pool::evict_idle(MonotonicTime now) {
  std::vector<Instance*> idle;
  for (const auto& [worker, instance] : instances_) {
    const bool is_script = worker->code().kind != calls::ProgramKind::kWorker;
    if (!is_script && instance->calls == 0 && instance->inspector == nullptr &&
        now - instance->last_call >= options_.idle_max) {
      idle.push_back(instance.get());
    }
  }
  for (Instance* instance : idle) forget(*instance);
  // Those whose workers did not start.
  std::erase_if(processes_, [this](const auto& process) {
    return !process->instances.empty() && !process->has_instances() && !process->is_busy() &&
           std::ranges::find(ready_, process.get()) == ready_.end();
  });
  if (!instances_.empty()) evicting_.after(options_.idle_max / 4, [this] { evict_idle(loop_.now()); });
}

void Pool::forget(Instance& instance) {
  Process* process = instance.process;
  if (InspectorObserver* inspector = std::exchange(instance.inspector, nullptr)) inspector->on_inspector_end();
  if (process != nullptr) {
    process->unload(instance);
    if (!process->has_instances()) {
      // It ends when its socket closes.
      const auto its = std::ranges::find_if(processes_, [&](const auto& one) { return one.get() == process; });
      processes_.erase(its);
    }
  }
  std::erase(waiting_, &instance);
  instances_.erase(instance.worker.get());
  if (!waiting_.empty()) fork_wanted();
}

}  // namespace verge::isolates
