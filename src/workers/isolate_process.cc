#include "workers/isolate_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace verge::workers {
namespace {

constexpr size_t kInboxBytes = 256U << 10;
constexpr size_t kFormerInboxesMax = 4;
// Smaller bodies are copied out of the inbox, so that it can be used again.
constexpr size_t kSharedBodyMin = 4096;
// Code that ran shorter is measured on the monotonic clock, which costs no system call.
constexpr uint64_t kShortNs = 200'000;
// Answers wait for others at most about this long.
constexpr int64_t kSendDelayNs = 500'000;
// Code that took so many times its processor time waited for the processor, mostly.
constexpr uint64_t kStarved = 5;
constexpr int kRestAfterMs = 1000;
constexpr uint64_t kMillisecondNs = 1'000'000;

uint64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

IsolateProcess::IsolateProcess(Engine& engine, int socket, calls::StatusPage& page, const calls::WriteCounts* counts,
                               std::unique_ptr<Realm> ready, const Limits& ready_limits)
    : engine_(engine),
      socket_(socket),
      page_(page),
      counts_(counts),
      outbox_(socket),
      watchdog_(page.entries, [&page] { page.end_reason.store(calls::EndReason::kCpu); }),
      ready_(std::move(ready)),
      ready_limits_(ready_limits),
      inbox_(std::make_shared<Inbox>(kInboxBytes)) {
  const timeval most{.tv_sec = kRestAfterMs / 1000, .tv_usec = 0};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
}

IsolateProcess::~IsolateProcess() = default;

int64_t IsolateProcess::monotonic_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

int IsolateProcess::run() {
  if (ready_) ready_->warm_up();
  while ((!put_off_.empty() || wait()) && receive()) {
    run_timers();
    if (!send()) return 0;
  }
  return broken_ ? 1 : 0;
}

bool IsolateProcess::send() { return outbox_.send() && !is_over_; }

void IsolateProcess::note_condemned() { is_over_ = was_starved_ && workers_.size() == 1; }

void IsolateProcess::rest() {
  for (const auto& [id, worker] : workers_) worker->rest();
  former_.clear();
  rested_ = true;
}

// Until there is input or a timer is due; where no timer is set and the workers did not rest yet, receive() waits.
bool IsolateProcess::wait() {
  while (true) {
    if (!replace_realms()) return false;
    const int64_t deadline = next_deadline_ns();
    const bool has_timer = deadline != INT64_MAX;
    if (!has_timer && !rested_ && !aside_.has_jobs()) return true;
    int64_t wait_ns = has_timer ? std::max<int64_t>(deadline - monotonic_ns(), 0) : INT64_MAX;
    if (!rested_) wait_ns = std::min<int64_t>(wait_ns, kRestAfterMs * static_cast<int64_t>(kMillisecondNs));
    const timespec time{.tv_sec = wait_ns / 1'000'000'000, .tv_nsec = wait_ns % 1'000'000'000};
    std::array waited = {pollfd{.fd = socket_, .events = POLLIN, .revents = 0},
                         pollfd{.fd = aside_.descriptor(), .events = POLLIN, .revents = 0}};
    const nfds_t count = aside_.has_jobs() ? 2 : 1;
    const int ready = ppoll(waited.data(), count, wait_ns == INT64_MAX ? nullptr : &time, nullptr);
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0 && waited[1].revents != 0) {
      take_computed();
      if (!send()) return false;
    }
    if (ready > 0 && waited[0].revents != 0) return true;
    if (ready > 0) continue;
    if (has_timer && monotonic_ns() >= deadline) {
      run_timers();
      if (!send()) return false;
    } else if (ready == 0 && !rested_) {
      rest();
    }
  }
}

// INT64_MAX: none is set.
int64_t IsolateProcess::next_deadline_ns() const {
  int64_t deadline = INT64_MAX;
  for (const auto& [id, worker] : workers_) {
    if (const std::optional<int64_t> its = worker->next_deadline_ns()) deadline = std::min(deadline, *its);
  }
  return deadline;
}

// While there is nothing else to do.
bool IsolateProcess::replace_realms() {
  for (const auto& [id, worker] : workers_) {
    if (!worker->wants_realm()) continue;
    std::array waited = {pollfd{.fd = socket_, .events = POLLIN, .revents = 0},
                         pollfd{.fd = aside_.descriptor(), .events = POLLIN, .revents = 0}};
    if (poll(waited.data(), waited.size(), 0) > 0 || next_deadline_ns() <= monotonic_ns()) return true;
    rested_ = false;
    worker->replace_realm();
    if (!send()) return false;
  }
  return true;
}

void IsolateProcess::take_computed() {
  cpu_known_ns_ = thread_cpu_ns();
  for (const std::shared_ptr<AsideJob>& job : aside_.take_done()) {
    const auto worker = workers_.find(job->worker);
    if (worker != workers_.end()) worker->second->computed(*job);
  }
}

bool IsolateProcess::receive() {
  make_room();
  ssize_t got = 0;
  if (put_off_.empty()) {
    got = read(socket_, inbox_->memory.get() + end_, inbox_->size - end_);
  } else {
    got = static_cast<ssize_t>(put_off_.copy(inbox_->memory.get() + end_, inbox_->size - end_));
    put_off_.erase(0, static_cast<size_t>(got));
  }
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) return rest(), true;
  if (got <= 0) return false;
  end_ += static_cast<size_t>(got);
  rested_ = false;
  last_send_ns_ = monotonic_ns();
  cpu_known_ns_ = thread_cpu_ns();
  while (true) {
    const calls::FrameReader::Step step = calls::FrameReader::next({inbox_->memory.get() + begin_, end_ - begin_});
    if (step.progress == calls::FrameReader::Progress::kNeedMore) return true;
    taken_ = begin_ + step.consumed;
    if (step.progress == calls::FrameReader::Progress::kBreach || !take(step.frame)) {
      page_.end_reason.store(calls::EndReason::kBreach);
      broken_ = true;
      return false;
    }
    begin_ = taken_;
    if (is_over_) return true;  // what was not taken is for another process
    send_if_slow();
  }
}

std::shared_ptr<IsolateProcess::Inbox> IsolateProcess::spare_inbox(size_t bytes) {
  const auto free = std::ranges::find_if(
      former_, [bytes](const std::shared_ptr<Inbox>& one) { return one.use_count() == 1 && one->size == bytes; });
  if (free == former_.end()) return std::make_shared<Inbox>(bytes);
  std::shared_ptr<Inbox> found = std::move(*free);
  former_.erase(free);
  return found;
}

// Makes the inbox large enough for what is to come. One that the realm still holds parts of is left to it.
void IsolateProcess::make_room() {
  const std::string_view rest(inbox_->memory.get() + begin_, end_ - begin_);
  const size_t wanted = std::max(kInboxBytes, calls::FrameReader::size_of_first(rest).value_or(0));
  const bool fits = inbox_->size == wanted;
  if (inbox_.use_count() > 1 || !fits) {
    std::shared_ptr<Inbox> fresh = spare_inbox(wanted);
    rest.copy(fresh->memory.get(), rest.size());
    std::swap(inbox_, fresh);
    if (fresh->size == kInboxBytes && former_.size() < kFormerInboxesMax) former_.push_back(std::move(fresh));
  } else if (begin_ > 0) {
    std::memmove(inbox_->memory.get(), rest.data(), rest.size());
  }
  end_ = rest.size();
  begin_ = taken_ = 0;
}

// Code that runs long does not hold back the answers of the calls before it.
void IsolateProcess::send_if_slow() {
  if (outbox_.empty()) return;
  const int64_t now = code_began_ns_;
  if (!outbox_.has_much() && now - last_send_ns_ < kSendDelayNs) return;
  last_send_ns_ = now;
  broken_ |= !outbox_.send();
}

void IsolateProcess::run_timers() {
  if (workers_.empty()) return;
  const int64_t now = monotonic_ns();
  for (const auto& [id, worker] : workers_) {
    const std::optional<int64_t> deadline = worker->next_deadline_ns();
    if (deadline && *deadline <= now) worker->run_timers();
  }
}

// --- Code

void IsolateProcess::begin_code(uint32_t worker, uint32_t call, uint64_t allowed_ns, std::function<void()>& expired) {
  page_.running_worker.store(worker, std::memory_order_relaxed);
  page_.running_call.store(call, std::memory_order_relaxed);
  code_began_ns_ = monotonic_ns();
  watchdog_.enter(allowed_ns, expired);
}

uint64_t IsolateProcess::end_code() {
  watchdog_.leave();
  page_.running_call.store(0, std::memory_order_relaxed);
  const int64_t now = monotonic_ns();
  auto used = static_cast<uint64_t>(now - code_began_ns_);
  code_began_ns_ = now;
  if (used < kShortNs) {
    cpu_known_ns_ += used;
    return used;
  }
  // It may have waited for the processor most of the time.
  const uint64_t cpu = thread_cpu_ns();
  const uint64_t passed = used;
  used = std::min(used, cpu > cpu_known_ns_ ? cpu - cpu_known_ns_ : 0);
  was_starved_ = passed / kStarved > used;
  cpu_known_ns_ = cpu;
  return used;
}

uint32_t IsolateProcess::add_subrequest(WorkerHost& worker) {
  subrequests_[++last_subrequest_] = &worker;
  return last_subrequest_;
}

// --- Frames

Chunk IsolateProcess::chunk_of(std::string_view bytes) const {
  if (bytes.size() < kSharedBodyMin) return Chunk::of(std::string(bytes));
  return {bytes, inbox_};
}

bool IsolateProcess::take(const calls::Frame& frame) {
  switch (frame.type) {
    case calls::FrameType::kLoad:
      return take_load(frame);
    case calls::FrameType::kUnload:
      return workers_.erase(frame.id) == 1;
    case calls::FrameType::kCall:
      return take_call(frame);
    case calls::FrameType::kCancel:
    case calls::FrameType::kBody:
    case calls::FrameType::kCredit:
      return take_of_call(frame);
    case calls::FrameType::kInspect:
      return take_inspect(frame);
    case calls::FrameType::kSocketMessage:
    case calls::FrameType::kSocketClose:
    case calls::FrameType::kSocketRoom:
      return take_of_socket(frame);
    case calls::FrameType::kAnswer:
    case calls::FrameType::kAnswerBody:
    case calls::FrameType::kAnswerFailed:
    case calls::FrameType::kSettled:
    case calls::FrameType::kSubrequestCredit:
      return take_of_subrequest(frame);
    default:
      return false;
  }
}

bool IsolateProcess::take_load(const calls::Frame& frame) {
  const std::optional<calls::Load> load = calls::read_load(frame.payload);
  if (!load || workers_.contains(frame.id)) return false;
  WorkerHost& worker = *(workers_[frame.id] = std::make_unique<WorkerHost>(*this, frame.id, *load));
  const Limits limits = worker.program().realm_limits();
  const bool fits = limits.heap_bytes_max == ready_limits_.heap_bytes_max &&
                    limits.external_bytes_max == ready_limits_.external_bytes_max;
  worker.load(fits ? std::move(ready_) : nullptr);
  // A call may end the process, and the node is to know that it was not the start.
  return outbox_.send();
}

bool IsolateProcess::take_call(const calls::Frame& frame) {
  if (!calls::read_call(frame.payload, call_)) return false;
  const auto worker = workers_.find(call_.worker);
  if (worker == workers_.end()) return false;
  page_.begun_call.store(frame.id, std::memory_order_relaxed);
  WorkerHost& host = *worker->second;
  Chunk body;
  if (!call_.body.empty()) body = chunk_of(call_.body);
  call_.body = body.bytes();
  host.begin(frame.id, call_, frame.flags, body.keeper());
  if (host.has_call(frame.id)) calls_[frame.id] = &host;  // most are over
  return true;
}

bool IsolateProcess::take_of_call(const calls::Frame& frame) {
  const auto call = calls_.find(frame.id);
  if (call == calls_.end()) return true;
  WorkerHost& worker = *call->second;
  if (frame.type == calls::FrameType::kCancel) {
    worker.abandon(frame.id);
    return true;
  }
  if (frame.type == calls::FrameType::kBody) {
    worker.take_body(frame.id, chunk_of(frame.payload), frame.ends());
    return true;
  }
  const std::optional<uint64_t> bytes = calls::read_number(frame.payload);
  if (bytes) worker.add_credit(frame.id, *bytes);
  return bytes.has_value();
}

bool IsolateProcess::take_inspect(const calls::Frame& frame) {
  const auto worker = workers_.find(frame.id);
  if (worker == workers_.end()) return false;
  if ((frame.flags & calls::kDetaches) != 0) {
    worker->second->end_inspection();
  } else {
    worker->second->inspect(frame.payload);
  }
  return true;
}

bool IsolateProcess::wait_while_standing() {
  // Behind the frame that is being taken; what was put off before came later.
  put_off_.insert(0, inbox_->memory.get() + taken_, end_ - taken_);
  put_off_seen_ = 0;
  end_ = taken_;
  while (true) {
    const calls::FrameReader::Step step = calls::FrameReader::next(std::string_view(put_off_).substr(put_off_seen_));
    if (step.progress == calls::FrameReader::Progress::kBreach) return false;
    if (step.progress == calls::FrameReader::Progress::kFrame) {
      if (step.frame.type != calls::FrameType::kInspect) {
        put_off_seen_ += step.consumed;
        continue;
      }
      const std::string payload(step.frame.payload);
      const calls::Frame frame{step.frame.type, step.frame.flags, step.frame.id, payload};
      put_off_.erase(put_off_seen_, step.consumed);
      return take_inspect(frame) && outbox_.send();
    }
    if (!outbox_.send()) return false;
    std::array<char, 65536> bytes;
    const ssize_t got = read(socket_, bytes.data(), bytes.size());
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) return false;
    if (got > 0) put_off_.append(bytes.data(), static_cast<size_t>(got));
  }
}

bool IsolateProcess::take_of_socket(const calls::Frame& frame) {
  const auto call = calls_.find(frame.id);
  if (call == calls_.end()) return true;
  WorkerHost& worker = *call->second;
  if (frame.type == calls::FrameType::kSocketMessage) {
    worker.take_message(frame.id, (frame.flags & calls::kText) != 0, chunk_of(frame.payload));
    return true;
  }
  if (frame.type == calls::FrameType::kSocketClose) {
    const std::optional<calls::SocketClose> close = calls::read_socket_close(frame.payload);
    if (close) worker.take_close(frame.id, *close, (frame.flags & calls::kClean) != 0);
    return close.has_value();
  }
  const std::optional<uint64_t> bytes = calls::read_number(frame.payload);
  if (bytes) worker.add_socket_room(frame.id, *bytes);
  return bytes.has_value();
}

bool IsolateProcess::take_of_subrequest(const calls::Frame& frame) {
  const auto found = subrequests_.find(frame.id);
  if (found == subrequests_.end()) return true;
  WorkerHost& worker = *found->second;
  switch (frame.type) {
    case calls::FrameType::kAnswer: {
      if (!calls::read_head(frame.payload, head_)) return false;
      const Chunk body = chunk_of(head_.body);
      head_.body = body.bytes();
      worker.answer(frame.id, head_, frame.ends(), body.keeper());
      return true;
    }
    case calls::FrameType::kAnswerBody:
      worker.take_answer_body(frame.id, chunk_of(frame.payload), frame.ends());
      return true;
    case calls::FrameType::kAnswerFailed: {
      const std::optional<calls::Failure> failure = calls::read_failure(frame.payload);
      if (failure) worker.fail_subrequest(frame.id, *failure);
      return failure.has_value();
    }
    case calls::FrameType::kSettled:
      worker.settle_subrequest(frame.id, (frame.flags & calls::kFound) != 0);
      return true;
    default: {
      const std::optional<uint64_t> bytes = calls::read_number(frame.payload);
      if (bytes) worker.add_subrequest_credit(frame.id, *bytes);
      return bytes.has_value();
    }
  }
}

}  // namespace verge::workers
