#include "cli/node_process.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "base/text.h"
#include "cli/json_lookup.h"
#include "net/socket.h"

namespace verge::cli {
namespace {

constexpr Duration kReadyPatience = std::chrono::seconds(20);
constexpr Duration kLook = std::chrono::milliseconds(2);
// Below those that the kernel gives to outgoing connections: a client that tries to reach a node that is down could
// otherwise be given the node's own port, be connected to itself, and keep the node from coming back.
constexpr uint64_t kFirstPort = 20'000;
constexpr uint64_t kEndPort = 32'768;
constexpr int kPortAttempts = 100;

std::string free_address(Random& random) {
  for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
    std::string text = fmt::format("127.0.0.1:{}", kFirstPort + random.below(kEndPort - kFirstPort));
    const Result<net::Address> address = net::Address::parse(text);
    if (address && net::Socket::listen(*address, /*shared=*/false)) return text;
  }
  return "127.0.0.1:0";
}

// The first string of an array.
std::string first_of(std::string_view json, std::string_view name) {
  const std::string list = json_at(json, {name}).value_or("");
  const size_t begin = list.find('"');
  if (begin == std::string_view::npos) return {};
  return std::string(list.substr(begin + 1, list.find('"', begin + 1) - begin - 1));
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

NodeProcess::NodeProcess(std::string directory, std::string name, std::string tier, std::string rules)
    : directory_(std::move(directory)), name_(std::move(name)), tier_(std::move(tier)), rules_(std::move(rules)) {}

NodeProcess::~NodeProcess() { kill(); }

Result<void> NodeProcess::write_configuration() const {
  std::ofstream file(path(".toml"));
  Random random(system_seed());
  file << fmt::format("[node]\nname = {}\ntier = {}\ndata_dir = {}\n\n", json_string(name_), json_string(tier_),
                      json_string(path("")));
  for (const char* listener : {"mqtt", "http", "admin"}) {
    file << fmt::format("[{}]\nlisten = \"{}\"\n\n", listener, free_address(random));
  }
  file << rules_;
  file.close();
  if (!file) return fail("demo.directory", fmt::format("cannot write {}", path(".toml")), "choose another --dir");
  return {};
}

Result<void> NodeProcess::start() {
  if (addresses_.mqtt.empty()) {
    if (Result<void> written = write_configuration(); !written) return written;
  }
  std::error_code ignored;
  std::filesystem::remove(path(".ready"), ignored);
  if (Result<void> spawned = spawn(); !spawned) return spawned;
  return wait_until_ready();
}

Result<void> NodeProcess::spawn() {
  std::vector<std::string> words = {"verge", "node", "--config", path(".toml"), "--ready-file", path(".ready")};
  if (!addresses_.mqtt.empty()) {
    for (const std::string& set :
         {"mqtt.listen=" + addresses_.mqtt, "http.listen=" + addresses_.http, "admin.listen=" + addresses_.admin}) {
      words.insert(words.end(), {"--set", set});
    }
  }
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const std::string log = log_path();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return fail("demo.fork", fmt::format("cannot start a process: {}", std::strerror(errno)));
  if (child == 0) {
    // Only what is safe between fork and exec in a program with threads.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    setpgid(0, 0);  // Ctrl-C is for the demonstration, which then ends its nodes in order
    const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (output < 0 || input < 0) _exit(1);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv("/proc/self/exe", arguments.data());
    _exit(127);
  }
  process_ = child;
  return {};
}

Result<void> NodeProcess::wait_until_ready() {
  const auto deadline = std::chrono::steady_clock::now() + kReadyPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    const std::string ready = content_of(path(".ready"));
    if (ready.ends_with("}\n") || ready.ends_with("}")) {
      addresses_ = {first_of(ready, "mqtt"), first_of(ready, "http"), first_of(ready, "admin")};
      if (!addresses_.mqtt.empty() && !addresses_.http.empty() && !addresses_.admin.empty()) return {};
    }
    if (died()) {
      const std::string log = content_of(log_path());
      const size_t last = log.rfind('\n', log.size() < 2 ? 0 : log.size() - 2);
      return fail("demo.node",
                  fmt::format("the {} ended at its start: {}", name_,
                              trim(std::string_view(log).substr(last == std::string::npos ? 0 : last + 1))),
                  "its log is " + log_path());
    }
    std::this_thread::sleep_for(kLook);
  }
  kill();
  return fail("demo.node", fmt::format("the {} was not ready after {}", name_, format_duration(kReadyPatience)),
              "its log is " + log_path());
}

bool NodeProcess::died() {
  if (process_ <= 0 || waitpid(process_, nullptr, WNOHANG) != process_) return false;
  process_ = 0;
  return true;
}

void NodeProcess::kill() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = 0;
}

void NodeProcess::ask_to_end() const {
  if (process_ > 0) ::kill(process_, SIGTERM);
}

void NodeProcess::wait_for_end(Duration patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (running() && !died() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(kLook);
  kill();
}

}  // namespace verge::cli
