// The configuration of a node: read from a TOML file and from --set, printed, and explained.
//
// The structs below are what the rest of the program sees; their initializers are the defaults. What each key is
// called, which values it takes and what it is for stands once, in config_schema.cc: reading, spelling hints, --set,
// printing and docs/configuration.md all come from there. Relations between keys that reading checks stand there too.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "cache/access_log.h"
#include "model/priority.h"
#include "mqtt/limits.h"
#include "net/forwarded.h"
#include "node/config_origin.h"
#include "node/config_site.h"
#include "node/config_worker.h"
#include "node/durability_classes.h"
#include "rules/rule_source.h"
#include "spool/stream_options.h"

namespace verge::node {

struct NodeConfig {
  std::string name;  // empty only before reading: then the host name
  Tier tier = Tier::kEdge;
  std::string data_dir = "./verge-data";
  bool allow_anonymous = false;
  std::string site;                   // empty: none is named
  std::string position;               // parse_position accepts it; empty: not said
  std::vector<std::string> children;  // names of nodes that should report here
  bool operator==(const NodeConfig&) const = default;
};

// "0660": three octal digits, with or without the 0.
std::optional<uint32_t> parse_mode(std::string_view text);

enum class AclActions { kAll, kPublish, kSubscribe };

// Who may do what; the first that speaks of it decides.
struct AclConfig {
  bool allow = true;
  std::vector<std::string> users;
  AclActions actions = AclActions::kAll;
  std::vector<std::string> topics;
  bool says_why = true;
  bool operator==(const AclConfig&) const = default;
};

enum class BridgeDirection { kOut, kIn, kBoth };

// What of a bridge goes which way: `topic` behind each side's prefix.
struct BridgeTopicConfig {
  std::string topic = "#";
  BridgeDirection direction = BridgeDirection::kOut;
  uint64_t qos = 1;
  std::string local_prefix;
  std::string remote_prefix;
  bool operator==(const BridgeTopicConfig&) const = default;
};

enum class BridgeVersion { k5, k311 };

// Another broker that messages go to and come from.
struct BridgeConfig {
  std::string name;
  std::string address;  // HOST:PORT
  BridgeVersion version = BridgeVersion::k5;
  std::string client_id;  // empty: made of the names of node and bridge
  std::string user;
  std::optional<SecretSource> password;
  bool tls = false;
  std::string ca;  // paths of PEM files; empty: the system's authorities, and no certificate
  std::string certificate;
  std::string key;
  Duration keep_alive = std::chrono::seconds(60);
  Duration retry_max = std::chrono::seconds(30);
  std::vector<BridgeTopicConfig> topics;

  // Of the address, without the brackets of IPv6.
  [[nodiscard]] std::string host() const {
    const std::string host = address.substr(0, address.rfind(':'));
    return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
  }
  bool operator==(const BridgeConfig&) const = default;
};

// Every `listen` holds addresses that parse_listen_address accepts; none: off.
struct MqttConfig {
  std::vector<std::string> listen = {"127.0.0.1:1883"};
  std::vector<std::string> tls_listen;
  std::vector<std::string> ws_listen;
  std::vector<std::string> ws_tls_listen;
  std::vector<std::string> ws_origins;
  std::vector<std::string> unix_listen;  // paths
  std::string unix_mode = "0660";        // parse_mode accepts it
  std::vector<net::Network> trusted_proxies;
  bool proxy_protocol = false;
  uint64_t packet_bytes_max = 1ULL << 20;
  uint64_t connections_max = 100'000;
  uint64_t inflight_max = 1024;
  uint64_t queue_bytes_max = 1ULL << 20;
  uint64_t away_bytes_max = 256ULL << 20;
  uint64_t retained_max = 1'000'000;
  uint64_t retained_bytes_max = 512ULL << 20;
  uint64_t sessions_max = 100'000;
  Duration session_expiry_max = std::chrono::hours(1);
  uint64_t receive_max = 1024;
  uint64_t topic_aliases_max = 32;
  Duration keep_alive_max{0};
  bool durable_sessions = true;
  bool durable_retained = true;
  uint64_t twins_max = 10'000;
  uint64_t twin_bytes_max = 32ULL << 10;
  Duration sys_every = std::chrono::seconds(10);
  uint64_t client_messages_max = 0;  // a second, as the three below; 0: any
  uint64_t client_bytes_max = 0;
  uint64_t total_messages_max = 0;
  uint64_t total_bytes_max = 0;
  mqtt::Rates::Policy client_rate_policy = mqtt::Rates::Policy::kHold;
  bool certificate_users = false;
  std::string password_file;
  bool anonymous = false;
  std::vector<AclConfig> acl;
  std::vector<BridgeConfig> bridges;
  bool operator==(const MqttConfig&) const = default;
};

struct HttpConfig {
  std::vector<std::string> listen = {"127.0.0.1:8080"};
  std::vector<std::string> tls_listen;
  uint64_t body_bytes_max = 8ULL << 20;
  bool ingest = true;
  bool uplink = true;
  std::vector<SecretSource> uplink_tokens;
  uint64_t connections_max = 10'000;
  std::vector<net::Network> trusted_proxies;
  bool proxy_protocol = false;
  net::ForwardedField client_field = net::ForwardedField::kXForwardedFor;
  bool operator==(const HttpConfig&) const = default;
};

struct AdminConfig {
  std::vector<std::string> listen = {"127.0.0.1:9180"};
  std::vector<SecretSource> tokens;
  bool operator==(const AdminConfig&) const = default;
};

// Paths of PEM files; empty: none.
struct TlsConfig {
  std::string certificate;
  std::string key;
  std::string client_ca;
  bool operator==(const TlsConfig&) const = default;
};

struct TracesConfig {
  std::string endpoint;  // parse_webhook_url accepts it; empty: nothing is traced
  uint64_t one_in = 100;
  bool follow = false;
  std::optional<SecretSource> token;
  bool operator==(const TracesConfig&) const = default;
};

// By stream.
struct AttemptsConfig {
  uint64_t critical = 100;
  uint64_t high = 50;
  uint64_t normal = 20;
  uint64_t low = 10;
  bool operator==(const AttemptsConfig&) const = default;
};

// A way to the parent.
struct PathConfig {
  std::string url;   // parse_parent_url accepts it; empty: parent.url
  std::string bind;  // net::LocalEnd::parse accepts it; empty: where the system's routes say
  bool operator==(const PathConfig&) const = default;
};

struct ParentConfig {
  std::string url;  // parse_parent_url accepts it; empty: this node is the root
  std::string ca;   // paths of PEM files, for https only; empty: the system's authorities, and no certificate
  std::string certificate;
  std::string key;
  std::optional<SecretSource> token;
  std::vector<PathConfig> paths;  // empty: one, to `url`
  uint64_t redundant = 1;         // of them at a time
  uint64_t batch_bytes_max = 1ULL << 20;
  Duration batch_age_max = std::chrono::seconds(60);
  uint64_t backlog_share_percent = 20;
  Duration timeout = std::chrono::seconds(10);
  Duration retry_max = std::chrono::seconds(5);
  Duration report_every = std::chrono::seconds(2);  // 0: nothing is reported
  AttemptsConfig attempts;

  // `paths`, or the one there is without, each with its own url; none for a root.
  [[nodiscard]] std::vector<PathConfig> all_paths() const;
  bool operator==(const ParentConfig&) const = default;
};

struct SpoolConfig {
  uint64_t bytes_max = 4ULL << 30;
  uint64_t critical_reserve = 0;
  uint64_t segment_bytes = 16ULL << 20;
  uint64_t sources_max = 65'536;
  bool ttl_stops_in_outage = true;
  std::optional<SecretSource> encryption_key;  // 64 hexadecimal digits; none: new files are not encrypted
  std::vector<SecretSource> decryption_keys;   // likewise; of what was encrypted before
  spool::StreamOptions critical;
  spool::StreamOptions high;
  spool::StreamOptions normal;
  spool::StreamOptions low;
  bool operator==(const SpoolConfig&) const = default;
};

enum class StoreEngine { kLog, kNats };

struct StoreConfig {
  StoreEngine engine = StoreEngine::kLog;
  std::vector<std::string> urls = {"nats://127.0.0.1:4222"};  // parse_nats_url accepts each; not empty
  std::string stream = "VERGE";
  uint64_t replicas = 3;
  uint64_t overflow_bytes_max = 256ULL << 20;  // 0: no overflow
  Duration timeout = std::chrono::seconds(8);
  std::string credentials;            // the path of a file; empty: none
  std::optional<SecretSource> token;  // what the servers want to see
  bool operator==(const StoreConfig&) const = default;
};

enum class LoopScheduling { kNormal, kRealtime };

struct CacheConfig {
  uint64_t memory_bytes_max = 256ULL << 20;
  uint64_t disk_bytes_max = 0;  // none
  uint64_t limited_clients_max = 65'536;
  Duration resolve_every = std::chrono::seconds(30);
  bool operator==(const CacheConfig&) const = default;
};

// A place that a site's content comes from; parse_parent_url accepts `url`.
struct OriginConfig {
  std::string url;
  bool http2 = false;
  uint64_t weight = 1;
  bool operator==(const OriginConfig&) const = default;
};

// Paths of PEM files; empty: none.
struct SiteTlsConfig {
  std::string certificate;
  std::string key;
  bool operator==(const SiteTlsConfig&) const = default;
};

// Health checks of a site's origins.
struct SiteHealthConfig {
  std::string path;  // empty: none
  Duration every = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(2);
  uint64_t passes = 2;
  uint64_t failures = 3;
  bool operator==(const SiteHealthConfig&) const = default;
};

struct SiteConfig : PathPolicyConfig {
  std::vector<std::string> hosts;  // lower case
  std::vector<OriginConfig> origins;
  std::string origin_ca;
  bool shield = false;
  SiteHealthConfig health;
  uint64_t object_bytes_max = 64ULL << 20;
  bool sends_client_host = true;
  Duration connect_timeout = std::chrono::seconds(5);
  Duration answer_timeout = std::chrono::seconds(60);
  Duration idle_timeout = std::chrono::seconds(60);
  uint64_t connections_max = 256;
  uint64_t failures_max = 5;
  Duration failure_pause = std::chrono::seconds(10);
  std::vector<SigningKeyConfig> signing_keys;
  std::vector<SiteRuleConfig> rules;  // the first that matches counts
  SiteTlsConfig tls;
  bool operator==(const SiteConfig&) const = default;
};

struct AccessLogConfig {
  std::string file;  // empty: none
  cache::AccessLogFormat format = cache::AccessLogFormat::kJson;
  bool operator==(const AccessLogConfig&) const = default;
};

struct RuntimeConfig {
  uint64_t loops = 0;
  LoopScheduling scheduling = LoopScheduling::kNormal;

  static constexpr uint64_t kLoopsMax = 64;
  // How many there are: where `loops` says 0, as many as this machine has cores.
  [[nodiscard]] uint64_t loop_count() const;
  bool operator==(const RuntimeConfig&) const = default;
};

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kAutomatic;
  bool operator==(const LogConfig&) const = default;
};

// What rules may remember together.
struct RulesConfig {
  uint64_t memory_max = 512U << 20;
  uint64_t rule_memory_max = 64U << 20;
  bool durable = false;
  uint64_t kept_bytes_max = 256U << 20;
};

// Rows that rules look values up in.
struct TableConfig {
  std::string name;
  std::string key;
  std::string file;
};

// How payloads on some topics are read, where they are not JSON.
enum class PayloadKind : uint8_t { kCbor, kProtobuf };
struct PayloadConfig {
  std::string topic;  // a filter
  PayloadKind format = PayloadKind::kCbor;
  std::string file;
  std::string type;
};

struct Config {
  NodeConfig node;
  MqttConfig mqtt;
  HttpConfig http;
  AdminConfig admin;
  TlsConfig tls;
  ParentConfig parent;
  SpoolConfig spool;
  std::vector<DurabilityClass> durability;  // in the order of the file
  StoreConfig store;
  CacheConfig cache;
  std::vector<SiteConfig> sites;  // in the order of the file
  WorkersConfig workers_limits;
  KvConfig kv;
  std::vector<QueueConfig> queues;    // in the order of the file
  std::vector<WorkerConfig> workers;  // in the order of the file
  TracesConfig traces;
  AccessLogConfig access_log;
  RuntimeConfig runtime;
  LogConfig log;
  RulesConfig rules_limits;
  std::vector<TableConfig> tables;
  std::vector<PayloadConfig> payloads;
  std::vector<rules::RuleSource> rules;  // in the order of the file; neither names nor SQL are checked

  // Where the values came from.
  ConfigOrigin origin;

  // Where the value of a key such as "mqtt.listen" or "rule.0.sql" was given: "FILE:LINE:COLUMN" or "--set
  // mqtt.listen". For a key that was not given, the place of what it belongs to; empty when that was not given either.
  [[nodiscard]] std::string place_of(std::string_view key) const { return origin.place_of(key); }

  // Where the text stands that a problem of one of `rules` is about, to the character.
  [[nodiscard]] std::string place_of(const rules::RuleProblem& problem) const;
};

struct ConfigProblem {
  Error error;
  std::string place;  // "FILE:LINE:COLUMN", "FILE", or "--set KEY"

  [[nodiscard]] std::string line() const { return place.empty() ? error.line() : place + ": " + error.line(); }
};

// In the order of the file, then of --set. Never empty.
using ConfigProblems = std::vector<ConfigProblem>;

// A configuration as far as it could be read: what is at fault has its default.
struct ConfigReading {
  Config config;
  ConfigProblems problems;  // in the order of the file, then of --set
  bool is_readable = true;  // false: the file is not there or is not TOML, so that nothing was read
};

// The defaults, overridden by the file (when there is one), overridden by `overrides`, each the argument of a --set:
// "mqtt.listen=127.0.0.1:0". All problems are found at once. Error codes: config.file, config.syntax,
// config.unknown-key, config.type, config.range, config.value, config.missing, config.address, config.url,
// config.override.
ConfigReading read_config(const std::optional<std::filesystem::path>& file, std::span<const std::string> overrides);

// The same, where only a good one is of use.
std::expected<Config, ConfigProblems> load_config(const std::optional<std::filesystem::path>& file,
                                                  std::span<const std::string> overrides);

// The same for a text that is already here; `name` stands for the file in places.
ConfigReading read_config_text(std::string_view text, std::string_view name,
                               std::span<const std::string> overrides = {});
std::expected<Config, ConfigProblems> parse_config(std::string_view text, std::string_view name,
                                                   std::span<const std::string> overrides = {});

// Whether both configure the same, wherever the values came from.
bool same_settings(const Config& a, const Config& b);

enum class Descriptions { kOmit, kAsComments };

// Every setting as TOML that parse_config reads as the same settings.
std::string print_config(const Config& config, Descriptions descriptions = Descriptions::kOmit);

// docs/configuration.md.
std::string config_reference();

}  // namespace verge::node
