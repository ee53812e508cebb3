#include "workers/sandbox.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls/status_page.h"

namespace verge::workers {
namespace {

constexpr uid_t kNobody = 65'534;
// More than the process has; it can open none anyway.
constexpr rlim_t kDescriptorsMax = 16;

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "the list of system calls is known for x86-64 and arm64"
#endif

// In the order of how often they are made: the filter compares from the front.
constexpr std::array kAllowed = {
    // The socket, and waiting for it.
    __NR_read, __NR_write, __NR_writev, __NR_readv, __NR_ppoll, __NR_futex,
    // Memory.
    __NR_madvise, __NR_mprotect, __NR_mmap, __NR_munmap, __NR_mremap, __NR_brk,
    // Giving way, by timers that were made before.
    __NR_sched_yield, __NR_rt_sigreturn, __NR_timer_settime,
    // Clocks and chance.
    __NR_clock_gettime, __NR_clock_nanosleep, __NR_nanosleep, __NR_gettimeofday, __NR_getrandom,
    // What libraries ask about their own process.
    __NR_getpid, __NR_gettid, __NR_sched_getaffinity, __NR_getrusage, __NR_membarrier, __NR_rseq, __NR_rt_sigprocmask,
    __NR_rt_sigaction, __NR_sigaltstack, __NR_restart_syscall, __NR_close,
#if defined(__x86_64__)
    __NR_poll, __NR_time,
#endif
    // The end.
    __NR_exit, __NR_exit_group};

// Nobody makes these by accident: the process is somebody else's.
constexpr std::array kDeadly = {
    __NR_execve,
    __NR_execveat,
    __NR_ptrace,
    __NR_process_vm_readv,
    __NR_process_vm_writev,
    __NR_clone,
    __NR_clone3,
    __NR_socket,
    __NR_socketpair,
    __NR_connect,
    __NR_bind,
    __NR_listen,
    __NR_accept,
    __NR_accept4,
    __NR_kill,
    __NR_tkill,
    __NR_mount,
    __NR_unshare,
    __NR_setns,
    __NR_bpf,
    __NR_perf_event_open,
    __NR_io_uring_setup,
    __NR_userfaultfd,
    __NR_keyctl,
    __NR_add_key,
    __NR_init_module,
    __NR_finit_module,
    __NR_kexec_load,
    __NR_reboot,
#if defined(__x86_64__)
    __NR_fork,
    __NR_vfork,
#endif
};

constexpr uint32_t kNumberAt = offsetof(seccomp_data, nr);
constexpr uint32_t kArchitectureAt = offsetof(seccomp_data, arch);
constexpr uint32_t kFirstArgumentAt = offsetof(seccomp_data, args);

sock_filter load(uint32_t at) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at); }
sock_filter give(uint32_t verdict) { return BPF_STMT(BPF_RET | BPF_K, verdict); }
// Goes on behind the next `skipped` instructions unless what was loaded is `value`.
sock_filter unless(uint32_t value, uint8_t skipped) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped); }

std::vector<sock_filter> system_call_filter(bool may_make_threads) {
  std::vector<sock_filter> filter = {load(kArchitectureAt), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
                                     give(SECCOMP_RET_KILL_PROCESS), load(kNumberAt)};
  for (const long number : kAllowed) {
    filter.push_back(unless(static_cast<uint32_t>(number), 1));
    filter.push_back(give(SECCOMP_RET_ALLOW));
  }
  if (may_make_threads) {
    // Of this process only; the C library goes on to clone(2) where there is no clone3(2), whose flags are in memory.
    filter.push_back(unless(__NR_clone3, 1));
    filter.push_back(give(SECCOMP_RET_ERRNO | ENOSYS));
    filter.push_back(unless(__NR_clone, 4));
    filter.push_back(load(kFirstArgumentAt));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
    filter.push_back(give(SECCOMP_RET_ALLOW));
    filter.push_back(give(SECCOMP_RET_KILL_PROCESS));
  }
  for (const long number : kDeadly) {
    filter.push_back(unless(static_cast<uint32_t>(number), 1));
    filter.push_back(give(SECCOMP_RET_KILL_PROCESS));
  }
  // abort(3) sends itself a signal; nobody else is sent one.
  filter.push_back(unless(__NR_tgkill, 4));
  filter.push_back(load(kFirstArgumentAt));
  filter.push_back(unless(static_cast<uint32_t>(getpid()), 1));
  filter.push_back(give(SECCOMP_RET_ALLOW));
  filter.push_back(give(SECCOMP_RET_KILL_PROCESS));
  filter.push_back(give(SECCOMP_RET_ERRNO | EPERM));
  return filter;
}

void limit(__rlimit_resource resource, rlim_t to) {
  const rlimit both{.rlim_cur = to, .rlim_max = to};
  setrlimit(resource, &both);
}

// Every right over files that this kernel knows is handled, and none is granted.
bool refuse_files() {
  const long version = syscall(__NR_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return false;
  struct {
    uint64_t files;
    uint64_t network;
  } handled{.files = (1U << 13) - 1, .network = 0};
  if (version >= 2) handled.files |= 1U << 13;  // to link or rename to another directory
  if (version >= 3) handled.files |= 1U << 14;  // to truncate
  if (version >= 4) handled.network = 3;        // to bind and connect TCP
  if (version >= 5) handled.files |= 1U << 15;  // ioctl(2) of devices
  const size_t size = version >= 4 ? sizeof(handled) : sizeof(handled.files);
  const int rules = static_cast<int>(syscall(__NR_landlock_create_ruleset, &handled, size, 0));
  if (rules < 0) return false;
  const bool restricted = syscall(__NR_landlock_restrict_self, rules, 0) == 0;
  close(rules);
  return restricted;
}

}  // namespace

Result<uint32_t> give_up_files() {
  if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
                         setresuid(kNobody, kNobody, kNobody) != 0)) {
    return fail("workers.sandbox", fmt::format("the isolate processes cannot become another user: {}", strerror(errno)),
                "run the node as an ordinary user, or with the capabilities SETUID and SETGID");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail("workers.sandbox", fmt::format("privileges cannot be given up: {}", strerror(errno)),
                "use Linux 3.5 or newer");
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return refuse_files() ? 0U : calls::kLacksLandlock;
}

uint32_t give_up_system(uint64_t data_bytes, bool may_make_threads) {
  limit(RLIMIT_DATA, data_bytes);
  limit(RLIMIT_NOFILE, kDescriptorsMax);
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_MSGQUEUE, 0);
  limit(RLIMIT_MEMLOCK, 0);
  std::vector<sock_filter> filter = system_call_filter(may_make_threads);
  const sock_fprog program{.len = static_cast<unsigned short>(filter.size()), .filter = filter.data()};
  const bool filtered = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
  return filtered ? 0U : calls::kLacksSeccomp;
}

}  // namespace verge::workers
