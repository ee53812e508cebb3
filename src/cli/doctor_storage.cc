// The checks of a node's disk: its directory, the space and the speed of the disk, and who can read its secrets.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/doctor.h"
#include "cli/json_lookup.h"
#include "cli/node_user.h"
#include "storage/data_directory.h"

namespace verge::cli {
namespace {

constexpr int kDurableWrites = 16;
constexpr Duration kSlowWrite = std::chrono::milliseconds(20);
constexpr uint64_t kSpaceLeast = 64ULL << 20;
// What nodes make in their data directory; what else is there (lost+found, a backup) is not theirs.
constexpr std::array<std::string_view, 10> kOfNodes = {"lock",  "identity", "spool",  "kept", "sessions",
                                                       "rules", "workers",  "queues", "kv",   "cache"};
// Of files and directories below it, in that order: the rest is not looked at.
constexpr size_t kLookedAtMax = 20'000;

Error system_error(const std::string& action, const std::string& path) {
  return Error{"storage.permission", fmt::format("{} {}: {}", action, path, std::strerror(errno)),
               "run it as the user that the node runs as, or as root"};
}

// Of what was looked at, and of nothing that somebody put in its place since; no link is followed.
Result<void> set_mode(const std::string& path, const struct stat& seen, mode_t mode) {
  const int descriptor = open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) return std::unexpected(system_error("cannot change the mode of", path));
  struct stat now{};
  const bool is_it = fstat(descriptor, &now) == 0 && now.st_dev == seen.st_dev && now.st_ino == seen.st_ino;
  const bool is_done = is_it && chmod(fmt::format("/proc/self/fd/{}", descriptor).c_str(), mode) == 0;
  const int problem = errno;
  close(descriptor);
  if (is_done) return {};
  errno = is_it ? problem : ELOOP;
  return std::unexpected(system_error("cannot change the mode of", path));
}

bool is_link(const std::string& path) {
  struct stat file{};
  return lstat(path.c_str(), &file) == 0 && S_ISLNK(file.st_mode);
}

// The directory, or what will hold it.
std::string existing_part_of(std::filesystem::path path) {
  path = std::filesystem::absolute(path).lexically_normal();
  std::error_code ignored;
  while (!std::filesystem::exists(path, ignored) && path.has_relative_path()) path = path.parent_path();
  return path.string();
}

uint64_t bytes_below(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(directory, error);
       !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    struct stat file{};
    if (lstat(it->path().c_str(), &file) == 0) bytes += static_cast<uint64_t>(file.st_blocks) * 512;
  }
  return bytes;
}

// A file whose name is gone at once, so that it goes with its descriptor whatever happens.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& directory) {
    std::string path = directory + "/doctor.XXXXXX";
    descriptor_ = mkstemp(path.data());
    if (descriptor_ >= 0) unlink(path.c_str());
  }
  ~ScratchFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }

  // 4 KiB at the end, until they are on the disk; false when they are not.
  bool write_durably() {
    static constexpr std::array<char, 4096> kPage{};
    return write(descriptor_, kPage.data(), kPage.size()) == static_cast<ssize_t>(kPage.size()) &&
           fdatasync(descriptor_) == 0;
  }

 private:
  int descriptor_ = -1;
};

std::string rounded(uint64_t bytes) {
  const int shift = bytes >= (10ULL << 30) ? 30 : 20;
  return format_size(bytes >> shift << shift);
}

double milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

// Else it is somebody else's business who may write there: /tmp has a sticky bit, a home directory other files.
bool is_a_node_s_own(const std::string& path, mode_t mode) {
  if ((mode & S_ISVTX) != 0) return false;
  std::error_code error;
  return std::filesystem::is_empty(path, error) || std::filesystem::exists(path + "/spool", error);
}

struct Entry {
  std::string path;
  uid_t owner = 0;
};

struct Below {
  std::vector<Entry> out_of_reach;  // of the node's user
  std::optional<Entry> foreign;     // the first that does not belong to whom the directory belongs to
  size_t looked_at = 0;
};

// Symbolic links are passed over: the node does not follow them there.
void look_at_entry(const std::filesystem::path& path, uid_t owner, const NodeUser& user, Below& below) {
  struct stat file{};
  if (lstat(path.c_str(), &file) != 0 || S_ISLNK(file.st_mode)) return;
  ++below.looked_at;
  if (file.st_uid != owner && !below.foreign) below.foreign = Entry{.path = path, .owner = file.st_uid};
  if (!user.may(path, S_ISDIR(file.st_mode) ? R_OK | W_OK | X_OK : R_OK | W_OK)) {
    below.out_of_reach.push_back({.path = path, .owner = file.st_uid});
  }
}

Below look_below(const std::string& directory, uid_t owner, const NodeUser& user) {
  Below below;
  for (const std::string_view name : kOfNodes) {
    const std::filesystem::path top = std::filesystem::path(directory) / name;
    look_at_entry(top, owner, user, below);
    std::error_code error;
    if (!std::filesystem::is_directory(std::filesystem::symlink_status(top, error))) continue;
    using std::filesystem::recursive_directory_iterator;
    recursive_directory_iterator it(top, std::filesystem::directory_options::skip_permission_denied, error);
    for (; !error && it != recursive_directory_iterator() && below.looked_at < kLookedAtMax; it.increment(error)) {
      look_at_entry(it->path(), owner, user, below);
    }
  }
  return below;
}

// The directory itself, where `directory` is a link: chown -R does not go through one.
std::string to_give_to(const std::string& user, const std::string& group, const std::string& directory) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(directory, error);
  return fmt::format("chown -R {}:{} {}", user, group, error ? directory : real.string());
}

// What a node that ran once as another user leaves behind. `status` is the directory's.
std::optional<Finding> look_at_owners(const std::string& directory, const struct stat& status, const NodeUser& user) {
  const Below below = look_below(directory, status.st_uid, user);
  const std::string fix = to_give_to(name_of_user(status.st_uid), name_of_group(status.st_gid), directory);
  if (!below.out_of_reach.empty()) {
    const auto foreign =
        std::ranges::find_if(below.out_of_reach, [&](const Entry& entry) { return entry.owner != status.st_uid; });
    const bool is_foreign = foreign != below.out_of_reach.end();
    const Entry& first = is_foreign ? *foreign : below.out_of_reach.front();
    const size_t others = below.out_of_reach.size() - 1;
    return Finding{.health = Health::kFailure,
                   .what = fmt::format("{} belongs to {}, and may not be read and written by {}{}", first.path,
                                       name_of_user(first.owner), user.name(),
                                       others > 0 ? fmt::format("; nor may {} more below {}", others, directory) : ""),
                   .fix = user.id() != status.st_uid
                              ? fmt::format("run it as {}, whose directory it is", name_of_user(status.st_uid))
                          : is_foreign ? fix
                                       : fmt::format("chmod -R u+rwX {}", directory),
                   .remedy = {}};
  }
  // Root may do anything. That the node runs as root is not known.
  if (user.id() == 0 && below.foreign) {
    const std::string name = name_of_user(below.foreign->owner);
    return Finding{.health = Health::kWarning,
                   .what = fmt::format("{} belongs to {}, and {} to {}", directory, name_of_user(status.st_uid),
                                       below.foreign->path, name),
                   .fix = fmt::format("{}, or to {}, if that is whom the node runs as", fix, name),
                   .remedy = {}};
  }
  return std::nullopt;
}

// Whether process `pid` is the node that answers. A node in a container has another number there.
bool is_who_answers(pid_t pid, const Patient& patient) {
  if (!patient.status) return false;
  const double answering = number_at(*patient.status, {"node", "pid"});
  if (answering == static_cast<double>(pid)) return true;
  constexpr std::string_view kNumbers = "NSpid:";
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(kNumbers)) continue;
    std::istringstream numbers(line.substr(kNumbers.size()));
    for (double number = 0; numbers >> number;) {
      if (number == answering) return true;
    }
  }
  return false;
}

std::string with_command(pid_t pid) {
  std::string command;
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", pid)), command);
  return command.empty() ? fmt::format("process {}", pid) : fmt::format("process {} ({})", pid, command);
}

Finding held_by(pid_t holder, const std::string& directory, const Patient& patient) {
  const std::string held = fmt::format("{} is held by {}", directory, with_command(holder));
  if (is_who_answers(holder, patient)) {
    return {.what = fmt::format("{}, the node that answers at {}", held, patient.admin), .fix = {}, .remedy = {}};
  }
  if (patient.admin.empty()) {
    return {.health = Health::kWarning,
            .what = held + "; whether that is this node cannot be asked without an admin listener",
            .fix = "name one with admin.listen or --admin HOST:PORT",
            .remedy = {}};
  }
  if (!patient.unasked_fix.empty()) {
    return {.health = Health::kWarning,
            .what = fmt::format("{}; whether that is this node could not be asked: {}", held, patient.stranger),
            .fix = patient.unasked_fix,
            .remedy = {}};
  }
  const std::string_view who = patient.status ? "which is not the node that answers" : "and this node does not answer";
  return {.health = Health::kFailure,
          .what = fmt::format("{}, {} at {}", held, who, patient.admin),
          .fix =
              "stop that process or name another directory with node.data_dir; if it is this node, name its admin "
              "listener with --admin HOST:PORT",
          .remedy = {}};
}

Finding not_looked_at(const std::string& path, const NodeUser& user) {
  return {.health = Health::kSkipped,
          .what = fmt::format("{} is not for {}, who asks; the data directory belongs to {}", path, user.name(),
                              user.owner()),
          .fix = fmt::format("run this as {}, or as root", user.owner()),
          .remedy = {}};
}

Finding not_reached(const std::string& path, const std::string& barrier, const NodeUser& user) {
  return {.health = Health::kFailure,
          .what = fmt::format("{} cannot be reached by {}, whom the node runs as: {} lets it not through", path,
                              user.name(), barrier),
          .fix = fmt::format("chmod o+x {}, or move what is in it", barrier),
          .remedy = {}};
}

// Whether the node's user may do that without the rights that everybody has. Whom nobody knows may lose them.
bool keeps(const NodeUser& user, const std::string& path, int access) {
  return !user.is_unknown() && user.may_without_others(path, access);
}

// What is wrong with the directory itself, which is there.
std::optional<Finding> look_at_directory(const std::string& path, const struct stat& status, const NodeUser& user) {
  if (!S_ISDIR(status.st_mode)) {
    return Finding{.health = Health::kFailure,
                   .what = fmt::format("{} is no directory", path),
                   .fix = "name another with node.data_dir",
                   .remedy = {}};
  }
  if (user.is_bystander() && !user.may(path, R_OK | W_OK | X_OK)) return not_looked_at(path, user);
  if (const std::string barrier = user.barrier_to(path); !barrier.empty()) return not_reached(path, barrier, user);
  if (!user.may(path, R_OK | W_OK | X_OK)) {
    return Finding{.health = Health::kFailure,
                   .what = fmt::format("{} may not be written by {}", path, user.name()),
                   .fix = fmt::format("run it as the node's user, or give it the directory: chown -R USER {}", path),
                   .remedy = {}};
  }
  if ((status.st_mode & S_IWOTH) == 0) return std::nullopt;
  if (!is_a_node_s_own(path, status.st_mode)) {
    return Finding{
        .health = Health::kFailure,
        .what = fmt::format("{} may be written by every user of this machine, and is not a node's alone", path),
        .fix = "name a directory of the node's own with node.data_dir",
        .remedy = {}};
  }
  const std::string what = fmt::format("{} may be written by every user of this machine", path);
  if (!keeps(user, path, R_OK | W_OK | X_OK)) {
    return Finding{.health = Health::kFailure,
                   .what = what,
                   .fix = fmt::format("give it to the node's user alone: chown USER {0} && chmod o-w {0}", path),
                   .remedy = {}};
  }
  return Finding{
      .health = Health::kFailure, .what = what, .fix = fmt::format("chmod o-w {}", path), .remedy = [path, status] {
        return set_mode(path, status, status.st_mode & 07775);
      }};
}

Finding look_at_missing_directory(const std::string& path) {
  const std::string parent = existing_part_of(path);
  std::error_code unknown;
  if (access(parent.c_str(), W_OK | X_OK) == 0 && std::filesystem::is_directory(parent, unknown)) {
    return {.what = fmt::format("{} is not there yet; the node makes it at its first start", path),
            .fix = {},
            .remedy = {}};
  }
  return {.health = Health::kFailure,
          .what = fmt::format("{} is not there, and cannot be made in {}", path, parent),
          .fix = fmt::format("make it for the node's user: install -d -m 750 -o USER {}", path),
          .remedy = {}};
}

void look_at_secret(const node::SecretSource& source, const NodeUser& user, std::vector<Finding>& findings) {
  struct stat file{};
  if (source.kind != node::SecretSource::Kind::kFile || stat(source.name.c_str(), &file) != 0) return;
  if (user.is_bystander() && !user.may(source.name, R_OK)) {
    findings.push_back(not_looked_at(source.name, user));
  } else if (const std::string barrier = user.barrier_to(source.name); !barrier.empty()) {
    findings.push_back(not_reached(source.name, barrier, user));
  } else if (!user.may(source.name, R_OK)) {
    findings.push_back(
        {.health = Health::kFailure,
         .what = fmt::format("{} may not be read by {}, whom the node runs as", source.name, user.name()),
         .fix = fmt::format("chown {} {}", user.name(), source.name),
         .remedy = {}});
  }
  if ((file.st_mode & S_IRWXO) == 0) return;
  Finding found{.health = Health::kFailure,
                .what = fmt::format("{} can be read by every user of this machine", source.name),
                .fix = fmt::format("chmod o= {}", source.name),
                .remedy = [path = source.name, file] { return set_mode(path, file, file.st_mode & 07770); }};
  if (!keeps(user, source.name, R_OK)) {
    found.fix = fmt::format("give it to the node's user alone: chown {0} {1} && chmod o= {1}",
                            user.is_unknown() ? "USER" : user.owner(), source.name);
    found.remedy = {};
  }
  if (is_link(source.name)) found.remedy = {};  // where it leads is somebody else's
  findings.push_back(std::move(found));
}

}  // namespace

std::string data_directory_of(const Patient& patient) { return patient.config.node.data_dir; }

std::vector<Finding> check_data_directory(const Patient& patient) {
  const std::string path = data_directory_of(patient);
  if (const Result<void> place = storage::DataDirectory::check_place(path); !place) {
    return {{.health = Health::kFailure, .what = place.error().what, .fix = place.error().fix, .remedy = {}}};
  }
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return {look_at_missing_directory(path)};
  const NodeUser user = NodeUser::of(path);
  if (std::optional<Finding> found = look_at_directory(path, status, user)) return {std::move(*found)};
  std::vector<Finding> findings;
  if (std::optional<Finding> found = look_at_owners(path, status, user)) findings.push_back(std::move(*found));
  if (const std::optional<pid_t> holder = storage::DataDirectory::holder_of(path)) {
    findings.push_back(held_by(*holder, path, patient));
  }
  if (findings.empty()) findings.push_back({.what = path, .fix = {}, .remedy = {}});
  return findings;
}

std::vector<Finding> check_disk_space(const Patient& patient) {
  const std::string path = existing_part_of(data_directory_of(patient));
  struct statvfs disk{};
  if (statvfs(path.c_str(), &disk) != 0) {
    return {{.health = Health::kSkipped, .what = fmt::format("{} cannot be looked at", path), .fix = {}, .remedy = {}}};
  }
  const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  const uint64_t wanted = patient.config.spool.bytes_max + patient.config.cache.disk_bytes_max;
  const uint64_t used = bytes_below(data_directory_of(patient));
  const std::string free_text = rounded(free);
  if (disk.f_files > 0 && disk.f_favail < 1024) {
    return {{.health = Health::kFailure,
             .what = fmt::format("{} files may yet be made in {}", static_cast<uint64_t>(disk.f_favail), path),
             .fix = "remove small files, or use a disk with more inodes",
             .remedy = {}}};
  }
  if (free < kSpaceLeast) {
    return {{.health = Health::kFailure,
             .what = fmt::format("{} free in {}: new durable work is refused soon", free_text, path),
             .fix = "make space, or move node.data_dir to a larger disk",
             .remedy = {}}};
  }
  if (free + used < wanted) {
    return {{.health = Health::kWarning,
             .what = fmt::format("{} free in {}, while spool and cache may grow to {}", free_text, path,
                                 format_size(wanted)),
             .fix = fmt::format("lower spool.bytes_max (and cache.disk_bytes_max) to {} together, or use a larger disk",
                                rounded((free + used) / 10 * 9)),
             .remedy = {}}};
  }
  return {{.what = fmt::format("{} free in {}", free_text, path), .fix = {}, .remedy = {}}};
}

std::vector<Finding> check_disk_speed(const Patient& patient) {
  const std::string path = existing_part_of(data_directory_of(patient));
  std::error_code unknown;
  if (!std::filesystem::is_directory(path, unknown)) {
    return {{.health = Health::kSkipped, .what = fmt::format("{} is no directory", path), .fix = {}, .remedy = {}}};
  }
  ScratchFile file(path);
  if (!file.is_open()) {
    return {{.health = Health::kSkipped, .what = fmt::format("{} may not be written", path), .fix = {}, .remedy = {}}};
  }
  std::vector<Duration> took;
  for (int i = 0; i < kDurableWrites; ++i) {
    const MonotonicTime begun = std::chrono::steady_clock::now();
    if (!file.write_durably()) {
      return {{.health = Health::kFailure,
               .what = fmt::format("a durable write in {} fails: {}", path, std::strerror(errno)),
               .fix = "check the disk: dmesg, smartctl -a",
               .remedy = {}}};
    }
    took.push_back(std::chrono::steady_clock::now() - begun);
  }
  std::ranges::sort(took);
  const std::string what = fmt::format("a durable write of 4 KiB takes {:.2f} ms, at most {:.2f} ms of {}",
                                       milliseconds(took[took.size() / 2]), milliseconds(took.back()), kDurableWrites);
  if (took[took.size() / 2] <= kSlowWrite) return {{.what = what, .fix = {}, .remedy = {}}};
  return {
      {.health = Health::kWarning,
       .what = what,
       .fix = "acknowledgements of stored events wait so long: use a disk with power-loss protection, not an SD card",
       .remedy = {}}};
}

std::vector<Finding> check_secrets(const Patient& patient) {
  const node::Config& config = patient.config;
  std::vector<node::SecretSource> sources;
  for (const auto* some : {&config.http.uplink_tokens, &config.admin.tokens, &config.workers_limits.deploy_tokens,
                           &config.spool.decryption_keys}) {
    sources.insert(sources.end(), some->begin(), some->end());
  }
  for (const auto& source :
       {config.parent.token, config.spool.encryption_key, config.store.token, config.traces.token}) {
    if (source) sources.push_back(*source);
  }
  for (const node::BridgeConfig& bridge : config.mqtt.bridges) {
    if (bridge.password) sources.push_back(*bridge.password);
    if (!bridge.key.empty()) sources.push_back({.name = bridge.key});
  }
  for (const node::WorkerConfig& worker : config.workers) {
    for (const auto& [name, source] : worker.secrets) sources.push_back(source);
  }
  for (const std::string& file :
       {config.tls.key, config.parent.key, config.store.credentials, config.mqtt.password_file}) {
    if (!file.empty()) sources.push_back({.name = file});
  }
  for (const node::SiteConfig& site : config.sites) {
    if (!site.tls.key.empty()) sources.push_back({.name = site.tls.key});
    for (const node::SigningKeyConfig& key : site.signing_keys) sources.push_back({.name = key.file});
  }
  std::vector<Finding> findings;
  const NodeUser user = NodeUser::of(data_directory_of(patient));
  for (const node::SecretSource& source : sources) look_at_secret(source, user, findings);
  if (findings.empty()) {
    findings.push_back({.what = sources.empty() ? "none are configured" : fmt::format("{} looked at", sources.size()),
                        .fix = {},
                        .remedy = {}});
  }
  return findings;
}

}  // namespace verge::cli
