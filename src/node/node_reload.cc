// SIGHUP: what of a running node's configuration is exchanged, and what is said of its certificates and tokens.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.h"
#include "net/address.h"
#include "node/admin_api.h"
#include "node/config_address.h"
#include "node/config_difference.h"
#include "node/listeners.h"
#include "node/node.h"

namespace verge::node {
namespace {

constexpr int64_t kSecondsADay = 86'400;
constexpr int64_t kWarnDays = 14;
constexpr int64_t kSecondsAnHour = 3600;

void take_rates(MqttConfig& to, const MqttConfig& from) {
  to.client_messages_max = from.client_messages_max;
  to.client_bytes_max = from.client_bytes_max;
  to.total_messages_max = from.total_messages_max;
  to.total_bytes_max = from.total_bytes_max;
  to.client_rate_policy = from.client_rate_policy;
}

}  // namespace

void Node::warn_of_credentials(const Credentials& credentials) {
  const auto warn_of_end = [](const std::shared_ptr<const net::TlsContext>& context, std::string_view what) {
    if (!context || context->certificate_ends() == 0) return;
    const int64_t now = SystemClock().wall().microseconds / 1'000'000;
    const int64_t left = context->certificate_ends() - now;
    if (context->certificate_begins() > now) {
      log_warning("node", "{} begins in {} hours: others will not accept it until then", what,
                  (context->certificate_begins() - now) / kSecondsAnHour + 1);
    }
    if (left < 0) log_warning("node", "{} ended {} days ago: others will not accept it", what, -left / kSecondsADay);
    if (left >= 0 && left < kWarnDays * kSecondsADay) {
      log_warning("node", "{} ends in {} days", what, left / kSecondsADay);
    }
  };
  warn_of_end(credentials.http, "the certificate in tls.certificate");
  for (const auto& [key, context] : credentials.sites) warn_of_end(context, fmt::format("the certificate in {}", key));
  const auto with_tls =
      std::ranges::find_if(credentials.parent, [](const auto& context) { return context != nullptr; });
  if (with_tls != credentials.parent.end()) warn_of_end(*with_tls, "the certificate in parent.certificate");
  std::set<std::string> in_clear;
  for (const PathConfig& path : config_.parent.all_paths()) {
    const Result<ParentAddress> parent = parse_parent_url(path.url);
    if (!parent || parent->tls || credentials.parent_token.empty()) continue;
    const std::string& host = parent->at.host;
    const bool is_v6 = host.find(':') != std::string::npos;
    const Result<net::Address> address = net::Address::parse(is_v6 ? fmt::format("[{}]:1", host) : host + ":1");
    if ((address && address->is_loopback()) || !in_clear.insert(path.url).second) continue;
    log_warning("node", "parent.token goes to {} in clear: whoever is on the way can read it; use https://", path.url);
  }
  int64_t soonest = credentials.http ? credentials.http->certificate_ends() : 0;
  int64_t latest = credentials.http ? credentials.http->certificate_begins() : 0;
  for (const auto& [key, context] : credentials.sites) {
    soonest = std::min(soonest, context->certificate_ends());
    latest = std::max(latest, context->certificate_begins());
  }
  certificate_ends_ = soonest;
  certificate_begins_ = latest;
}

void Node::reload(const Config& config, std::shared_ptr<const rules::RuleSet> rules, const Credentials& credentials) {
  const std::lock_guard lock(rules_mutex_);
  rules = with_created_rules(config, std::move(rules));
  Config applied = config_;
  applied.origin = config.origin;
  applied.rules = config.rules;
  applied.tables = config.tables;
  applied.payloads = config.payloads;
  applied.log = config.log;
  // A listener that runs keeps what it has when there is nothing to replace it with.
  if (credentials.http || tls_listeners_.empty()) {
    applied.tls = config.tls;
  }
  applied.sites = config.sites;
  applied.workers = config.workers;
  applied.queues = config.queues;
  applied.workers_limits.deploy_tokens = config.workers_limits.deploy_tokens;
  applied.workers_limits.geo_file = config.workers_limits.geo_file;
  applied.access_log = config.access_log;
  applied.traces.one_in = config.traces.one_in;
  applied.traces.follow = config.traces.follow;
  applied.mqtt.acl = config.mqtt.acl;
  take_rates(applied.mqtt, config.mqtt);
  applied.mqtt.trusted_proxies = config.mqtt.trusted_proxies;
  applied.mqtt.proxy_protocol = config.mqtt.proxy_protocol;
  applied.mqtt.password_file = config.mqtt.password_file;
  applied.mqtt.anonymous = config.mqtt.anonymous;
  applied.durability = config.durability;
  applied.http.trusted_proxies = config.http.trusted_proxies;
  applied.http.proxy_protocol = config.http.proxy_protocol;
  applied.http.client_field = config.http.client_field;
  applied.http.uplink_tokens = config.http.uplink_tokens;
  applied.admin.tokens = config.admin.tokens;
  const bool same_parent = config.parent.all_paths() == config_.parent.all_paths();
  if (same_parent) {
    applied.parent.ca = config.parent.ca;
    applied.parent.certificate = config.parent.certificate;
    applied.parent.key = config.parent.key;
    applied.parent.token = config.parent.token;
  }
  // Addresses change at the next start only: with what changes now, those that run must be sound too.
  if (const ConfigProblems problems = check_listeners(applied); !problems.empty()) {
    for (const ConfigProblem& problem : problems) {
      log_error("node", "not reloaded, because listeners stay as they are until the next start: {}", problem.line());
    }
    return;
  }
  const auto on_loops = [this](const std::function<void(size_t)>& work) {
    on_all_loops([&](Shard& shard) { work(static_cast<size_t>(&shard - shards_.data())); });
  };
  const auto locations = open_locations(config);
  if (!locations) {
    log_error("node", "not reloaded: {}", locations.error().line());
    return;
  }
  const std::vector<WorkerSpec> former = std::exchange(worker_specs_, credentials.workers);
  const std::vector<QueueConfig> former_queues = workers_->exchange_queues(config.queues);
  Result<void> served = sites_->reload(with_worker_sites(config), on_loops);
  if (served) served = workers_->change(all_workers(), on_loops);
  if (!served) {
    log_error("node", "not reloaded: {}", served.error().line());
    worker_specs_ = former;
    static_cast<void>(workers_->exchange_queues(former_queues));
    static_cast<void>(sites_->reload(with_worker_sites(config_), on_loops));
    return;
  }
  if (const Result<void> changed = change_spool_keys(credentials.spool_keys); !changed) {
    log_error("node", "not reloaded: {}", changed.error().line());
    worker_specs_ = former;
    static_cast<void>(workers_->exchange_queues(former_queues));
    static_cast<void>(sites_->reload(with_worker_sites(config_), on_loops));
    static_cast<void>(workers_->change(all_workers(), on_loops));
    return;
  }
  workers_->locate(*locations, on_loops);
  applied.spool.encryption_key = config.spool.encryption_key;
  applied.spool.decryption_keys = config.spool.decryption_keys;
  configure_log(config.log.level, config.log.format);
  const auto access = std::make_shared<const mqtt::AccessRules>(access_rules(applied.mqtt));
  const std::shared_ptr<mqtt::Authenticator> authenticator = make_authenticator(applied.mqtt, credentials);
  const auto durability = std::make_shared<const DurabilityClasses>(applied.durability);
  on_all_loops([&](Shard& shard) {
    shard.path->replace_rules(rules);
    shard.path->set_durability(durability);
    shard.broker->set_access(access);
    shard.broker->set_authenticator(authenticator);
    shard.mqtt_proxies = proxies_of(applied.mqtt);
    shard.broker->set_rates(rates_of(applied.mqtt, shards_.size()));
    shard.uplink_tokens = credentials.uplink_tokens;
    if (&shard == shards_.data() && same_parent) {
      parent_access_ = access_of(credentials);
      questions_->renew();
    }
  });
  admin_loop_.post([this, same_parent, access = access_of(credentials), tokens = credentials.admin_tokens] {
    admin_->replace_tokens(tokens);
    if (same_parent && report_sender_) report_sender_->replace_access(access);
  });
  close_replaced_windows();
  on_tls_loop([&] {
    for (const Tls& each : tls_listeners_) {
      const std::shared_ptr<const net::TlsContext>& context = each.is_mqtt ? credentials.mqtt : credentials.http;
      if (context) each.listener->replace(context);
    }
    expect_proxies(config.http, config.mqtt);
  });
  warn_of_credentials(credentials);
  if (const std::vector<std::string> waiting = different_keys(applied, config); waiting.empty()) {
    log_info("node", "the configuration was reloaded: {} rules", config.rules.size());
  } else {
    log_warning("node",
                "the configuration was reloaded: {} rules; what else changed takes effect at the next start: {}",
                config.rules.size(), fmt::join(waiting, ", "));
  }
  // Loops read what cannot change; the rest is this thread's.
  config_.rules = applied.rules;
  config_.tables = applied.tables;
  config_.payloads = applied.payloads;
  config_.log = applied.log;
  config_.tls = applied.tls;
  config_.sites = applied.sites;
  config_.workers = applied.workers;
  config_.queues = applied.queues;
  config_.workers_limits.deploy_tokens = applied.workers_limits.deploy_tokens;
  config_.workers_limits.geo_file = applied.workers_limits.geo_file;
  credentials_.deploy_tokens = credentials.deploy_tokens;
  config_.access_log = applied.access_log;
  config_.traces.one_in = applied.traces.one_in;
  config_.traces.follow = applied.traces.follow;
  if (tracer_) tracer_->change({.one_in = config_.traces.one_in, .heeds_flag = config_.traces.follow});
  config_.mqtt.acl = applied.mqtt.acl;
  take_rates(config_.mqtt, applied.mqtt);
  config_.mqtt.trusted_proxies = applied.mqtt.trusted_proxies;
  config_.mqtt.proxy_protocol = applied.mqtt.proxy_protocol;
  config_.mqtt.password_file = applied.mqtt.password_file;
  config_.mqtt.anonymous = applied.mqtt.anonymous;
  config_.durability = applied.durability;
  config_.http.trusted_proxies = applied.http.trusted_proxies;
  config_.http.proxy_protocol = applied.http.proxy_protocol;
  config_.http.client_field = applied.http.client_field;
  config_.spool.encryption_key = applied.spool.encryption_key;
  config_.spool.decryption_keys = applied.spool.decryption_keys;
  config_.http.uplink_tokens = applied.http.uplink_tokens;
  config_.admin.tokens = applied.admin.tokens;
  config_.parent.ca = applied.parent.ca;
  config_.parent.certificate = applied.parent.certificate;
  config_.parent.key = applied.parent.key;
  config_.parent.token = applied.parent.token;
}

// All loops evaluate by the new rules: no further reading comes for windows of the old.
void Node::close_replaced_windows() {
  std::vector<std::vector<std::string>> closed(shards_.size());
  on_all_loops(
      [&](Shard& shard) { closed[static_cast<size_t>(&shard - shards_.data())] = shard.path->close_replaced(); });
  std::set<std::string> names;
  for (const std::vector<std::string>& each : closed) names.insert(each.begin(), each.end());
  for (const std::string& name : names) {
    log_warning(
        "node",
        "rule {} was changed or taken out: its open windows were closed early and emitted as its SQL was before", name);
  }
}

}  // namespace verge::node
