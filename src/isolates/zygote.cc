#include "isolates/zygote.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <tuple>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls/control.h"

namespace verge::isolates {
namespace {

constexpr const char* kProgramName = "verge-isolate";
// Of one loop: fewer than make the line full, whose messages have two descriptors each.
constexpr size_t kUnderWayMax = 32;

// Sends `bytes` with descriptors beside them.
template <class Message>
bool send_with(int socket, const Message& bytes, std::span<const int> descriptors) {
  iovec piece{.iov_base = const_cast<Message*>(&bytes), .iov_len = sizeof(bytes)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> ancillary{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.data();
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
  return sendmsg(socket, &message, MSG_NOSIGNAL) == sizeof(bytes);
}

Error lost() {
  return {"workers.program", "the isolate program has ended", "the log may say why; it is started again"};
}

struct Pair {
  net::Socket ours;
  net::Socket theirs;
};

Result<Pair> make_pair(int type) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail("workers.program", fmt::format("no socket pair can be made: {}", std::strerror(errno)),
                "raise the limit of open files");
  }
  Pair pair{net::Socket(ends[0]), net::Socket(ends[1])};
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return pair;
}

Result<std::pair<net::Socket, std::shared_ptr<calls::StatusPage>>> make_page() {
  net::Socket file(memfd_create("isolate", MFD_CLOEXEC));
  void* memory = MAP_FAILED;
  if (file && ftruncate(file.descriptor(), calls::kStatusPageBytes) == 0) {
    memory = mmap(nullptr, calls::kStatusPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor(), 0);
  }
  if (memory == MAP_FAILED) {
    return fail("workers.program", fmt::format("no shared page can be made: {}", std::strerror(errno)),
                "raise the limit of open files");
  }
  std::shared_ptr<calls::StatusPage> page(static_cast<calls::StatusPage*>(memory), [](calls::StatusPage* mapped) {
    munmap(static_cast<void*>(mapped), calls::kStatusPageBytes);
  });
  return std::pair{std::move(file), std::move(page)};
}

// The counts, and the file that others map them from: none where it cannot be kept from being written to by them.
std::pair<net::Socket, std::shared_ptr<calls::WriteCounts>> make_counts() {
  net::Socket file(memfd_create("counts", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  void* memory = MAP_FAILED;
  if (file && ftruncate(file.descriptor(), sizeof(calls::WriteCounts)) == 0) {
    memory = mmap(nullptr, sizeof(calls::WriteCounts), PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor(), 0);
  }
  if (memory == MAP_FAILED) return {net::Socket(), std::make_shared<calls::WriteCounts>()};
  std::shared_ptr<calls::WriteCounts> counts(static_cast<calls::WriteCounts*>(memory), [](calls::WriteCounts* mapped) {
    munmap(static_cast<void*>(mapped), sizeof(calls::WriteCounts));
  });
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  if (fcntl(file.descriptor(), F_ADD_SEALS, kSeals) != 0) file = {};
  return {std::move(file), std::move(counts)};
}

}  // namespace

Result<std::string> find_isolate_program() {
  std::error_code problem;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", problem).parent_path();
  for (const std::filesystem::path& place : {own / kProgramName, own / "../libexec/verge" / kProgramName}) {
    if (access(place.c_str(), X_OK) == 0) return place.string();
  }
  return fail("workers.program", fmt::format("there is no {} beside the program, in {}", kProgramName, own.string()),
              "build it, or install Verge whole (./dev install)");
}

// --- Zygote

Zygote::Zygote(std::string program, bool is_inspected) : program_(std::move(program)), is_inspected_(is_inspected) {
  std::tie(counts_file_, write_counts_) = make_counts();
}

Result<net::Socket> Zygote::connect() {
  const std::lock_guard lock(mutex_);
  Result<Pair> pair = make_pair(SOCK_SEQPACKET);
  if (!pair) return std::unexpected(pair.error());
  if (!control_ || !send_line(pair->theirs.descriptor())) {
    if (const Result<void> started = start(); !started) return std::unexpected(started.error());
    if (!send_line(pair->theirs.descriptor())) return std::unexpected(lost());
  }
  return std::move(pair->ours);
}

Zygote::~Zygote() { stop(); }

void Zygote::stop() {
  if (process_ <= 0) return;
  control_ = {};
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = 0;
}

bool Zygote::send_line(int line) const {
  const calls::ControlRequest request{.what = calls::ControlRequest::kFurther, .number = 0, .data_bytes = 0};
  return send_with(control_.descriptor(), request, std::array{line});
}

Result<void> Zygote::start() {
  Result<Pair> pair = make_pair(SOCK_SEQPACKET);
  if (!pair) return std::unexpected(pair.error());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // Where a descriptor has the number of the other's place, the first would close it.
  const net::Socket control(fcntl(pair->theirs.descriptor(), F_DUPFD_CLOEXEC, calls::kWriteCountsDescriptor + 1));
  const net::Socket counts(fcntl(counts_file_.descriptor(), F_DUPFD_CLOEXEC, calls::kWriteCountsDescriptor + 1));
  posix_spawn_file_actions_adddup2(&actions, control.descriptor(), calls::kControlDescriptor);
  if (counts) posix_spawn_file_actions_adddup2(&actions, counts.descriptor(), calls::kWriteCountsDescriptor);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  // A group of its own: what a terminal sends to the node's is for the node to answer.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::string name = kProgramName;
  std::string inspected = "--inspected";
  std::array<char*, 3> arguments = {name.data(), is_inspected_ ? inspected.data() : nullptr, nullptr};
  // Nothing of the node's environment is for owners' code.
  std::string zone = "TZ=UTC", language = "LANG=C.UTF-8";
  std::array<char*, 3> environment = {zone.data(), language.data(), nullptr};
  stop();
  const int problem =
      posix_spawn(&process_, program_.c_str(), &actions, &attributes, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (problem != 0) {
    process_ = 0;
    return fail("workers.program", fmt::format("{} cannot be started: {}", program_, std::strerror(problem)),
                "check that the file may be executed");
  }
  control_ = std::move(pair->ours);
  return {};
}

// --- Forks

Forks::~Forks() {
  if (line_) loop_.unwatch(line_.descriptor(), *this);
}

Result<void> Forks::connect() {
  Result<net::Socket> line = zygote_.connect();
  if (!line) return std::unexpected(line.error());
  line_ = std::move(*line);
  loop_.watch(line_.descriptor(), EPOLLIN, *this);
  return {};
}

void Forks::fork(uint64_t data_bytes, Forked forked) {
  wanted_.push_back({data_bytes, std::move(forked)});
  ask_for_next();
}

void Forks::ask_for_next() {
  while (!wanted_.empty() && waiting_.size() < kUnderWayMax) {
    Wanted next = std::move(wanted_.front());
    wanted_.pop_front();
    ask_for(next.data_bytes, std::move(next.forked));
  }
}

void Forks::ask_for(uint64_t data_bytes, Forked forked) {
  Result<void> ready;
  if (!line_) ready = connect();
  if (!ready) return fail_later(std::move(forked), ready.error());
  Result<Pair> pair = make_pair(SOCK_STREAM);
  if (!pair) return fail_later(std::move(forked), pair.error());
  auto page = make_page();
  if (!page) return fail_later(std::move(forked), page.error());
  constexpr int kBufferBytes = 1 << 20;  // room for several bodies' windows
  for (const int end : {pair->ours.descriptor(), pair->theirs.descriptor()}) {
    setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kBufferBytes, sizeof(kBufferBytes));
  }
  const calls::ControlRequest request{
      .what = calls::ControlRequest::kFork, .number = ++last_number_, .data_bytes = data_bytes};
  if (!send_with(line_.descriptor(), request, std::array{pair->theirs.descriptor(), page->first.descriptor()})) {
    lose(lost());
    return fail_later(std::move(forked), lost());
  }
  ForkedProcess process{.socket = std::move(pair->ours), .handle = {}, .id = 0, .page = std::move(page->second)};
  waiting_.emplace(request.number, Waiting{std::move(forked), std::move(process)});
}

void Forks::on_ready(uint32_t events) {
  static_cast<void>(events);
  calls::ControlAnswer answer{};
  iovec piece{.iov_base = &answer, .iov_len = sizeof(answer)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> ancillary{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = ancillary.data();
  message.msg_controllen = ancillary.size();
  const ssize_t got = recvmsg(line_.descriptor(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got != sizeof(answer)) return lose(lost());
  net::Socket handle;
  if (const cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr && head->cmsg_type == SCM_RIGHTS) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(head), sizeof(int));
    handle = net::Socket(descriptor);
  }
  if (answer.what == calls::ControlAnswer::kEnded) return;
  const auto found = waiting_.find(answer.number);
  if (found == waiting_.end()) return;
  Waiting waiting = std::move(found->second);
  waiting_.erase(found);
  ask_for_next();
  if (answer.process == 0) {
    waiting.forked(fail("workers.program", "no isolate process can be started",
                        "raise the number of processes that the node may have, or give it more memory"));
    return;
  }
  waiting.process.id = static_cast<int>(answer.process);
  waiting.process.handle = std::move(handle);
  waiting.forked(std::move(waiting.process));
}

void Forks::lose(const Error& error) {
  if (line_) loop_.unwatch(line_.descriptor(), *this);
  line_ = {};
  auto waiting = std::exchange(waiting_, {});
  for (auto& [number, one] : waiting) fail_later(std::move(one.forked), error);
}

void Forks::fail_later(Forked forked, Error error) {
  failed_.emplace_back(std::move(forked), std::move(error));
  retry_.after(Duration(0), [this] {
    for (auto& [one, its] : std::exchange(failed_, {})) one(std::unexpected(its));
    ask_for_next();
  });
}

}  // namespace verge::isolates
