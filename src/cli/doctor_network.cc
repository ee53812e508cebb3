// The checks of what is around a node: its listeners, names, the parent, certificates, and whether it delivers.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/doctor.h"
#include "cli/json_lookup.h"
#include "cli/node_user.h"
#include "net/address.h"
#include "net/local_end.h"
#include "net/resolve.h"
#include "net/socket.h"
#include "net/socket_file.h"
#include "net/tls_context.h"
#include "node/config_address.h"
#include "storage/data_directory.h"

namespace verge::cli {
namespace {

constexpr auto kNetworkPatience = std::chrono::seconds(5);
constexpr auto kReachedWithin = std::chrono::seconds(5);  // by a node that has just begun
constexpr std::chrono::days kRenewBefore(21);

using Resolved = Result<std::vector<net::Address>>;

// Gives up on a resolver that says nothing; its thread is left to end by itself.
Resolved resolve_in_time(const std::string& name) {
  auto promise = std::make_shared<std::promise<Resolved>>();
  std::future<Resolved> answer = promise->get_future();
  std::thread([promise, name] { promise->set_value(net::resolve_all(name)); }).detach();
  if (answer.wait_for(kNetworkPatience) == std::future_status::ready) return answer.get();
  return fail("net.resolve", fmt::format("nothing answers for {} within {}", name, format_duration(kNetworkPatience)),
              "check /etc/resolv.conf and the name server that it names");
}

std::string host_and_port(const std::string& url) {
  const Result<node::ParentAddress> address = node::parse_parent_url(url);
  if (!address) return {};
  const bool is_v6 = address->at.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_v6 ? "[" : "", address->at.host, is_v6 ? "]" : "", address->at.port);
}

// Of a URL that has a path, too.
std::string authority_of(const std::string& url) {
  const Result<node::WebhookUrl> parsed = node::parse_webhook_url(url);
  return parsed ? parsed->authority : std::string();
}

std::string host_and_port_of_nats(const std::string& url) {
  const Result<node::HostAndPort> at = node::parse_nats_url(url);
  if (!at) return {};
  const bool is_v6 = at->host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_v6 ? "[" : "", at->host, is_v6 ? "]" : "", at->port);
}

bool uses_nats(const node::Config& config) { return config.store.engine == node::StoreEngine::kNats; }

// What a connection failed with; empty: it stands.
std::string connect_in_time(const net::Address& address, const net::LocalEnd& from = {}) {
  const Result<net::Socket> socket = net::Socket::connect(address, from);
  if (!socket) return socket.error().what;
  pollfd waiting{.fd = socket->descriptor(), .events = POLLOUT, .revents = 0};
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kNetworkPatience).count();
  int error = ETIMEDOUT;
  if (poll(&waiting, 1, static_cast<int>(patience)) == 1) {
    socklen_t size = sizeof(error);
    getsockopt(socket->descriptor(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  return error == 0 ? "" : std::strerror(error);
}

// The first that a connection from there can go to; none: there is none.
std::optional<net::Address> reached_from(const net::LocalEnd& from, const std::vector<net::Address>& addresses) {
  const int family = from.address.family();
  const auto found = std::ranges::find_if(
      addresses, [family](const net::Address& each) { return family == AF_UNSPEC || each.family() == family; });
  return found == addresses.end() ? std::nullopt : std::optional(*found);
}

std::chrono::seconds since_wall_ms(double then_ms) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto then = std::chrono::milliseconds(static_cast<int64_t>(then_ms));
  return std::max(std::chrono::duration_cast<std::chrono::seconds>(now - then), std::chrono::seconds(0));
}

// The first port that everybody may listen at.
uint16_t first_free_port() {
  constexpr uint16_t kUsual = 1024;
  std::ifstream file("/proc/sys/net/ipv4/ip_unprivileged_port_start");
  uint16_t port = kUsual;
  return file >> port ? port : kUsual;
}

void look_at_listener(const Patient& patient, const NodeUser& user, const std::string& text, const std::string& key,
                      std::vector<Finding>& findings) {
  const Resolved addresses = resolve_in_time(text);
  if (!addresses) {
    findings.push_back({.health = Health::kFailure,
                        .what = fmt::format("{} = {}: {}", key, text, addresses.error().what),
                        .fix = addresses.error().fix,
                        .remedy = {}});
    return;
  }
  const net::Address& address = addresses->front();
  if (const Result<net::Socket> socket = net::Socket::listen(address, false); !socket) {
    findings.push_back(
        {.health = Health::kFailure,
         .what = fmt::format(
             "{} = {}: {}{}", key, text, socket.error().what,
             text == patient.admin && !patient.stranger.empty() ? fmt::format(" ({})", patient.stranger) : ""),
         .fix = socket.error().fix,
         .remedy = {}});
  } else if (geteuid() == 0 && user.id() != 0 && address.port() != 0 && address.port() < first_free_port()) {
    findings.push_back(
        {.health = Health::kWarning,
         .what = fmt::format("{} = {}: {}, whom the node runs as, may not listen below port {} by itself", key, text,
                             user.name(), first_free_port()),
         .fix = "let systemd hand over the socket (docs/systemd.md), or give the unit "
                "AmbientCapabilities=CAP_NET_BIND_SERVICE (docs/operations.md)",
         .remedy = {}});
  }
}

void look_at_socket_file(const std::string& path, const NodeUser& user, std::vector<Finding>& findings) {
  const auto found = [&](std::string what, std::string fix) {
    findings.push_back({.health = Health::kFailure,
                        .what = fmt::format("mqtt.unix_listen = {}: {}", path, what),
                        .fix = std::move(fix),
                        .remedy = {}});
  };
  const std::string directory = std::filesystem::absolute(path).parent_path().string();
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error)) {
    found(fmt::format("{} is no directory", directory),
          fmt::format("make it for the node's user: install -d -m 750 -o {} {}", user.name(), directory));
  } else if (!user.may(directory, W_OK | X_OK)) {
    found(fmt::format("{} may not be written by {}", directory, user.name()),
          "name a file in a directory of the node's user, such as systemd makes with RuntimeDirectory=");
  } else if (const Result<void> is_free = net::SocketFile::check_is_free(path); !is_free) {
    found(is_free.error().what, is_free.error().fix);
  }
}

void look_at_certificate(const std::string& key, const net::TlsIdentity& identity, std::vector<Finding>& findings) {
  if (identity.certificate.empty()) return;
  const auto context = net::TlsContext::server({.identity = identity, .client_ca = {}, .protocols = {}, .named = {}});
  if (!context) {
    findings.push_back({.health = Health::kFailure,
                        .what = fmt::format("{}: {}", key, context.error().what),
                        .fix = context.error().fix,
                        .remedy = {}});
    return;
  }
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  const std::chrono::seconds left = std::chrono::seconds((*context)->certificate_ends()) - now;
  const std::chrono::seconds ahead = std::chrono::seconds((*context)->certificate_begins()) - now;
  if (ahead.count() > 0) {
    findings.push_back(
        {.health = Health::kFailure,
         .what = fmt::format("{} is not good yet: it begins in {}", identity.certificate, rounded_time(ahead)),
         .fix = "use one that has begun, or see whether the clock is right",
         .remedy = {}});
  } else if (left.count() <= 0) {
    findings.push_back({.health = Health::kFailure,
                        .what = fmt::format("{} ended {} ago", identity.certificate, rounded_time(-left)),
                        .fix = "renew it, then send the node SIGHUP",
                        .remedy = {}});
  } else if (left < kRenewBefore) {
    findings.push_back({.health = Health::kWarning,
                        .what = fmt::format("{} ends in {}", identity.certificate, rounded_time(left)),
                        .fix = "renew it, then send the node SIGHUP",
                        .remedy = {}});
  } else {
    findings.push_back(
        {.what = fmt::format("{} is good for {}", identity.certificate, rounded_time(left)), .fix = {}, .remedy = {}});
  }
}

}  // namespace

std::string rounded_time(std::chrono::seconds time) {
  using std::chrono::days, std::chrono::hours, std::chrono::minutes;
  const auto counted = [](int64_t count, std::string_view unit) {
    return fmt::format("{} {}{}", count, unit, count == 1 ? "" : "s");
  };
  if (time >= days(2)) return counted(std::chrono::floor<days>(time).count(), "day");
  if (time >= hours(1)) return counted(std::chrono::floor<hours>(time).count(), "hour");
  return counted(std::chrono::floor<minutes>(time).count(), "minute");
}

std::vector<Finding> check_ports(const Patient& patient) {
  if (patient.status)
    return {{.what = fmt::format("the node runs, and answers at {}", patient.admin), .fix = {}, .remedy = {}}};
  const std::optional<pid_t> holder = storage::DataDirectory::holder_of(data_directory_of(patient));
  if (holder && (patient.admin.empty() || !patient.unasked_fix.empty())) {
    return {{.health = Health::kSkipped,
             .what = fmt::format(
                 "process {} holds {}; whether it is this node, whose addresses are taken then, could not be asked",
                 *holder, data_directory_of(patient)),
             .fix = patient.unasked_fix.empty() ? "name an admin listener with admin.listen" : patient.unasked_fix,
             .remedy = {}}};
  }
  std::vector<Finding> findings;
  const node::Config& config = patient.config;
  const std::pair<const char*, const std::vector<std::string>*> listeners[] = {
      {"mqtt.listen", &config.mqtt.listen},       {"mqtt.tls_listen", &config.mqtt.tls_listen},
      {"mqtt.ws_listen", &config.mqtt.ws_listen}, {"mqtt.ws_tls_listen", &config.mqtt.ws_tls_listen},
      {"http.listen", &config.http.listen},       {"http.tls_listen", &config.http.tls_listen},
      {"admin.listen", &config.admin.listen},
  };
  const NodeUser user = NodeUser::of(data_directory_of(patient));
  size_t count = config.mqtt.unix_listen.size();
  for (const auto& [key, addresses] : listeners) {
    count += addresses->size();
    for (const std::string& text : *addresses) look_at_listener(patient, user, text, key, findings);
  }
  for (const std::string& path : config.mqtt.unix_listen) look_at_socket_file(path, user, findings);
  if (findings.empty()) findings.push_back({.what = fmt::format("{} are free", count), .fix = {}, .remedy = {}});
  return findings;
}

std::vector<std::string> names_called(const node::Config& config) {
  std::vector<std::string> names;
  for (const node::PathConfig& path : config.parent.all_paths()) names.push_back(host_and_port(path.url));
  for (const std::string& url : config.store.urls) {
    if (uses_nats(config)) names.push_back(host_and_port_of_nats(url));
  }
  for (const node::SiteConfig& site : config.sites) {
    for (const node::OriginConfig& origin : site.origins) names.push_back(host_and_port(origin.url));
  }
  names.push_back(authority_of(config.traces.endpoint));
  for (const node::BridgeConfig& bridge : config.mqtt.bridges) names.push_back(bridge.address);
  for (const rules::RuleSource& rule : config.rules) {
    for (const rules::ActionSource& action : rule.actions) {
      const auto* webhook = std::get_if<rules::WebhookSource>(&action);
      if (webhook != nullptr) names.push_back(authority_of(webhook->url));
    }
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::erase_if(names, [](const std::string& name) { return name.empty() || !net::is_name(name); });
  return names;
}

std::vector<Finding> check_names(const Patient& patient) {
  std::vector<Finding> findings;
  for (const std::string& name : names_called(patient.config)) {
    const Resolved addresses = resolve_in_time(name);
    if (addresses) {
      findings.push_back(
          {.what = fmt::format("{} is {}", name, addresses->front().ip_text()), .fix = {}, .remedy = {}});
    } else {
      findings.push_back(
          {.health = Health::kFailure, .what = addresses.error().what, .fix = addresses.error().fix, .remedy = {}});
    }
  }
  if (findings.empty()) findings.push_back({.what = "no names are configured", .fix = {}, .remedy = {}});
  return findings;
}

std::vector<Finding> check_parent(const Patient& patient) {
  std::vector<Finding> findings;
  for (const node::PathConfig& path : patient.config.parent.all_paths()) {
    const Resolved addresses = resolve_in_time(host_and_port(path.url));
    if (!addresses) continue;  // the check of names says so
    const net::LocalEnd from = net::LocalEnd::parse(path.bind).value_or(net::LocalEnd{});
    const std::string way = path.bind.empty() ? path.url : fmt::format("{} from {}", path.url, path.bind);
    const std::optional<net::Address> address = reached_from(from, *addresses);
    const std::string problem = address ? connect_in_time(*address, from) : "it has no address of that family";
    if (problem.empty()) {
      findings.push_back({.what = fmt::format("{} takes connections", way), .fix = {}, .remedy = {}});
    } else {
      findings.push_back({.health = Health::kFailure,
                          .what = fmt::format("{} cannot be reached: {}", way, problem),
                          .fix = "start the parent, or check parent.url, the route and the firewall; until then events "
                                 "wait in the spool",
                          .remedy = {}});
    }
  }
  if (findings.empty()) {
    const bool is_root = patient.config.parent.url.empty();
    findings.push_back({.health = is_root ? Health::kGood : Health::kSkipped,
                        .what = is_root ? "none is configured: this node is a root" : "its name is not known",
                        .fix = {},
                        .remedy = {}});
  }
  return findings;
}

std::vector<Finding> check_store(const Patient& patient) {
  if (!uses_nats(patient.config)) {
    return {{.what = "it is the node itself (store.engine = \"log\")", .fix = {}, .remedy = {}}};
  }
  std::vector<Finding> findings;
  for (const std::string& url : patient.config.store.urls) {
    const Resolved addresses = resolve_in_time(host_and_port_of_nats(url));
    const std::string problem = addresses ? connect_in_time(addresses->front()) : addresses.error().what;
    if (problem.empty()) {
      findings.push_back({.what = fmt::format("{} takes connections", url), .fix = {}, .remedy = {}});
    } else {
      findings.push_back({.health = Health::kWarning,
                          .what = fmt::format("{} cannot be reached: {}", url, problem),
                          .fix = "start it, or check store.urls, the route and the firewall",
                          .remedy = {}});
    }
  }
  const bool is_told = patient.status && json_at(*patient.status, {"stream", "reachable"}).value_or("") == "false";
  const bool is_lost = std::ranges::none_of(findings, [](const Finding& each) { return each.health == Health::kGood; });
  if (is_told || is_lost) {
    findings.push_back({.health = Health::kFailure,
                        .what = is_told ? "the node reaches no NATS server: what children send is refused, or overflows"
                                        : "no NATS server can be reached: what children send would be refused",
                        .fix = "docs/jetstream.md says what the servers need; the node's log says what they answer",
                        .remedy = {}});
  }
  return findings;
}

std::vector<Finding> check_certificates(const Patient& patient) {
  std::vector<Finding> findings;
  const node::Config& config = patient.config;
  look_at_certificate("tls", {.certificate = config.tls.certificate, .key = config.tls.key}, findings);
  look_at_certificate("parent", {.certificate = config.parent.certificate, .key = config.parent.key}, findings);
  for (const node::SiteConfig& site : config.sites) {
    look_at_certificate("site.tls", {.certificate = site.tls.certificate, .key = site.tls.key}, findings);
  }
  for (const node::BridgeConfig& bridge : config.mqtt.bridges) {
    look_at_certificate("bridge", {.certificate = bridge.certificate, .key = bridge.key}, findings);
  }
  if (findings.empty()) findings.push_back({.what = "none are configured", .fix = {}, .remedy = {}});
  return findings;
}

std::vector<Finding> check_delivery(const Patient& patient) {
  if (!patient.stranger.empty()) {
    return {{.health = Health::kSkipped,
             .what = patient.stranger,
             .fix = patient.unasked_fix.empty()
                        ? "name the node's admin listener with --admin HOST:PORT, or run this on its machine"
                        : patient.unasked_fix,
             .remedy = {}}};
  }
  if (!patient.status) {
    return {{.health = Health::kSkipped,
             .what = patient.admin.empty() ? "no admin listener is configured"
                                           : fmt::format("no node answers at {}", patient.admin),
             .fix = "start it, or name it with --admin HOST:PORT",
             .remedy = {}}};
  }
  std::vector<Finding> findings;
  const std::string& status = *patient.status;
  if (const double letters = number_at(status, {"spool", "dead_letters"}); letters > 0) {
    findings.push_back({.health = Health::kWarning,
                        .what = fmt::format("{:.0f} records were given up on and lie as dead letters", letters),
                        .fix = "verge spool dlq ls says why; verge spool dlq replay sends them again",
                        .remedy = {}});
  }
  if (json_at(status, {"uplink"}).value_or("null") == "null") {
    if (findings.empty())
      findings.push_back({.what = "this node is a root: what it stores stays", .fix = {}, .remedy = {}});
    return findings;
  }
  double oldest = 0;
  for (const std::string_view stream : {"critical", "high", "normal", "low"}) {
    oldest = std::max(oldest, number_at(status, {"spool", stream, "oldest_ms"}));
  }
  const auto age = std::chrono::milliseconds(static_cast<int64_t>(oldest));
  const auto due = patient.config.parent.batch_age_max + patient.config.parent.timeout;
  // Where reports are sent the parent is asked all the time.
  const auto uptime = std::chrono::duration<double>(number_at(status, {"node", "uptime_s"}));
  const bool should_be_reached =
      age > kReachedWithin || (patient.config.parent.report_every > Duration(0) && uptime > kReachedWithin);
  if (json_at(status, {"uplink", "reached"}).value_or("") != "true" && should_be_reached) {
    findings.push_back(
        {.health = Health::kFailure,
         .what = oldest > 0 ? fmt::format("nothing is delivered: the oldest record waits for {}", format_duration(age))
                            : "the parent does not take what this node sends",
         .fix = "the check of the parent says whether it takes connections, the node's log what it answers (it may not "
                "know parent.token); what is acknowledged waits in the spool",
         .remedy = {}});
  } else if (age > due) {
    findings.push_back({.health = Health::kWarning,
                        .what = fmt::format("the oldest record waits for {}", format_duration(age)),
                        .fix = "a backlog is being sent, or the line is slow: see uplink in /v1/status",
                        .remedy = {}});
  } else {
    const double last_ms = number_at(status, {"uplink", "last_delivery_ms"});
    const std::string last =
        last_ms > 0 ? fmt::format("the last {} ago", format_duration(since_wall_ms(last_ms))) : "none yet";
    findings.push_back(
        {.what = fmt::format("{:.0f} records were delivered, {}", number_at(status, {"uplink", "records"}), last),
         .fix = {},
         .remedy = {}});
  }
  return findings;
}

}  // namespace verge::cli
