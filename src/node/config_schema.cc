// Every key, once. To add one: a member with its default in config.h and a line here; then print the reference page.

#include "node/config_schema.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string>

#include <fmt/format.h>

#include "base/text.h"
#include "cache/redirect.h"
#include "model/event.h"
#include "model/topic.h"
#include "mqtt/access_rules.h"
#include "net/socket_file.h"
#include "node/config_address.h"
#include "node/config_site_kinds.h"
#include "node/position.h"

namespace verge::node {
namespace {

constexpr uint64_t kKiB = 1ULL << 10;
constexpr uint64_t kMiB = 1ULL << 20;
constexpr uint64_t kGiB = 1ULL << 30;
constexpr uint64_t kPiB = 1ULL << 50;
constexpr Duration kHour = std::chrono::hours(1);

// A name or an IP address, that of IPv6 in brackets, and a port.
bool is_host_and_port(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view port = text.substr(colon + 1);
  const std::string_view host = text.substr(0, colon);
  const bool has_brackets = host.starts_with('[') && host.ends_with(']');
  return !port.empty() && port.size() <= 5 && std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; }) &&
         std::stoi(std::string(port)) <= 65'535 && (has_brackets || !host.contains(':'));
}

}  // namespace

std::optional<uint32_t> parse_mode(std::string_view text) {
  if (text.size() == 4 && text.starts_with('0')) text.remove_prefix(1);
  if (text.size() != 3 || text.find_first_not_of("01234567") != std::string_view::npos) return std::nullopt;
  uint32_t mode = 0;
  for (const char digit : text) mode = mode << 3U | static_cast<uint32_t>(digit - '0');
  return mode;
}

// Not in the unnamed namespace: the templates of Visitor find these by their first argument.

static void describe(Visitor& v, NodeConfig& c) {
  v.key("name", c.name, NodeName{}, {"The name that people and events know this node by.", "the host name"});
  v.key("tier", c.tier, tier_choice(), {"Where in the tree this node stands."});
  v.key("data_dir", c.data_dir, Text{.may_be_empty = false},
        {"The directory that holds everything this node keeps; one process owns it at a time."});
  v.key("allow_anonymous", c.allow_anonymous, Flag{},
        {"Whether listeners may be reached from other machines; clients are not authenticated."});
  v.key("site", c.site, Text{}, {"The name of the place where this node stands, as dashboards group nodes.", "none"});
  v.key(
      "position", c.position, Text{},
      {"Where on the Earth that is, for maps and predicted latency: \"51.5, 11.97\" (degrees north, degrees east), or "
       "a large city or a cloud's region by name.",
       "not said"});
  v.key("children", c.children, NodeNames{},
        {"Names of nodes that should report to this one: dashboards show those that never did."});
  constexpr size_t kSiteBytesMax = 128;
  if (c.site.size() > kSiteBytesMax) {
    v.refuse("site", {"config.range", "node.site is longer than 128 bytes", "shorten it"});
  }
  if (printable(c.site) != c.site) {
    v.refuse("site", {"config.value", "node.site has characters that cannot be shown: " + printable(c.site),
                      "leave out what controls a terminal or the direction of writing"});
  }
  if (!c.position.empty() && !parse_position(c.position)) {
    v.refuse("position", {"config.value", "node.position is no place that is known here",
                          "write degrees north and east such as \"51.5, 11.97\""});
  }
}

static void describe(Visitor& v, AclConfig& c) {
  v.key("topics", c.topics, Texts{},
        {.description = "Topic filters; %c stands for the client id, %u for the user name.", .required = true});
  v.key("allow", c.allow, Flag{}, {"Whether what this speaks of is allowed."});
  v.key("actions", c.actions,
        Choice<AclActions>{
            {{"all", AclActions::kAll}, {"publish", AclActions::kPublish}, {"subscribe", AclActions::kSubscribe}}},
        {"What the client does with the topic."});
  v.key("users", c.users, Texts{}, {"User names; \"\" is who gives none.", "everybody"});
  v.key("says_why", c.says_why, Flag{},
        {"With allow = false: whether SUBACK says that the client is not authorized (0x87), or no reason (0x80)."});
  for (const std::string& topic : c.topics) {
    if (mqtt::is_access_pattern(topic)) continue;
    v.refuse("topics", {"config.value", fmt::format("{} is no topic filter", topic),
                        "write topics such as plant/%c/#: + for a level, # for the rest"});
  }
}

static void describe(Visitor& v, BridgeTopicConfig& c) {
  v.key("topic", c.topic, Text{.may_be_empty = false}, {"A topic filter, behind the prefix on each side."});
  v.key("direction", c.direction,
        Choice<BridgeDirection>{
            {{"out", BridgeDirection::kOut}, {"in", BridgeDirection::kIn}, {"both", BridgeDirection::kBoth}}},
        {"out: to the other broker; in: from it."});
  v.key("qos", c.qos, Count{0, 2}, {"The highest QoS that messages cross at."});
  v.key("local_prefix", c.local_prefix, Text{},
        {"What topics here begin with, such as plant/; taken off on the way out.", "empty"});
  v.key("remote_prefix", c.remote_prefix, Text{}, {"What topics there begin with; taken off on the way in.", "empty"});
  for (const auto& [key, prefix] : {std::pair("local_prefix", &c.local_prefix), {"remote_prefix", &c.remote_prefix}}) {
    if (is_topic_filter(*prefix + c.topic) && prefix->find_first_of("+#") == std::string::npos) continue;
    v.refuse(is_topic_filter(c.topic) ? key : "topic",
             {"config.value", fmt::format("{}{} is no topic filter", *prefix, c.topic),
              "write a filter such as plant/+/oven, and prefixes without + and #"});
    break;
  }
}

static void describe(Visitor& v, BridgeConfig& c) {
  v.key("name", c.name, Text{.may_be_empty = false},
        {.description = "What metrics, the log and the other broker know it by.", .required = true});
  v.key("address", c.address, Text{.may_be_empty = false},
        {.description = "HOST:PORT of the other broker.", .required = true});
  v.key("version", c.version, Choice<BridgeVersion>{{{"5", BridgeVersion::k5}, {"3.1.1", BridgeVersion::k311}}},
        {"Of MQTT, that is spoken to it."});
  v.key("client_id", c.client_id, Text{}, {"The client id there.", "verge-, node.name, - and the name"});
  v.key("user", c.user, Text{}, {"The user name there.", "none"});
  v.key("password", c.password, Secret{}, {"The password there.", "none"});
  v.key("tls", c.tls, Flag{}, {"Whether TLS is spoken to it."});
  v.key("ca", c.ca, Text{},
        {"With tls: a PEM file of the authorities that its certificate may be issued by.", "those of the system"});
  v.key("certificate", c.certificate, Text{},
        {"With tls: the PEM file of the certificate that is shown to it.", "none"});
  v.key("key", c.key, Text{}, {"With tls: the PEM file of its private key, without a passphrase.", "none"});
  v.key("keep_alive", c.keep_alive, Time{std::chrono::seconds(1), std::chrono::seconds(65'535)},
        {"How long it may hear nothing of this node; what answers nothing for one and a half times that is given up."});
  v.key("retry_max", c.retry_max, Time{std::chrono::milliseconds(100), kHour},
        {"The longest pause between attempts to reach it."});
  v.sequence("topic", c.topics, {"What goes which way. A message goes by the first of them that it matches."});
  const auto refuse = [&](std::string_view key, std::string what, std::string fix) {
    v.refuse(key, {"config.value", std::move(what), std::move(fix)});
  };
  const bool is_name = c.name.size() <= 64 && std::ranges::all_of(c.name, [](unsigned char byte) {
                         return std::isalnum(byte) != 0 || byte == '-' || byte == '_' || byte == '.';
                       });
  if (!is_name) refuse("name", "a bridge's name has up to 64 letters, digits, '-', '_' and '.'", "choose another");
  if (!c.address.empty() && !is_host_and_port(c.address)) {
    refuse("address", fmt::format("{} is no address", c.address), "write HOST:PORT, such as broker.example:1883");
  }
  if (!c.tls && !(c.ca.empty() && c.certificate.empty() && c.key.empty())) {
    refuse(!c.ca.empty()            ? "ca"
           : !c.certificate.empty() ? "certificate"
                                    : "key",
           "it goes only with tls = true", "set that, or leave it out");
  } else if (c.certificate.empty() != c.key.empty()) {
    refuse(c.certificate.empty() ? "key" : "certificate", "certificate and key go only together", "give both");
  }
  if (c.password && c.user.empty()) refuse("password", "a password goes only with a user", "give user too");
  const bool any_both = std::ranges::any_of(
      c.topics, [](const BridgeTopicConfig& topic) { return topic.direction == BridgeDirection::kBoth; });
  if (any_both && c.version == BridgeVersion::k311) {
    refuse("version", "with MQTT 3.1.1 topics of both directions would bring back what was sent",
           "use version 5, or other topics each way");
  }
}

static void describe(Visitor& v, MqttConfig& c) {
  v.key("listen", c.listen, Listen{}, {"Where MQTT clients connect."});
  v.key("tls_listen", c.tls_listen, Listen{}, {"Where MQTT clients connect with TLS; 8883 is customary."});
  v.key("ws_listen", c.ws_listen, Listen{}, {"Where MQTT clients connect by WebSocket, at /mqtt; 8083 is customary."});
  v.key("ws_tls_listen", c.ws_tls_listen, Listen{}, {"The same with TLS; 8084 is customary."});
  v.key(
      "ws_origins", c.ws_origins, Texts{},
      {"Sites whose pages may connect by WebSocket, such as https://example.com; \"*\" is all. The listener's own may.",
       "its own"});
  v.key("unix_listen", c.unix_listen, Texts{},
        {"Unix sockets where MQTT clients of this machine connect, as paths; removed when the node ends."});
  v.key("unix_mode", c.unix_mode, Text{.may_be_empty = false},
        {"The mode of those files: who may write to one may connect."});
  v.key("trusted_proxies", c.trusted_proxies, Networks{},
        {"Load balancers in front of this node: who they say is connected counts as connected (proxy_protocol)."});
  v.key("proxy_protocol", c.proxy_protocol, Flag{},
        {"Whether connections of trusted_proxies begin with a PROXY header, version 1 or 2; one that does not is "
         "closed."});
  v.key("packet_bytes_max", c.packet_bytes_max, Size{128, kEventBytesMax},
        {"The largest MQTT packet that is accepted or sent."});
  v.key("connections_max", c.connections_max, Count{1, 10'000'000}, {"Connections beyond this are refused."});
  v.key("inflight_max", c.inflight_max, Count{1, 65'535},
        {"Messages at QoS 1 and 2 to one client that are not done with."});
  v.key("queue_bytes_max", c.queue_bytes_max, Size{kKiB, kGiB}, {"Output that waits for one slow subscriber."});
  v.key("away_bytes_max", c.away_bytes_max, Size{kKiB, kPiB},
        {"Messages that wait for clients that are away, of all sessions together; beyond it the newest is dropped."});
  v.key("retained_max", c.retained_max, Count{0, 1'000'000'000}, {"Retained messages kept."});
  v.key("retained_bytes_max", c.retained_bytes_max, Size{kMiB, kGiB << 10},
        {"Memory for retained messages, with what it takes to keep them; divided by the number of event loops."});
  v.key("sessions_max", c.sessions_max, Count{1, 10'000'000},
        {"Sessions kept, of connected clients and others; a client that would need one more is refused."});
  v.key("session_expiry_max", c.session_expiry_max, Time{Duration(0), std::chrono::days(49'710)},
        {"How long a session is kept after its client left, whatever the client asks for."});
  v.key("receive_max", c.receive_max, Count{1, 65'535},
        {"Publishes of one client at QoS 1 and 2 that are not done with; announced as receive maximum."});
  v.key("topic_aliases_max", c.topic_aliases_max, Count{0, 65'535}, {"Topic aliases of one client, each way."});
  v.key("keep_alive_max", c.keep_alive_max, Time{Duration(0), std::chrono::seconds(65'535)},
        {"Clients that ask for a longer keep-alive, or none, are told this (MQTT 5); 0s: they are not."});
  v.key("password_file", c.password_file, Text{},
        {"Who may connect, with NAME:HASH a line, as verge passwd writes them; read again on SIGHUP. Empty: anybody."});
  v.key("anonymous", c.anonymous, Flag{},
        {"With password_file: whether clients of this machine (127.0.0.1, ::1) may leave the user name out."});
  v.key("certificate_users", c.certificate_users, Flag{},
        {"Whether a client that shows a certificate is the user that it names, the first URI, DNS name or e-mail "
         "address of its subject alternative names, and needs no password."});
  v.key("sys_every", c.sys_every, Time{Duration(0), std::chrono::hours(1)},
        {"How often $SYS/broker/… is published to who subscribes; 0s: never."});
  constexpr Count kMessagesASecond{0, 1'000'000'000};
  v.key("client_messages_max", c.client_messages_max, kMessagesASecond,
        {"Messages that one client may publish in a second, and once as many more; 0: any number."});
  v.key("client_bytes_max", c.client_bytes_max, Size{0, kPiB}, {"The same of the bytes that it sends."});
  v.key("total_messages_max", c.total_messages_max, kMessagesASecond,
        {"The same of the messages of all clients together, who are read no further until there is room for more."});
  v.key("total_bytes_max", c.total_bytes_max, Size{0, kPiB}, {"The same of their bytes."});
  v.key("client_rate_policy", c.client_rate_policy,
        Choice<mqtt::Rates::Policy>{
            {{"hold", mqtt::Rates::Policy::kHold}, {"disconnect", mqtt::Rates::Policy::kDisconnect}}},
        {"What becomes of a client that sends faster: it is read no further for a while, or it is closed (0x96)."});
  v.key("durable_sessions", c.durable_sessions, Flag{},
        {"Whether sessions that outlive their connection survive the end of the node too, however it ends, with their "
         "wills."});
  v.key("durable_retained", c.durable_retained, Flag{},
        {"Whether retained messages survive the end of the node, however it ends."});
  for (const std::string& path : c.unix_listen) {
    if (!path.empty() && path.size() <= net::kSocketPathMax) continue;
    v.refuse("unix_listen",
             {"config.value", fmt::format("a Unix socket has a path of 1 to {} bytes", net::kSocketPathMax),
              "name a file such as /run/verge/mqtt.sock"});
  }
  if (!parse_mode(c.unix_mode)) {
    v.refuse("unix_mode",
             {"config.value", "mqtt.unix_mode is no mode of a file", "write three octal digits: \"0660\""});
  }
  if (c.proxy_protocol && c.trusted_proxies.empty()) {
    v.refuse("proxy_protocol", {"config.value", "mqtt.proxy_protocol goes only with mqtt.trusted_proxies",
                                "name the proxies that send the header"});
  }
  v.key("twins_max", c.twins_max, Count{0, 10'000'000}, {"Twins of devices kept; one more is refused."});
  v.key("twin_bytes_max", c.twin_bytes_max, Size{256, kMiB},
        {"The largest document of a twin, as it is sent; what would make it larger is refused."});
  v.sequence("bridge", c.bridges, {"Other brokers that messages go to and come from."});
  std::set<std::string> bridges;
  for (const BridgeConfig& bridge : c.bridges) {
    if (bridges.insert(bridge.name).second) continue;
    v.refuse("bridge", {"config.value", fmt::format("two bridges are called {}", bridge.name), "rename one of them"});
  }
  v.sequence(
      "acl", c.acl,
      {"Who may publish and subscribe to what: the first that speaks of user, action and topic decides, and what "
       "none speaks of is refused. Without any, everything is allowed."});
}

static void describe(Visitor& v, HttpConfig& c) {
  v.key("listen", c.listen, Listen{}, {"Where HTTP clients and child nodes connect."});
  v.key("tls_listen", c.tls_listen, Listen{},
        {"Where HTTP clients and child nodes connect with TLS; 8443 is customary."});
  v.key("body_bytes_max", c.body_bytes_max, Size{kKiB, kGiB}, {"The largest request body that is accepted."});
  v.key("ingest", c.ingest, Flag{}, {"Whether devices may publish by HTTP."});
  v.key("uplink", c.uplink, Flag{}, {"Whether child nodes may send their events here."});
  v.key("uplink_tokens", c.uplink_tokens, Secrets{},
        {"Child nodes must show one of these tokens, or a certificate of tls.client_ca; none: they need not."});
  v.key("connections_max", c.connections_max, Count{1, 10'000'000}, {"Connections beyond this are refused."});
  v.key("trusted_proxies", c.trusted_proxies, Networks{},
        {"Load balancers and the like in front of this node: what they say of who asks is believed, for sites."});
  v.key("proxy_protocol", c.proxy_protocol, Flag{},
        {"Whether connections of trusted_proxies begin with a PROXY header, version 1 or 2; one that does "
         "not is closed."});
  v.key("client_field", c.client_field,
        Choice<net::ForwardedField>{{{"x-forwarded-for", net::ForwardedField::kXForwardedFor},
                                     {"forwarded", net::ForwardedField::kForwarded},
                                     {"none", net::ForwardedField::kNone}}},
        {"In which field trusted_proxies say who asks; the other is anybody's word."});
  if (c.proxy_protocol && c.trusted_proxies.empty()) {
    v.refuse("proxy_protocol", {"config.value", "http.proxy_protocol goes only with http.trusted_proxies",
                                "name the proxies that send the header"});
  }
}

static void describe(Visitor& v, AdminConfig& c) {
  v.key("listen", c.listen, Listen{},
        {"Where the dashboard, metrics, health and status are served; keep it off open networks."});
  v.key("tokens", c.tokens, Secrets{},
        {"Who comes from another machine must show one of these tokens; none: they need not."});
}

static void describe(Visitor& v, TracesConfig& c) {
  v.key("endpoint", c.endpoint, Text{},
        {"Where traces go, by OTLP/HTTP in JSON: the whole URL, such as http://127.0.0.1:4318/v1/traces.",
         "nowhere: nothing is traced"});
  v.key("one_in", c.one_in, Count{1, 1'000'000'000}, {"One event, and one request, in so many is traced."});
  v.key("follow", c.follow, Flag{},
        {"Requests with a traceparent are traced where it says so, and else not; whoever can ask can say so."});
  v.key("token", c.token, Secret{}, {"What the collector is shown as Authorization: Bearer.", "none"});
  if (c.endpoint.empty()) return;
  if (const Result<WebhookUrl> url = parse_webhook_url(c.endpoint); !url) v.refuse("endpoint", url.error());
}

static void describe(Visitor& v, TlsConfig& c) {
  v.key("certificate", c.certificate, Text{},
        {"The PEM file of this node's certificate, followed by those between it and the root.", "none"});
  v.key("key", c.key, Text{}, {"The PEM file of its private key, without a passphrase.", "none"});
  v.key("client_ca", c.client_ca, Text{},
        {"A PEM file of authorities: clients of TLS listeners must show a certificate issued by one of them.", "none"});
  if (c.certificate.empty() != c.key.empty()) {
    v.refuse(c.certificate.empty() ? "key" : "certificate",
             {"config.value", "tls.certificate and tls.key go only together", "give both"});
  } else if (c.certificate.empty() && !c.client_ca.empty()) {
    v.refuse("client_ca",
             {"config.value", "tls.client_ca goes only with tls.certificate and tls.key", "give them too"});
  }
}

static void describe(Visitor& v, AttemptsConfig& c) {
  constexpr Count kAttempts{1, 1'000'000};
  v.key("critical", c.critical, kAttempts, {"Of critical records."});
  v.key("high", c.high, kAttempts, {"Of high ones."});
  v.key("normal", c.normal, kAttempts, {"Of normal ones."});
  v.key("low", c.low, kAttempts, {"Of low ones."});
}

static void describe(Visitor& v, ParentConfig& c) {
  v.key("url", c.url, ParentUrl{},
        {"The HTTP listener of the node one tier up; empty: this node is the root.", "empty"});
  v.key("ca", c.ca, Text{},
        {"With https: a PEM file of the authorities that the parent's certificate may be issued by.",
         "those of the system"});
  v.key("certificate", c.certificate, Text{},
        {"With https: the PEM file of the certificate that this node shows its parent.", "none"});
  v.key("key", c.key, Text{}, {"With https: the PEM file of its private key, without a passphrase.", "none"});
  v.key("token", c.token, Secret{}, {"A token that this node shows its parent (http.uplink_tokens there).", "none"});
  v.key(
      "paths", c.paths, ParentPaths{},
      {"The ways to the parent, the best first, each with what differs: its url, and the local address or interface to "
       "send from.",
       "one, to url"});
  v.key("redundant", c.redundant, Count{1, 3},
        {"Each batch is sent over so many of the paths at a time; the first answer of the parent counts."});
  if (c.url.empty() && !c.paths.empty()) {
    v.refuse("paths", {"config.value", "parent.paths goes only with parent.url", "give the parent's url too"});
  }
  if (c.redundant > std::max<size_t>(1, c.paths.size())) {
    v.refuse("redundant",
             {"config.value", fmt::format("parent.redundant = {} is more than there are parent.paths", c.redundant),
              "name as many paths, or lower it"});
  }
  const bool any_tls = std::ranges::any_of(c.all_paths(), [](const PathConfig& path) {
    const Result<ParentAddress> parent = parse_parent_url(path.url);
    return parent && parent->tls;
  });
  if (!any_tls) {
    for (const auto& [key, path] : {std::pair("ca", &c.ca), {"certificate", &c.certificate}, {"key", &c.key}}) {
      if (path->empty()) continue;
      v.refuse(key,
               {"config.value", fmt::format("parent.{} goes only with a parent.url that begins with https://", key),
                "write https://, or leave it out"});
    }
  } else if (c.certificate.empty() != c.key.empty()) {
    v.refuse(c.certificate.empty() ? "key" : "certificate",
             {"config.value", "parent.certificate and parent.key go only together", "give both"});
  }
  v.key("batch_bytes_max", c.batch_bytes_max, Size{kKiB, 4 * kMiB}, {"Events are sent in batches of up to this."});
  v.key("batch_age_max", c.batch_age_max, Time{Duration(0), kHour},
        {"How long an event that is not critical may wait for its batch to fill."});
  v.key("backlog_share_percent", c.backlog_share_percent, Count{0, 90},
        {"What is kept of the line for backlog while critical and high events come in as well."});
  v.key("timeout", c.timeout, Time{std::chrono::milliseconds(1), kHour},
        {"How long the parent may take to answer a batch."});
  v.key("retry_max", c.retry_max, Time{std::chrono::milliseconds(1), 24 * kHour},
        {"The longest pause between attempts to reach the parent."});
  v.key("report_every", c.report_every, Time{Duration(0), kHour},
        {"How often the parent is told that this node is there, and how it is; 0s: never. After two of them in a row "
         "that do not come it takes the node for offline."});
  v.section(
      "attempts", c.attempts,
      {"How often a record that the parent refuses for good is offered before it becomes a dead letter. Outages do "
       "not count."});
}

static void describe(Visitor& v, spool::StreamOptions& c) {
  v.key(
      "when_full", c.when_full, when_full_choice(),
      {"What becomes of new records when there is no space: the sender is told and keeps them; the oldest of this "
       "stream "
       "go; the oldest of less important streams go; or, from three quarters full on, only one in two, four, eight is "
       "stored."});
  v.key("ttl", c.ttl, Time{Duration(0), 8760 * kHour}, {"Older records are not sent any more; 0s: no limit."});
}

static void describe(Visitor& v, SpoolConfig& c) {
  v.key("bytes_max", c.bytes_max, Size{64 * kKiB, kPiB}, {"Disk space for events that are not yet delivered."});
  v.key("critical_reserve", c.critical_reserve, Size{0, kPiB},
        {"Of bytes_max, what is kept for critical records.", "a sixteenth of bytes_max"});
  v.key("segment_bytes", c.segment_bytes, Size{4 * kKiB, kGiB},
        {"The size of one file of the spool; space is given back by the file."});
  v.key("sources_max", c.sources_max, Count{1, 16'777'216},
        {"Streams of child nodes whose place is remembered, so that nothing is taken twice."});
  v.key("ttl_stops_in_outage", c.ttl_stops_in_outage, Flag{},
        {"Whether the time in which the parent is out of reach counts for no record's ttl."});
  v.key("encryption_key", c.encryption_key, Secret{},
        {"The key that new files of the spool are encrypted with, 64 hexadecimal digits ('verge spool key new' makes "
         "one).",
         "none: they are not"});
  v.key("decryption_keys", c.decryption_keys, Secrets{},
        {"Earlier keys, for what is there that was encrypted with them."});
  v.section("critical", c.critical, {"The stream of critical records."});
  v.section("high", c.high, {"The stream of high ones."});
  v.section("normal", c.normal, {"The stream of normal ones."});
  v.section("low", c.low, {"The stream of low ones."});
  if (c.critical_reserve > c.bytes_max) {
    v.refuse("critical_reserve",
             {"config.value", "spool.critical_reserve is larger than spool.bytes_max, of which it is kept",
              "lower critical_reserve or raise bytes_max"});
  }
  // The default gives way to a small bytes_max.
  if (c.segment_bytes > c.bytes_max && c.segment_bytes != SpoolConfig{}.segment_bytes) {
    v.refuse("segment_bytes", {"config.value", "spool.segment_bytes is larger than spool.bytes_max",
                               "lower segment_bytes or raise bytes_max"});
  }
}

static void describe(Visitor& v, StoreConfig& c) {
  v.key("engine", c.engine, Choice<StoreEngine>{{{"log", StoreEngine::kLog}, {"nats", StoreEngine::kNats}}},
        {"log: in this node's own logs; nats: on a JetStream stream that several parents share."});
  v.key("urls", c.urls, NatsUrls{}, {"With nats: the servers; any of them will do at first."});
  v.key("stream", c.stream, StreamName{}, {"With nats: the name of the stream; it is made if it is not there."});
  v.key("replicas", c.replicas, Count{1, 5}, {"With nats: how many servers must hold a copy of each message."});
  v.key("overflow_bytes_max", c.overflow_bytes_max, Size{0, kPiB},
        {"With nats and 3 or more replicas: the limit of the stream <stream>_OVERFLOW, made if it is not there, which "
         "takes in what children send while the stream has no leader; 0: none. The same at all parents."});
  v.key("timeout", c.timeout, Time{std::chrono::milliseconds(100), std::chrono::minutes(10)},
        {"With nats: how long a batch is tried before the child is told to send it again; keep it below the children's "
         "parent.timeout."});
  v.key("credentials", c.credentials, Text{},
        {"With nats: the path of a .creds file to log in with; empty: none.", "empty"});
  v.key("token", c.token, Secret{}, {"With nats: the token that the servers ask for.", "none"});
}

static void describe(Visitor& v, DurabilityClass& c) {
  using Level = DurabilityClass::Level;
  using AtBound = DurabilityClass::AtBound;
  v.key("topics", c.topics, Texts{}, {.description = "Topic filters.", .required = true});
  v.key("class", c.level, Choice<Level>{{{"none", Level::kNone}, {"local", Level::kLocal}, {"parent", Level::kParent}}},
        {"What the sender's acknowledgement waits for: nothing, that the message is durable on this disk, or that the "
         "parent has it; with local and parent it is kept whether a rule uploads it or not, unless one drops it."});
  v.key("priority", c.priority, priority_choice(), {"Of messages that are kept though no rule uploads them."});
  v.key("wait", c.wait, Time{std::chrono::milliseconds(10), std::chrono::hours(1)},
        {"With class parent: how long the acknowledgement waits at most."});
  v.key("at_bound", c.at_bound, Choice<AtBound>{{{"acknowledge", AtBound::kAcknowledge}, {"refuse", AtBound::kRefuse}}},
        {"With class parent: what the sender is told after that time: that it is durable here and follows, or to send "
         "it again (PUBACK 0x97, HTTP 503)."});
  for (const std::string& topic : c.topics) {
    if (is_topic_filter(topic)) continue;
    v.refuse("topics", {"config.value", fmt::format("{} is no topic filter", json_string(topic)),
                        "'+' stands alone in a level, '#' alone in the last"});
  }
}

static void describe(Visitor& v, CacheConfig& c) {
  v.key("memory_bytes_max", c.memory_bytes_max, Size{kMiB, kPiB}, {"Memory for stored answers, of all sites."});
  v.key("disk_bytes_max", c.disk_bytes_max, Size{0, kPiB},
        {"Space below data_dir/cache for stored answers, so that there are more and a restart finds them again; 0: "
         "memory only."});
  v.key("limited_clients_max", c.limited_clients_max, Count{64, 16'777'216},
        {"Clients whose requests are counted where sites limit them; then the one with the most left is forgotten for "
         "another."});
  v.key("resolve_every", c.resolve_every, Time{std::chrono::seconds(1), kHour},
        {"How often the names of origins are resolved again; while one cannot be, its last addresses count."});
}

static void describe(Visitor& v, SiteTlsConfig& c) {
  v.key("certificate", c.certificate, Text{},
        {"The PEM file of the certificate for this site's hosts, followed by those between it and the root.",
         "tls.certificate"});
  v.key("key", c.key, Text{}, {"The PEM file of its private key, without a passphrase.", "tls.key"});
  if (c.certificate.empty() != c.key.empty()) {
    v.refuse(c.certificate.empty() ? "key" : "certificate",
             {"config.value", "a site's tls.certificate and tls.key go only together", "give both"});
  }
}

static void describe(Visitor& v, SiteHealthConfig& c) {
  v.key(
      "path", c.path, Text{},
      {"What is asked for with GET; a 2xx or 3xx in time passes. Each event loop asks for itself.", "empty: nothing"});
  v.key("every", c.every, Time{std::chrono::milliseconds(10), kHour}, {"How often."});
  v.key("timeout", c.timeout, Time{std::chrono::milliseconds(1), kHour}, {"How long an answer may take."});
  v.key("passes", c.passes, Count{1, 1000}, {"So many in a row, and an origin that was not is well again."});
  v.key("failures", c.failures, Count{1, 1000},
        {"So many in a row, and an origin is left alone while another is well."});
  if (!c.path.empty() && !c.path.starts_with('/')) {
    v.refuse("path", {"config.value", "the path of a health check begins with /", "write it such as \"/healthz\""});
  }
}

static void describe(Visitor& v, SiteConfig& c) {
  constexpr Time kWait{std::chrono::milliseconds(1), kHour};
  v.key("hosts", c.hosts, HostNames{},
        {.description = "The hosts that this site stands for.", .default_text = {}, .required = true});
  v.key("origins", c.origins, Origins{},
        {"Where its content comes from; requests are divided by weight. Needed where the site has no root or redirect.",
         "none"});
  v.key("origin_ca", c.origin_ca, Text{},
        {"The PEM file of the authorities that the certificates of origins with https:// are checked against.",
         "those of the system"});
  v.key("shield", c.shield, Flag{},
        {"Whether the parent node (parent.url), which has a site for the same hosts, is asked before the origins."});
  describe_policy(v, c, /*is_rule=*/false);
  v.key("object_bytes_max", c.object_bytes_max, Size{kKiB, kGiB}, {"Larger answers are not stored."});
  v.key("sends_client_host", c.sends_client_host, Flag{},
        {"Whether the origin sees the Host that the client asked for, or its own."});
  v.key("connect_timeout", c.connect_timeout, kWait, {"How long a connection to an origin may take."});
  v.key("answer_timeout", c.answer_timeout, kWait, {"How long an origin may take until its answer begins."});
  v.key("idle_timeout", c.idle_timeout, kWait, {"How long an origin may pause within its answer."});
  v.key("connections_max", c.connections_max, Count{1, 65'535}, {"Connections of one event loop to one origin."});
  v.key("failures_max", c.failures_max, Count{1, 1'000'000},
        {"So many failures in a row, and an origin is left alone while another is well."});
  v.key("failure_pause", c.failure_pause, Time{std::chrono::milliseconds(1), 24 * kHour},
        {"For how long, until one request tries it again."});
  v.key("signing_keys", c.signing_keys, SigningKeys{},
        {"The keys that requests may be signed with; several, so that one can follow another.", "none"});
  v.sequence("rule", c.rules, {"Rules for some of its paths; the first that matches counts."});
  v.section("health", c.health, {"Asks each origin now and then whether it is well."});
  v.section("tls", c.tls,
            {"What clients that ask for one of this site's hosts are shown on http.tls_listen; read again on SIGHUP."});
  const bool answers_itself = (c.root && !c.root->empty()) || (c.redirect && !c.redirect->empty());
  if (c.origins.empty() && !answers_itself) {
    v.refuse("", {"config.missing", "a site has origins, a root or a redirect, and this one has none of them",
                  R"(say where its content comes from, such as origins = "http://127.0.0.1:8000")"});
  }
  if (c.redirect && (cache::has_part(*c.redirect, "rest") || cache::has_part(*c.redirect, "1"))) {
    v.refuse("redirect", {"config.value", "the redirect of a whole site has no ${rest} and no ${1}", "use ${path}"});
  }
  const bool asks_for_signatures = c.is_signed.value_or(false) || std::ranges::any_of(c.rules, [](const auto& rule) {
                                     return rule.is_signed.value_or(false);
                                   });
  if (asks_for_signatures && c.signing_keys.empty()) {
    v.refuse(c.is_signed.value_or(false) ? "signed" : "rule",
             {"config.value", "nothing can be signed without a key", "give the site signing_keys"});
  }
}

static void describe(Visitor& v, AccessLogConfig& c) {
  v.key("file", c.file, Text{},
        {"The file that lines are appended to; opened again on SIGUSR1. Empty: none.", "empty"});
  v.key("format", c.format,
        Choice<cache::AccessLogFormat>{
            {{"json", cache::AccessLogFormat::kJson}, {"combined", cache::AccessLogFormat::kCombined}}},
        {"json: one object a line; combined: as Apache's."});
}

static void describe(Visitor& v, RuntimeConfig& c) {
  v.key("loops", c.loops, Count{0, RuntimeConfig::kLoopsMax}, {"Event loops, each a thread; 0: one a core."});
  v.key("scheduling", c.scheduling,
        Choice<LoopScheduling>{{{"normal", LoopScheduling::kNormal}, {"realtime", LoopScheduling::kRealtime}}},
        {"realtime: event loops run before all else on the machine, each on a core of its own."});
}

static void describe(Visitor& v, LogConfig& c) {
  v.key("level", c.level,
        Choice<LogLevel>{{{"debug", LogLevel::kDebug},
                          {"info", LogLevel::kInfo},
                          {"warning", LogLevel::kWarning},
                          {"error", LogLevel::kError}}},
        {"The least level that is written."});
  v.key(
      "format", c.format,
      Choice<LogFormat>{{{"automatic", LogFormat::kAutomatic}, {"text", LogFormat::kText}, {"json", LogFormat::kJson}}},
      {"automatic: text on a terminal, one JSON object a line elsewhere."});
}

void describe(Visitor& v, Config& c) {
  v.section("node", c.node, {"Who this node is."});
  v.section("mqtt", c.mqtt, {"The MQTT broker."});
  v.section("http", c.http, {"The HTTP listener for devices and child nodes."});
  v.section("admin", c.admin, {"The listener for operators."});
  v.section("tls", c.tls, {"What the TLS listeners show and demand; read again on SIGHUP."});
  v.section("parent", c.parent, {"The node one tier up, to which events climb."});
  v.section("spool", c.spool, {"The queue on disk that events climb from."});
  v.sequence("durability", c.durability,
             {"What acknowledgements of messages on some topics mean; of several that match, the first counts."});
  const bool demands_parent = std::ranges::any_of(
      c.durability, [](const DurabilityClass& each) { return each.level == DurabilityClass::Level::kParent; });
  if (demands_parent && c.parent.url.empty()) {
    v.refuse("durability", {"config.value", "a class of durability is \"parent\", and this node has none",
                            "give parent.url, or the class local"});
  }
  v.section("store", c.store, {"Where what child nodes send is kept."});
  v.section("cache", c.cache, {"The HTTP cache."});
  v.sequence("site", c.sites,
             {"A site: hosts whose requests are answered from the cache, or through it from an origin."});
  for (const SiteConfig& site : c.sites) {
    const bool hides = std::ranges::find(site.hosts, "*") != site.hosts.end() && (c.http.ingest || c.http.uplink);
    if (!hides) continue;
    v.refuse("site", {"config.value", "a site for all hosts would hide what devices and child nodes use",
                      "name its hosts, or set http.ingest = false and http.uplink = false"});
    break;
  }
  const bool wants_shield = std::ranges::any_of(c.sites, [](const SiteConfig& site) { return site.shield; });
  if (wants_shield && c.parent.url.empty()) {
    v.refuse("site", {"config.value", "a site has shield = true, and this node has no parent to ask",
                      "give parent.url, or leave shield out"});
  }
  v.section("workers", c.workers_limits,
            {"The isolate processes that workers run in; there are none without a worker."});
  v.section("kv", c.kv, {"Keys and values of workers; nothing is kept without a worker that has a namespace."});
  v.sequence("queue", c.queues, {"A queue of messages, which workers send to and one consumes."});
  v.sequence("worker", c.workers,
             {"A worker: JavaScript that answers requests, and is called by rules and by the clock."});
  for (size_t i = 0; i < c.workers.size(); ++i) {
    const bool is_twice = std::ranges::count(c.workers, c.workers[i].name, &WorkerConfig::name) > 1;
    if (!is_twice) continue;
    v.refuse("worker", {"config.value", fmt::format("two workers are called {}", c.workers[i].name), "rename one"});
    break;
  }
  v.section("traces", c.traces, {"Traces of events and requests, for a collector of OpenTelemetry."});
  v.section("access_log", c.access_log, {"A line for each request to a site."});
  v.section("runtime", c.runtime, {"How the process uses the machine."});
  v.section("log", c.log, {"The log, on stderr."});
  v.section("rules", c.rules_limits, {"What rules may remember."});
  v.sequence("payload", c.payloads, {"How rules read payloads that are not JSON, by topic."});
  v.sequence("table", c.tables, {"A table kept on the node, that rules look values up in."});
  if (c.store.engine == StoreEngine::kNats && !c.parent.url.empty()) {
    v.refuse("parent",
             {"config.value", "parent.url does not go with store.engine = \"nats\": what children send ends there",
              "leave parent.url out, or keep what children send in the log"});
  }
  v.sequence("rule", c.rules, {"A rule: SQL over messages, and what to do with what it selects."});
}

}  // namespace verge::node
