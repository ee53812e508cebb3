// Each attempt to get out runs in a process of its own that has entered the sandbox, as an isolate process does, and
// must fail: refused by the kernel, or ended for it.
#include "workers/sandbox.h"

#include <ctime>
#include <functional>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workers/turns.h"

namespace verge::workers {
namespace {

constexpr int kFailed = 10;
constexpr int kEscaped = 11;
constexpr int kNoSandbox = 12;
constexpr uint64_t kDataBytes = 256U << 20;

// The wait status of a process that entered the sandbox and ran `attempt`; exits with kEscaped where it gives true.
int status_of(const std::function<bool()>& attempt, bool may_make_threads = false) {
  const pid_t child = fork();
  if (child == 0) {
    if (!give_up_files()) _exit(kNoSandbox);
    give_up_system(kDataBytes, may_make_threads);
    _exit(attempt() ? kEscaped : kFailed);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

bool was_refused(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == kFailed; }
bool was_ended(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS; }

void expect_contained(const char* what, const std::function<bool()>& attempt) {
  // Under no sandbox the attempt works, or the test says nothing.
  const pid_t child = fork();
  if (child == 0) _exit(attempt() ? kEscaped : kFailed);
  int free_status = 0;
  waitpid(child, &free_status, 0);
  EXPECT_TRUE(WIFEXITED(free_status) && WEXITSTATUS(free_status) == kEscaped) << what << ": works nowhere";
  const int status = status_of(attempt);
  EXPECT_TRUE(was_refused(status) || was_ended(status)) << what << ": wait status " << status;
}

TEST(Sandbox, NoFileCanBeOpened) {
  expect_contained("read", [] { return open("/etc/passwd", O_RDONLY) >= 0; });
  expect_contained("list", [] { return open("/", O_RDONLY | O_DIRECTORY) >= 0; });
  expect_contained("write", [] { return open("/tmp", O_TMPFILE | O_RDWR, 0600) >= 0; });
  expect_contained("stat", [] { return access("/etc/passwd", F_OK) == 0; });
}

TEST(Sandbox, ProcIsClosed) {
  expect_contained("own", [] { return open("/proc/self/maps", O_RDONLY) >= 0; });
  expect_contained("memory", [] { return open("/proc/self/mem", O_RDWR) >= 0; });
}

TEST(Sandbox, NoSocketCanBeMade) {
  expect_contained("tcp", [] { return socket(AF_INET, SOCK_STREAM, 0) >= 0; });
  expect_contained("udp", [] { return socket(AF_INET, SOCK_DGRAM, 0) >= 0; });
  expect_contained("unix", [] { return socket(AF_UNIX, SOCK_STREAM, 0) >= 0; });
  expect_contained("pair", [] {
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
  });
}

TEST(Sandbox, NoProcessCanBeStarted) {
  expect_contained("fork", [] {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    return child > 0;
  });
  expect_contained("execute", [] {
    execl("/bin/sh", "sh", "-c", "exit 11", nullptr);
    return false;
  });
}

TEST(Sandbox, OtherProcessesAreOutOfReach) {
  const pid_t parent = getpid();
  expect_contained("signal", [parent] { return kill(parent, 0) == 0; });
  expect_contained("trace", [] { return ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; });
  expect_contained("memory", [] {
    char from = 1, to = 0;
    const iovec local{.iov_base = &to, .iov_len = 1}, remote{.iov_base = &from, .iov_len = 1};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
  });
}

TEST(Sandbox, LimitsCannotBeRaised) {
  expect_contained("raise", [] {
    const rlimit wanted{.rlim_cur = 1024, .rlim_max = 1024};
    return setrlimit(RLIMIT_NOFILE, &wanted) == 0;
  });
}

TEST(Sandbox, MemoryEndsAtItsBound) {
  const auto take = [](size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
  };
  expect_contained("memory", [take] { return take(2 * kDataBytes); });
  // What is only reserved does not count; what is in bounds can be had.
  const int reserved = status_of([] {
    return mmap(nullptr, 64 * kDataBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
  });
  EXPECT_EQ(WEXITSTATUS(reserved), kEscaped);
  const int within = status_of([take] { return take(kDataBytes / 4); });
  EXPECT_EQ(WEXITSTATUS(within), kEscaped);
}

TEST(Sandbox, ThreadsAreForThoseThatAreInspected) {
  const auto make_thread = [] {
    bool ran = false;
    std::thread([&ran] { ran = true; }).join();
    return ran;
  };
  EXPECT_TRUE(was_ended(status_of(make_thread)));
  EXPECT_EQ(WEXITSTATUS(status_of(make_thread, /*may_make_threads=*/true)), kEscaped);
  // And no process beside.
  const int forked = status_of(
      [] {
        const pid_t child = fork();
        if (child == 0) _exit(0);
        return child > 0;
      },
      /*may_make_threads=*/true);
  EXPECT_TRUE(was_refused(forked) || was_ended(forked)) << forked;
}

TEST(Sandbox, WhoComputesInItGivesWay) {
  const pid_t child = fork();
  if (child == 0) {
    Turns turns;
    if (!turns.attach() || !give_up_files()) _exit(kNoSandbox);
    give_up_system(kDataBytes, false);
    turns.give(true);
    const timespec long_while{.tv_sec = 20, .tv_nsec = 0};
    const bool is_interrupted = ppoll(nullptr, 0, &long_while, nullptr) == -1;
    const std::clock_t begun = std::clock();
    while (Turns::given() < 5 && std::clock() - begun < 20 * CLOCKS_PER_SEC) {
    }
    _exit(is_interrupted && Turns::given() >= 5 ? 0 : kFailed);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "wait status " << status;
}

TEST(Sandbox, ItsOwnWorkGoesOn) {
  const int status = status_of([] {
    char byte = 0;
    const uint64_t random = getpid() > 0 ? 1 : 0;
    return syscall(SYS_getrandom, &byte, 1, 0) == 1 && random == 1 && write(STDERR_FILENO, "", 0) == 0;
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kEscaped) << status;
}

}  // namespace
}  // namespace verge::workers
