// The checks of the machine: its clock, its kernel's limits, memory, and what workers are locked in with.
#include <charconv>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/doctor.h"
#include "cli/json_lookup.h"

namespace verge::cli {
namespace {

// Neither events nor certificates are dated right by a clock that is further off.
constexpr int64_t kClockErrorMaxUs = 1'000'000;

std::optional<uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

// The line "Name:   123 kB" of /proc/meminfo, in bytes.
uint64_t memory_line(std::string_view name) {
  std::ifstream file("/proc/meminfo");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(name)) continue;
    const size_t digit = line.find_first_of("0123456789");
    uint64_t kilobytes = 0;
    if (digit != std::string::npos) std::from_chars(line.data() + digit, line.data() + line.size(), kilobytes);
    return kilobytes << 10;
  }
  return 0;
}

// How many it may have at most: the node, where it runs here, else who asks.
uint64_t descriptors_of_node(const Patient& patient) {
  const double pid = patient.status ? number_at(*patient.status, {"node", "pid"}) : 0;
  std::ifstream limits(fmt::format("/proc/{:.0f}/limits", pid));
  constexpr std::string_view kName = "Max open files";
  for (std::string line; pid > 0 && std::getline(limits, line);) {
    if (!line.starts_with(kName)) continue;
    uint64_t soft = 0, hard = 0;
    std::istringstream numbers(line.substr(kName.size()));
    if (numbers >> soft >> hard) return hard;
  }
  rlimit own{};
  getrlimit(RLIMIT_NOFILE, &own);
  return own.rlim_max;
}

}  // namespace

std::vector<Finding> check_clock(const Patient& /*patient*/) {
  timex state{};
  const int answer = adjtimex(&state);
  if (answer < 0) return {{.health = Health::kSkipped, .what = "the kernel does not say", .fix = {}, .remedy = {}}};
  if (answer == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
    return {{.health = Health::kWarning,
             .what = "nothing keeps the clock right: events get whatever time it has",
             .fix = "run chrony or systemd-timesyncd (apt install chrony)",
             .remedy = {}}};
  }
  if (state.maxerror > kClockErrorMaxUs) {
    return {{.health = Health::kWarning,
             .what = fmt::format("the clock may be wrong by {} ms", state.maxerror / 1000),
             .fix = "check that its time servers can be reached (chronyc tracking, timedatectl timesync-status)",
             .remedy = {}}};
  }
  return {{.what = fmt::format("kept right to {:.1f} ms", static_cast<double>(state.maxerror) / 1e3),
           .fix = {},
           .remedy = {}}};
}

std::vector<Finding> check_descriptors(const Patient& patient) {
  const uint64_t limit = descriptors_of_node(patient);
  const node::Config& config = patient.config;
  uint64_t wanted = 512;  // files of the spool and the cache, the uplink
  const node::MqttConfig& mqtt = config.mqtt;
  const bool has_mqtt = !mqtt.listen.empty() || !mqtt.tls_listen.empty() || !mqtt.unix_listen.empty() ||
                        !mqtt.ws_listen.empty() || !mqtt.ws_tls_listen.empty();
  if (has_mqtt) wanted += mqtt.connections_max;
  if (!config.http.listen.empty() || !config.http.tls_listen.empty()) wanted += config.http.connections_max;
  for (const node::SiteConfig& site : config.sites) {
    wanted += site.connections_max * site.origins.size() * config.runtime.loop_count();
  }
  if (limit >= wanted) {
    return {{.what = fmt::format("up to {}, {} are configured", limit, wanted), .fix = {}, .remedy = {}}};
  }
  return {
      {.health = Health::kWarning,
       .what = fmt::format("{} descriptors at most, while the configured connections could take {}", limit, wanted),
       .fix = fmt::format("set LimitNOFILE={} in the unit (or ulimit -n), or lower connections_max of mqtt, http and "
                          "the sites; the node keeps to what it has until then",
                          wanted),
       .remedy = {}}};
}

std::vector<Finding> check_kernel(const Patient& /*patient*/) {
  struct Setting {
    const char* name;
    const char* path;
    uint64_t least;
    const char* why;
  };
  static constexpr Setting kSettings[] = {
      {"net.core.somaxconn", "/proc/sys/net/core/somaxconn", 1024, "a rush of connections overflows the listeners"},
      {"net.ipv4.tcp_max_syn_backlog", "/proc/sys/net/ipv4/tcp_max_syn_backlog", 512,
       "a rush of connections waits for repetitions of its first packet"},
      {"kernel.pid_max", "/proc/sys/kernel/pid_max", 4096, "isolate processes cannot be started"},
  };
  std::vector<Finding> findings;
  for (const Setting& setting : kSettings) {
    const std::optional<uint64_t> value = number_in(setting.path);
    if (!value || *value >= setting.least) continue;
    findings.push_back(
        {.health = Health::kWarning,
         .what = fmt::format("{} is {}: {}", setting.name, *value, setting.why),
         .fix = fmt::format("sysctl -w {}={}, and write it to /etc/sysctl.d/verge.conf", setting.name, setting.least),
         .remedy = {}});
  }
  if (findings.empty()) findings.push_back({.what = "its limits are high enough", .fix = {}, .remedy = {}});
  return findings;
}

std::vector<Finding> check_memory(const Patient& patient) {
  const uint64_t available = memory_line("MemAvailable:");
  if (available == 0) return {{.health = Health::kSkipped, .what = "the kernel does not say", .fix = {}, .remedy = {}}};
  const node::Config& config = patient.config;
  const uint64_t cache = config.sites.empty() ? 0 : config.cache.memory_bytes_max;
  const uint64_t wanted = (64ULL << 20) + cache + config.mqtt.away_bytes_max;
  if (available >= wanted || patient.status) {
    return {{.what = fmt::format("{} available", format_size(available >> 20 << 20)), .fix = {}, .remedy = {}}};
  }
  return {{.health = Health::kWarning,
           .what = fmt::format("{} available, while cache and queues could take {}", format_size(available >> 20 << 20),
                               format_size(wanted)),
           .fix = "lower cache.memory_bytes_max and mqtt.away_bytes_max",
           .remedy = {}}};
}

std::vector<Finding> check_sandbox(const Patient& patient) {
  const long landlock = syscall(__NR_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  uint32_t kill_process = SECCOMP_RET_KILL_PROCESS;
  const bool has_seccomp = syscall(__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill_process) == 0;
  if (!has_seccomp) {
    return {{.health = patient.config.workers.empty() ? Health::kWarning : Health::kFailure,
             .what = "the kernel has no seccomp filters: workers will not be run",
             .fix = "use a kernel with CONFIG_SECCOMP_FILTER, or a container that permits seccomp(2)",
             .remedy = {}}};
  }
  if (landlock < 1) {
    return {{.health = Health::kWarning,
             .what = "the kernel has no Landlock: workers are held by seccomp alone",
             .fix = "use Linux 5.13 or later with landlock among its security modules (lsm=landlock,...)",
             .remedy = {}}};
  }
  return {{.what = fmt::format("seccomp, and Landlock version {}", landlock), .fix = {}, .remedy = {}}};
}

}  // namespace verge::cli
