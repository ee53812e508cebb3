// verge node, verge check: a configuration becomes a running node, or a list of what is wrong with it.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/ready_file.h"
#include "net/handed_over.h"
#include "node/config.h"
#include "node/credentials.h"
#include "node/node.h"
#include "node/prepared_config.h"
#include "storage/file_system.h"

namespace verge::cli {
namespace {

struct NodeOptions {
  std::string config;
  std::vector<std::string> overrides;
  std::string ready_file;
  bool print_config = false;
  bool json = false;
};

std::expected<node::PreparedConfig, node::ConfigProblems> prepare(const NodeOptions& options) {
  const auto file = options.config.empty() ? std::nullopt : std::optional<std::filesystem::path>(options.config);
  // What is printed holds no credentials, and may be printed where they are not.
  return node::prepare_config(node::read_config(file, options.overrides), !options.print_config);
}

int print_problems(const node::ConfigProblems& problems) {
  for (const node::ConfigProblem& problem : problems) fmt::print(stderr, "{}\n", problem.line());
  return kUsage;
}

int print_failure(const Error& error) {
  fmt::print(stderr, "verge: {}\n", error.line());
  return kFailure;
}

// sd_notify(3): a datagram to the socket that the service manager names.
void notify_service_manager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path == nullptr || std::strlen(path) >= sizeof(address.sun_path)) return;
  std::strcpy(address.sun_path, path);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  sendto(descriptor, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
  close(descriptor);
}

sigset_t handled_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, signal);
  return signals;
}

void log_warnings(const node::PreparedConfig& prepared) {
  for (const node::ConfigProblem& warning : prepared.warnings) log_warning("rules", "{}", warning.line());
}

// What a rule calls may have been deployed, which who reads a configuration does not know.
void drop_warnings_of_deployed(node::PreparedConfig& prepared, const node::Node& node) {
  for (const rules::RuleSource& rule : prepared.config.rules) {
    for (const rules::ActionSource& action : rule.actions) {
      const auto* call = std::get_if<rules::CallSource>(&action);
      if (call == nullptr || node.workers_json(call->worker).empty()) continue;
      const std::string said = fmt::format("there is no worker {} in the configuration", call->worker);
      std::erase_if(prepared.warnings, [&](const node::ConfigProblem& warning) { return warning.error.what == said; });
    }
  }
}

void reload(node::Node& node, const NodeOptions& options) {
  notify_service_manager("RELOADING=1");
  if (auto fresh = prepare(options)) {
    drop_warnings_of_deployed(*fresh, node);
    log_warnings(*fresh);
    node.reload(fresh->config, fresh->rules, fresh->credentials);
  } else {
    for (const node::ConfigProblem& problem : fresh.error()) log_error("node", "not reloaded: {}", problem.line());
  }
  notify_service_manager("READY=1");
}

// A second signal to end does so at once.
void end_on_next_signal(const sigset_t& signals) {
  std::thread([signals] {
    int signal = 0;
    do {
      sigwait(&signals, &signal);
    } while (signal == SIGHUP || signal == SIGUSR1);
    std::_Exit(128 + signal);
  }).detach();
}

int run_node(const NodeOptions& options) {
  auto prepared = prepare(options);
  if (!prepared) return print_problems(prepared.error());
  if (options.print_config) {
    fmt::print("{}", node::print_config(prepared->config, node::Descriptions::kAsComments));
    return kSuccess;
  }
  configure_log(prepared->config.log.level, prepared->config.log.format);
  log_warnings(*prepared);
  // Whoever reads the log, or a pipe that it writes to, may go before the node does.
  std::signal(SIGPIPE, SIG_IGN);
  // Blocked in all threads, taken one by one below.
  const sigset_t signals = handled_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  if (const Result<void> good = prepare_ready_file(options.ready_file); !good) {
    print_failure(good.error());
    return kUsage;
  }
  Result<net::HandedOver> handed_over = net::HandedOver::take();
  if (!handed_over) return print_failure(handed_over.error());
  Result<std::unique_ptr<node::Node>> node =
      node::Node::create(prepared->config, prepared->rules, prepared->credentials, std::move(*handed_over));
  if (!node) return print_failure(node.error());
  prepared->credentials.spool_keys = {};  // the node has them, and forgets those that are dropped
  (*node)->start();
  if (const Result<void> written = write_ready_file(options.ready_file, (*node)->addresses_json()); !written) {
    return print_failure(written.error());
  }
  notify_service_manager("READY=1");
  while (true) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == SIGHUP) {
      reload(**node, options);
      continue;
    }
    if (signal == SIGUSR1) {
      (*node)->reopen_logs();
      continue;
    }
    log_info("node", "stopping; a second signal ends at once");
    notify_service_manager("STOPPING=1");
    end_on_next_signal(signals);
    (*node)->drain();
    node->reset();
    log_info("node", "stopped");
    return kSuccess;
  }
}

std::string json_of(const node::ConfigProblems& problems) {
  std::string out;
  for (const node::ConfigProblem& problem : problems) {
    if (!out.empty()) out.push_back(',');
    fmt::format_to(std::back_inserter(out), R"({{"place":{},"code":{},"what":{},"fix":{}}})",
                   json_string(problem.place), json_string(problem.error.code), json_string(problem.error.what),
                   json_string(problem.error.fix));
  }
  return out;
}

int run_check(const NodeOptions& options) {
  const auto prepared = prepare(options);
  if (!options.json) {
    if (!prepared) return print_problems(prepared.error());
    for (const node::ConfigProblem& warning : prepared->warnings) fmt::print(stderr, "warning: {}\n", warning.line());
    fmt::print("{} is good: {} rules\n", options.config, prepared->config.rules.size());
    return kSuccess;
  }
  fmt::print("{{\"file\":{},\"good\":{},\"problems\":[{}],\"warnings\":[{}]}}\n", json_string(options.config),
             prepared.has_value(), prepared ? "" : json_of(prepared.error()),
             prepared ? json_of(prepared->warnings) : "");
  return prepared ? kSuccess : kUsage;
}

}  // namespace

void add_node(Command& app, Outcome& outcome) {
  Command* command = app.add_command("node", "Run a node: gateway, rules, spool and uplink");
  command->group(kGroupNode);
  const auto options = std::make_shared<NodeOptions>();
  command->add_option("--config", options->config, "TOML file; without one the defaults listen on loopback")
      ->type_name("FILE");
  command->add_option("--set", options->overrides, "Override one key, as in mqtt.listen=127.0.0.1:0; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--ready-file", options->ready_file, "Write the bound addresses there as JSON once ready")
      ->type_name("FILE");
  command->add_flag("--print-config", options->print_config, "Print the configuration in effect, as TOML, and end");
  set_examples(
      *command,
      "  verge node\n"
      "  verge node --config edge.toml --set log.level=debug\n\n"
      "Sockets that systemd hands over (LISTEN_FDS) are used for the addresses that they listen on.\n"
      "SIGHUP reloads rules, sites, log settings, certificates, tokens and keys; SIGUSR1 opens the access log again; "
      "SIGTERM drains and ends, a second one ends at once.\n");
  command->callback([&outcome, options] { outcome.run = [options] { return run_node(*options); }; });
}

void add_check(Command& app, Outcome& outcome) {
  Command* command = app.add_command("check", "Say what is wrong with a configuration file, without starting");
  command->group(kGroupNode);
  const auto options = std::make_shared<NodeOptions>();
  command->add_option("file", options->config, "The file")->required()->type_name("FILE");
  command->add_option("--set", options->overrides, "Override one key, as in mqtt.listen=127.0.0.1:0; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--json", options->json, "One JSON object on stdout");
  set_examples(*command, "  verge check edge.toml\n");
  command->callback([&outcome, options] { outcome.run = [options] { return run_check(*options); }; });
}

}  // namespace verge::cli
