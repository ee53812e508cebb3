#include "workers/zygote.h"

#include <array>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <new>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls/control.h"
#include "calls/status_page.h"
#include "workers/isolate_process.h"
#include "workers/sandbox.h"

namespace verge::workers {
namespace {

// The socket, the page (closed once mapped) and /dev/null stay.
constexpr int kIsolateSocket = 3;
constexpr int kWarmUps = 12;

bool send_message(int control, const calls::ControlAnswer& answer, int descriptor) {
  iovec bytes{.iov_base = const_cast<calls::ControlAnswer*>(&answer), .iov_len = sizeof(answer)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> ancillary{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = ancillary.data();
    message.msg_controllen = ancillary.size();
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &descriptor, sizeof(int));
  }
  return sendmsg(control, &message, MSG_NOSIGNAL) >= 0;
}

// V8 marks the memory of its heaps as not to be inherited (MADV_DONTFORK), for programs that fork only to execute
// others. Here the child goes on with the realm.
void let_memory_be_inherited() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uint64_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64, &begin, &end) != 2) continue;
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DOFORK);
  }
}

bool take_idle_priority() {
  const sched_param none{};
  return sched_setscheduler(0, SCHED_IDLE, &none) == 0;
}

}  // namespace

struct Zygote::Request : calls::ControlRequest {};

Zygote::Zygote(Engine& engine, int control, const calls::WriteCounts* counts, bool may_make_threads)
    : engine_(engine),
      counts_(counts),
      may_make_threads_(may_make_threads),
      controls_{control},
      ready_(Realm::create(engine, ready_limits_)) {
  // What V8 compiles for what is used again and again is compiled here once, for all.
  bool is_warm = true;
  for (int i = 0; i < kWarmUps; ++i) is_warm &= ready_->warm_up();
  if (!is_warm) std::fprintf(stderr, "verge-isolate: warming up failed: first calls take longer\n");
  let_memory_be_inherited();
}

Zygote::~Zygote() = default;

int Zygote::run(uint32_t lacks) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  const int children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  while (!controls_.empty()) {
    std::vector<pollfd> waiting = {{.fd = children, .events = POLLIN, .revents = 0}};
    for (const int control : controls_) waiting.push_back({.fd = control, .events = POLLIN, .revents = 0});
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return 1;
    if ((waiting[0].revents & POLLIN) != 0) {
      signalfd_siginfo unread;
      while (read(children, &unread, sizeof(unread)) > 0) {
      }
      collect();
    }
    for (size_t i = 1; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      if (const std::optional<int> status = receive(waiting[i].fd, lacks)) return *status;
    }
  }
  return 0;
}

std::optional<int> Zygote::receive(int control, uint32_t lacks) {
  Request request{};
  iovec bytes{.iov_base = static_cast<calls::ControlRequest*>(&request), .iov_len = sizeof(calls::ControlRequest)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> ancillary{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.data();
  message.msg_controllen = ancillary.size();
  const ssize_t got = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
  if (got < 0 && errno == EINTR) return std::nullopt;
  std::array<int, 2> descriptors = {-1, -1};
  const cmsghdr* head = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (head != nullptr && head->cmsg_type == SCM_RIGHTS) {
    std::memcpy(descriptors.data(), CMSG_DATA(head), std::min(head->cmsg_len - CMSG_LEN(0), sizeof(descriptors)));
  }
  if (got != sizeof(calls::ControlRequest) || descriptors[0] < 0) {
    std::erase(controls_, control);
    close(control);
    return std::nullopt;
  }
  if (request.what == calls::ControlRequest::kFurther) {
    controls_.push_back(descriptors[0]);
    return std::nullopt;
  }
  const std::optional<int> status = fork_process(control, request, descriptors[0], descriptors[1], lacks);
  if (!status) {
    close(descriptors[0]);
    close(descriptors[1]);
  }
  return status;
}

std::optional<int> Zygote::fork_process(int control, const Request& request, int socket, int page, uint32_t lacks) {
  const pid_t child = fork();
  if (child == 0) return be_isolate(request.data_bytes, socket, page, lacks);
  calls::ControlAnswer answer{
      .what = calls::ControlAnswer::kForked, .number = request.number, .process = 0, .status = 0};
  // The child is not collected before this thread does, so the number is still its own.
  const int handle = child > 0 ? static_cast<int>(syscall(SYS_pidfd_open, child, 0)) : -1;
  if (handle >= 0) {
    answer.process = static_cast<uint32_t>(child);
    children_[child] = control;
  } else if (child > 0) {
    kill(child, SIGKILL);
  }
  send_message(control, answer, handle);
  if (handle >= 0) close(handle);
  return std::nullopt;
}

int Zygote::be_isolate(uint64_t data_bytes, int socket, int page, uint32_t lacks) {
  void* memory = mmap(nullptr, calls::kStatusPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
  if (memory == MAP_FAILED) return 1;
  auto& status = *static_cast<calls::StatusPage*>(memory);
  // Errors of V8 have nobody to read them.
  const int nowhere = memfd_create("nowhere", 0);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, standard);
  dup2(socket, kIsolateSocket);
  syscall(SYS_close_range, kIsolateSocket + 1, ~0U, 0);
  signal(SIGPIPE, SIG_IGN);
  // Whatever it does, it ends with the zygote, which ends with the node.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "isolate");
  IsolateProcess process(engine_, kIsolateSocket, status, counts_, std::move(ready_), ready_limits_);
  // The watching thread keeps the usual priority; nothing that is begun after it shall hold up others.
  if (!process.watchdog().start()) lacks |= calls::kLacksTurns;
  if (!take_idle_priority()) lacks |= calls::kLacksIdlePriority;
  process.aside().start();
  if (!process.aside().has_turns()) lacks |= calls::kLacksTurns;
  static Turns compiler;
  static bool compiler_has_turns = false;
  engine_.start_thread([] { compiler_has_turns = compiler.attach(); }, [](bool works) { compiler.give(works); });
  if (!compiler_has_turns) lacks |= calls::kLacksTurns;
  lacks |= give_up_system(data_bytes, may_make_threads_);
  status.lacks.store(lacks);
  // Nothing of this process outlives it: no destructors, which would wait for its threads.
  try {
    _exit(process.run());
  } catch (const std::bad_alloc&) {
    status.end_reason.store(calls::EndReason::kMemory);
  } catch (const std::exception&) {
  }
  _exit(1);
}

void Zygote::collect() {
  int status = 0;
  while (true) {
    const pid_t child = waitpid(-1, &status, WNOHANG);
    if (child <= 0) return;
    const auto its = children_.find(child);
    if (its == children_.end()) continue;
    send_message(its->second,
                 {.what = calls::ControlAnswer::kEnded,
                  .number = 0,
                  .process = static_cast<uint32_t>(child),
                  .status = static_cast<uint32_t>(status)},
                 -1);
    children_.erase(its);
  }
}

}  // namespace verge::workers
