#include "cli/mosquitto_import.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "mqtt/access_rules.h"

namespace verge::cli {
namespace {

constexpr size_t kIncludesMax = 16;

// A TOML basic string: escapes as in JSON, which append_json_string() keeps to.
std::string toml_string(std::string_view text) { return json_string(text); }

std::string toml_list(const std::vector<std::string>& texts) {
  std::vector<std::string> each;
  for (const std::string& text : texts) each.push_back(toml_string(text));
  return fmt::format("[{}]", fmt::join(each, ", "));
}

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

constexpr uint64_t kPortMax = 65'535;

// Who is let in, and to what. With per_listener_settings each listener has its own, else there is one.
struct Security {
  std::optional<bool> allows_anonymous;
  std::string password_path;
  std::string acl_path;

  bool operator==(const Security&) const = default;
};

struct Listener {
  std::string port = "1883";
  std::string address;
  bool is_default = false;  // of the settings before the first `listener`
  bool is_websocket = false;
  bool is_unix = false;
  std::string certificate;
  std::string key;
  std::string authority;
  bool requires_certificate = false;
  bool names_by_certificate = false;
  Security security;
};

struct AccessEntry {
  std::optional<std::string> user;  // nothing: everybody
  std::string access;               // read, write, readwrite, deny
  std::string topic;
};

struct BridgedTopic {
  std::string topic;
  std::string direction = "out";
  std::string qos = "0";
  std::string local_prefix;
  std::string remote_prefix;
};

struct BridgeEntry {
  std::string place;
  std::string name;
  std::string address;
  std::string client_id;
  std::string user;
  bool has_password = false;
  std::string authority;
  std::string certificate;
  std::string key;
  bool is_311 = false;
  std::optional<uint64_t> keep_alive_s;
  std::vector<BridgedTopic> topics;
};

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!(text = trim(text)).empty()) {
    const size_t end = std::min(text.find_first_of(" \t"), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

// Which settings are of the `connection` above them, wherever they stand; all others are of the listener or global,
// also below one (config__read_file_core() of mosquitto 2.0).
bool is_of_bridge(std::string_view key) {
  static const std::set<std::string_view> kNames = {
      "address",       "addresses",   "topic",           "username",           "password",
      "clientid",      "threshold",   "cleansession",    "idle_timeout",       "keepalive_interval",
      "notifications", "round_robin", "restart_timeout", "notification_topic", "notifications_local_only",
      "start_type",    "try_private"};
  return kNames.contains(key) || key.starts_with("bridge_") || key.starts_with("remote_") || key.starts_with("local_");
}

// What narrows who is let in and has no counterpart, with what is lost without it.
std::string_view lost_without(std::string_view key, std::string_view value) {
  static const std::map<std::string_view, std::string_view> kLosses = {
      {"plugin", "a plug-in decides who is let in"},
      {"auth_plugin", "a plug-in decides who is let in"},
      {"psk_file", "pre-shared keys are not offered"},
      {"psk_hint", "pre-shared keys are not offered, and the listener would be without TLS"},
      {"crlfile", "certificates that were revoked would be taken"},
      {"ciphers", "other ciphers would be taken too"},
      {"ciphers_tls1.3", "other ciphers would be taken too"},
      {"mount_point", "clients of the listener would see the topics of all"},
      {"bind_interface", "the listener would be reached by other interfaces too; name an address after the port"},
      {"clientid_prefixes", "clients with other identifiers would be let in"}};
  if (key == "tls_version") return value == "tlsv1.3" ? "TLS 1.2 would be taken too" : "";
  if (key == "use_username_as_clientid") {
    return value == "true" ? "a client could connect with the client identifier of another" : "";
  }
  const auto found = kLosses.find(key);
  return found == kLosses.end() ? "" : found->second;
}

class Import {
 public:
  explicit Import(const ImportFiles& files) : files_(files) { listeners_.push_back({.is_default = true}); }

  Result<void> read(const std::string& path) {
    if (++includes_ > kIncludesMax) return fail("import.syntax", path + ": too many files", "include fewer");
    const Result<std::string> text = files_.read(path);
    if (!text) return std::unexpected(text.error());
    // A file begins with the default listener and below no connection, and so does what comes after it.
    const size_t listener = std::exchange(listener_, 0);
    const bool has_bridge = std::exchange(has_bridge_, false);
    ++depth_;
    const Result<void> taken =
        each_line(path, *text, [this](std::string_view key, std::string_view value) { return take(key, value); });
    --depth_;
    listener_ = listener;
    has_bridge_ = has_bridge;
    return taken;
  }

  Result<MosquittoImport> finish() {
    if (listeners_.size() > 1 && !default_given_) listeners_.erase(listeners_.begin());
    if (is_per_listener_) settle_security();
    if (!security_.acl_path.empty()) {
      if (const Result<void> read = read_access(); !read) return std::unexpected(read.error());
    }
    if (!security_.password_path.empty()) {
      if (const Result<void> read = read_passwords(); !read) return std::unexpected(read.error());
    }
    std::string written;
    write(written);
    MosquittoImport made{.toml = "# From a configuration of mosquitto.\n", .losses = std::move(losses_)};
    for (const std::string& loss : made.losses)
      made.toml.append(fmt::format("# NOT CARRIED OVER: {}\n", printable(loss)));
    made.toml.append(written);
    made.notes = std::move(notes_);
    return made;
  }

 private:
  using Take = std::function<Result<void>(std::string_view key, std::string_view value)>;

  Result<void> each_line(const std::string& path, std::string_view text, const Take& take_line) {
    size_t number = 0;
    const std::string outer = std::exchange(place_, {});
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = trim(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
      place_ = fmt::format("{}:{}", path, ++number);
      if (line.empty() || line.starts_with('#')) continue;
      const size_t space = std::min(line.find_first_of(" \t"), line.size());
      const Result<void> taken = take_line(line.substr(0, space), trim(line.substr(space)));
      if (!taken) return taken;
    }
    place_ = outer;
    return {};
  }

  void note(std::string_view text) { notes_.push_back(fmt::format("{}: {}", place_, text)); }
  void note_without_place(std::string text) { notes_.push_back(std::move(text)); }
  void lose(std::string_view text) { losses_.push_back(fmt::format("{}: {}", place_, text)); }
  void lose_without_place(std::string text) { losses_.push_back(std::move(text)); }

  [[nodiscard]] std::unexpected<Error> wrong(std::string_view key, std::string_view value) const {
    return fail("import.syntax", fmt::format("{}: {} {} is not understood", place_, printable(key), printable(value)),
                "correct it; mosquitto.conf(5) says what may stand there");
  }

  Result<void> take(std::string_view key, std::string_view value) {
    if (is_of_bridge(key)) return has_bridge_ ? take_of_bridge(key, value) : wrong(key, value);
    static const std::set<std::string_view> kNotNeeded = {"persistence_location",
                                                          "persistence_file",
                                                          "autosave_interval",
                                                          "autosave_on_changes",
                                                          "pid_file",
                                                          "user",
                                                          "log_dest",
                                                          "log_type",
                                                          "log_timestamp",
                                                          "log_timestamp_format",
                                                          "connection_messages",
                                                          "set_tcp_nodelay",
                                                          "socket_domain",
                                                          "max_queued_messages",
                                                          "websockets_log_level",
                                                          "memory_limit",
                                                          "upgrade_outgoing_qos",
                                                          "queue_qos0_messages"};
    if (key == "listener") return take_listener(value);
    if (key == "connection") {
      has_bridge_ = true;
      bridges_.push_back({.place = place_, .name = std::string(value)});
    } else if (key == "include_dir") {
      return take_directory(value);
    } else if (key == "persistence") {
      persistence_ = value == "true";
    } else if (const std::string_view loss = lost_without(key, value); !loss.empty()) {
      lose(fmt::format("{} is not carried over: {}", key, loss));
    } else if (kNotNeeded.contains(key)) {
      note(fmt::format("{} has no counterpart", key));
    } else if (!is_of_listener(key)) {
      return is_of_security(key) ? take_security(key, value) : take_number(key, value);
    } else {
      return take_of_listener(key, value);
    }
    return {};
  }

  static bool is_of_security(std::string_view key) {
    return key == "allow_anonymous" || key == "password_file" || key == "acl_file" || key == "per_listener_settings";
  }

  Result<void> take_security(std::string_view key, std::string_view value) {
    if (key == "per_listener_settings") {
      if (has_security_ && value == "true") return wrong(key, value);  // mosquitto asks that it come first
      return take_flag(key, value, is_per_listener_);
    }
    if (value.empty()) return wrong(key, value);
    has_security_ = true;
    Security& security = is_per_listener_ ? listeners_[listener_].security : security_;
    if (key == "password_file") {
      security.password_path = value;
      default_given_ |= is_per_listener_ && listener_ == 0;
    }
    if (key == "acl_file") security.acl_path = value;
    return key == "allow_anonymous" ? take_flag(key, value, security.allows_anonymous.emplace()) : Result<void>();
  }

  // Users and access rules are those of all listeners here.
  void settle_security() {
    security_ = listeners_.front().security;
    for (const Listener& each : listeners_) {
      const bool is_as_the_first = each.security == listeners_.front().security;
      if (!is_as_the_first && !tells_apart_) {
        tells_apart_ = true;
        lose_without_place(
            "per_listener_settings: users, access rules and allow_anonymous differ between listeners, and are those of "
            "all listeners here: make them equal, or run a node for each");
      }
      if (security_.password_path.empty()) security_.password_path = each.security.password_path;
      if (security_.acl_path.empty()) security_.acl_path = each.security.acl_path;
      if (!each.security.allows_anonymous.value_or(false)) security_.allows_anonymous = false;
    }
  }

  Result<void> take_directory(std::string_view value) {
    if (depth_ > 1) {
      note("include_dir has no effect in a file that is included itself");
      return {};
    }
    const Result<std::vector<std::string>> paths = files_.list(std::string(value));
    if (!paths) return std::unexpected(paths.error());
    for (const std::string& path : *paths) {
      if (const Result<void> taken = read(path); !taken) return taken;
    }
    return {};
  }

  static bool is_of_listener(std::string_view key) {
    static const std::set<std::string_view> kNames = {"port",
                                                      "bind_address",
                                                      "protocol",
                                                      "certfile",
                                                      "keyfile",
                                                      "cafile",
                                                      "capath",
                                                      "require_certificate",
                                                      "use_identity_as_username",
                                                      "use_subject_as_username"};
    return kNames.contains(key);
  }

  Result<void> take_of_listener(std::string_view key, std::string_view value) {
    if (key == "port" || key == "bind_address") return take_default_listener(key, value);
    default_given_ |= listener_ == 0;
    Listener& listener = listeners_[listener_];
    if (key == "protocol") {
      listener.is_websocket = value == "websockets";
      if (value != "mqtt" && value != "websockets") note(fmt::format("protocol {} is not offered", value));
      if (listener.is_websocket) note("by WebSocket clients connect at /mqtt; mosquitto takes any path");
    } else if (key == "certfile") {
      listener.certificate = value;
    } else if (key == "keyfile") {
      listener.key = value;
    } else if (key == "cafile") {
      listener.authority = value;
    } else if (key == "capath") {
      note("capath is not carried over: name one file with all authorities");
    } else if (key == "require_certificate") {
      return take_flag(key, value, listener.requires_certificate);
    } else {
      if (value == "true") {
        note(
            "the user is the first URI, DNS name or e-mail address of the certificate's alternative names here, not "
            "its subject");
      }
      return take_flag(key, value, listener.names_by_certificate);
    }
    return {};
  }

  // Wherever they stand, they are of the listener that needs no `listener`.
  Result<void> take_default_listener(std::string_view key, std::string_view value) {
    default_given_ = true;
    is_local_only_ = false;
    if (key == "bind_address") {
      listeners_.front().address = value;
      return {};
    }
    listeners_.front().port = value;
    return is_port(value) ? Result<void>() : wrong(key, value);
  }

  static bool is_port(std::string_view text) {
    const std::optional<uint64_t> port = number_of(text);
    return port && *port > 0 && *port <= kPortMax;
  }

  Result<void> take_listener(std::string_view value) {
    is_local_only_ = false;
    const size_t space = std::min(value.find_first_of(" \t"), value.size());
    Listener listener{.port = std::string(value.substr(0, space)), .address = std::string(trim(value.substr(space)))};
    listener.is_unix = listener.port == "0" && !listener.address.empty();
    if (!is_port(listener.port) && !listener.is_unix) return wrong("listener", value);
    listeners_.push_back(std::move(listener));
    listener_ = listeners_.size() - 1;
    return {};
  }

  // A bridge that would go in clear, or trust whom it does not now.
  static bool is_loss_of_bridge(std::string_view key, std::string_view value) {
    return key == "bridge_capath" || key == "bridge_psk" || key == "bridge_identity" ||
           (key == "bridge_require_ocsp" && value == "true") || (key == "bridge_tls_version" && value == "tlsv1.3");
  }

  // What is of the last `connection`.
  Result<void> take_of_bridge(std::string_view key, std::string_view value) {
    static const std::set<std::string_view> kNotNeeded = {
        "start_type",          "restart_timeout",    "try_private",    "notifications",  "bridge_attempt_unsubscribe",
        "notifications_local", "notification_topic", "local_clientid", "local_username", "local_password",
        "cleansession",        "local_cleansession", "round_robin"};
    BridgeEntry& bridge = bridges_.back();
    if (key == "address" || key == "addresses") {
      const std::vector<std::string> each = words_of(value);
      if (each.empty()) return wrong(key, value);
      if (each.size() > 1) note(fmt::format("the bridge {} goes to {} only", bridge.name, each.front()));
      bridge.address = each.front();
      const bool has_port = bridge.address.rfind(':') != std::string::npos && !bridge.address.ends_with(']');
      if (!has_port) bridge.address.append(":1883");
    } else if (key == "topic") {
      return take_bridged_topic(value);
    } else if (key == "remote_username" || key == "username") {
      bridge.user = value;
    } else if (key == "remote_password" || key == "password") {
      bridge.has_password = true;
    } else if (key == "remote_clientid" || key == "clientid") {
      bridge.client_id = value;
    } else if (key == "bridge_cafile") {
      bridge.authority = value;
    } else if (key == "bridge_certfile") {
      bridge.certificate = value;
    } else if (key == "bridge_keyfile") {
      bridge.key = value;
    } else if (key == "bridge_protocol_version") {
      bridge.is_311 = value == "mqttv311" || value == "mqttv31";
    } else if (key == "keepalive_interval") {
      bridge.keep_alive_s = number_of(value);
      if (!bridge.keep_alive_s) return wrong(key, value);
    } else if (is_loss_of_bridge(key, value)) {
      lose(fmt::format("{} is not carried over: the bridge {} would be less protected", key, bridge.name));
    } else if (kNotNeeded.contains(key)) {
      note(fmt::format("{} has no counterpart", key));
    } else {
      note(fmt::format("{} is not carried over", printable(key)));
    }
    return {};
  }

  Result<void> take_bridged_topic(std::string_view value) {
    const std::vector<std::string> words = words_of(value);
    if (words.empty() || words.size() > 5) return wrong("topic", value);
    const auto text = [&](size_t place) {
      const std::string word = place < words.size() ? words[place] : std::string();
      return word == "\"\"" ? std::string() : word;
    };
    BridgedTopic topic{.topic = text(0)};
    if (words.size() > 1) topic.direction = text(1);
    if (words.size() > 2) topic.qos = text(2);
    topic.local_prefix = text(3);
    topic.remote_prefix = text(4);
    const bool is_direction = topic.direction == "out" || topic.direction == "in" || topic.direction == "both";
    if (!is_direction || (topic.qos != "0" && topic.qos != "1" && topic.qos != "2")) return wrong("topic", value);
    if (topic.topic.empty()) {
      note(fmt::format("the topic {} is not carried over: it maps one topic to another; write a bridge by hand",
                       printable(value)));
      return {};
    }
    bridges_.back().topics.push_back(std::move(topic));
    return {};
  }

  void write_bridges(std::string& out) {
    for (const BridgeEntry& each : bridges_) {
      place_ = each.place;
      if (each.address.empty()) {
        note(fmt::format("the bridge {} has no address and is not carried over", each.name));
        continue;
      }
      const bool any_both =
          std::ranges::any_of(each.topics, [](const auto& topic) { return topic.direction == "both"; });
      out.append(fmt::format("\n[[mqtt.bridge]]\nname = {}\naddress = {}\n", toml_string(each.name),
                             toml_string(each.address)));
      if (each.is_311 && !any_both) out.append("version = \"3.1.1\"\n");
      if (each.is_311 && any_both) {
        note(fmt::format("the bridge {} speaks MQTT 5: with 3.1.1, what goes both ways would come back", each.name));
      }
      const auto text = [&](std::string_view key, const std::string& value) {
        if (!value.empty()) out.append(fmt::format("{} = {}\n", key, toml_string(value)));
      };
      text("client_id", each.client_id);
      text("user", each.user);
      if (each.has_password && !each.user.empty()) {
        const std::string file = fmt::format("bridge-{}.password", each.name);
        out.append(fmt::format("password = {{ file = {} }}\n", toml_string(file)));
        note(fmt::format("put the password of the bridge {} into the file {}", each.name, file));
      }
      if (!each.authority.empty() || !each.certificate.empty()) out.append("tls = true\n");
      text("ca", each.authority);
      text("certificate", each.certificate);
      text("key", each.key);
      if (each.keep_alive_s) {
        out.append(fmt::format("keep_alive = \"{}s\"\n", std::clamp<uint64_t>(*each.keep_alive_s, 1, 65'535)));
      }
      for (const BridgedTopic& topic : each.topics) {
        out.append(fmt::format("\n[[mqtt.bridge.topic]]\ntopic = {}\ndirection = {}\nqos = {}\n",
                               toml_string(topic.topic), toml_string(topic.direction), topic.qos));
        text("local_prefix", topic.local_prefix);
        text("remote_prefix", topic.remote_prefix);
      }
    }
  }

  Result<void> take_flag(std::string_view key, std::string_view value, bool& flag) {
    if (value != "true" && value != "false") return wrong(key, value);
    flag = value == "true";
    return {};
  }

  // Settings that are a number or a time, by the name they have here.
  Result<void> take_number(std::string_view key, std::string_view value) {
    struct Target {
      std::string_view name;
      uint64_t least;
      uint64_t most;
      std::string_view unit = {};
      uint64_t none = 0;  // what 0 stands for there
    };
    static const std::map<std::string_view, Target> kTargets = {
        {"max_connections", {"connections_max", 1, 10'000'000}},
        {"max_inflight_messages", {"inflight_max", 1, 65'535, "", 65'535}},
        {"max_queued_bytes", {"queue_bytes_max", 1024, 1ULL << 30, "", 1ULL << 30}},
        {"max_packet_size", {"packet_bytes_max", 128, 16ULL << 20, "", 16ULL << 20}},
        {"message_size_limit", {"packet_bytes_max", 128, 16ULL << 20, "", 16ULL << 20}},
        {"max_keepalive", {"keep_alive_max", 0, 65'535, "s", 0}},
        {"max_topic_alias", {"topic_aliases_max", 0, 65'535}},
        {"sys_interval", {"sys_every", 0, 3600, "s", 0}}};
    if (key == "persistent_client_expiration") {
      static const std::map<char, std::pair<uint64_t, char>> kUnits = {
          {'h', {1, 'h'}}, {'d', {1, 'd'}}, {'w', {7, 'd'}}, {'m', {30, 'd'}}, {'y', {365, 'd'}}};
      const auto unit = value.empty() ? kUnits.end() : kUnits.find(value.back());
      const std::optional<uint64_t> count = number_of(value.substr(0, value.empty() ? 0 : value.size() - 1));
      if (unit == kUnits.end() || !count) return wrong(key, value);
      settings_["session_expiry_max"] =
          toml_string(fmt::format("{}{}", *count * unit->second.first, unit->second.second));
      return {};
    }
    if (key == "retain_available") {
      if (value == "false") settings_["retained_max"] = "0";
      return {};
    }
    const auto target = kTargets.find(key);
    if (target == kTargets.end()) {
      note(fmt::format("{} is not carried over", printable(key)));
      return {};
    }
    if (value == "-1") return {};  // without a limit
    const std::optional<uint64_t> number = number_of(value);
    if (!number) return wrong(key, value);
    const Target& its = target->second;
    const uint64_t wanted = *number == 0 ? its.none : *number;
    const uint64_t set = std::clamp(wanted, its.least, its.most);
    if (set != *number) note(fmt::format("{} is {}{} here", its.name, set, its.unit));
    settings_[std::string(its.name)] =
        its.unit.empty() ? fmt::format("{}", set) : toml_string(fmt::format("{}{}", set, its.unit));
    return {};
  }

  Result<void> read_access() {
    const Result<std::string> text = files_.read(security_.acl_path);
    if (!text) return std::unexpected(text.error());
    std::optional<std::string> user = "";  // until the first line that names one: who gives none
    return each_line(security_.acl_path, *text, [&](std::string_view key, std::string_view value) -> Result<void> {
      if (key == "user") {
        user = value;
        return {};
      }
      if (key != "topic" && key != "pattern") return wrong(key, value);
      const std::string_view first = value.substr(0, std::min(value.find_first_of(" \t"), value.size()));
      AccessEntry entry{.user = key == "pattern" ? std::nullopt : user, .access = "readwrite", .topic = {}};
      if (first == "read" || first == "write" || first == "readwrite" || first == "deny") {
        entry.access = first;
        value = trim(value.substr(first.size()));
      }
      entry.topic = value;
      const bool has_placeholder = value.find('%') != std::string_view::npos;
      if (!mqtt::is_access_pattern(value)) return wrong(key, value);
      if (key == "topic" && has_placeholder) note("% stands for a name here, also in lines of topics");
      entries_.push_back(std::move(entry));
      return {};
    });
  }

  Result<void> read_passwords() {
    const Result<std::string> text = files_.read(security_.password_path);
    if (!text) return std::unexpected(text.error());
    std::string_view rest = *text;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = trim(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (const size_t colon = line.find(':'); colon != std::string_view::npos && colon > 0) {
        users_.emplace_back(line.substr(0, colon));
      }
    }
    return {};
  }

  void write(std::string& out) {
    std::vector<std::string> keys[2][2];  // by WebSocket, by TLS
    std::vector<std::string> paths;       // of Unix sockets
    bool is_exposed = false;
    for (const Listener& each : listeners_) {
      if (each.is_unix) {
        paths.push_back(each.address);
        continue;
      }
      const bool is_secure = !each.certificate.empty();
      std::string host = !each.address.empty() ? each.address : is_local_only_ ? "127.0.0.1" : "0.0.0.0";
      if (host == "localhost") host = "127.0.0.1";
      if (host.find(':') != std::string::npos) host = "[" + host + "]";
      keys[each.is_websocket ? 1 : 0][is_secure ? 1 : 0].push_back(host + ":" + each.port);
      is_exposed |= !is_secure && host != "127.0.0.1" && host != "[::1]";
    }
    if (is_exposed) {
      out.append("\n[node]\n# A listener without TLS that others reach must be asked for:\n# allow_anonymous = true\n");
      note_without_place("a listener without TLS is open to other machines: verge check says what to do about it");
    }
    out.append("\n[mqtt]\n");
    constexpr std::string_view kNames[2][2] = {{"listen", "tls_listen"}, {"ws_listen", "ws_tls_listen"}};
    for (const int websocket : {0, 1}) {
      for (const int tls : {0, 1}) {
        const std::vector<std::string>& addresses = keys[websocket][tls];
        const bool is_on_otherwise = websocket == 0 && tls == 0;
        if (addresses.empty() && !is_on_otherwise) continue;
        out.append(fmt::format("{} = {}\n", kNames[websocket][tls], toml_list(addresses)));
      }
    }
    if (!paths.empty()) out.append(fmt::format("unix_listen = {}\n", toml_list(paths)));
    for (const auto& [name, value] : settings_) out.append(fmt::format("{} = {}\n", name, value));
    if (persistence_ == false) out.append("durable_sessions = false\ndurable_retained = false\n");
    std::string tls;
    const bool knows_by_certificate = write_tls(tls);
    if (std::ranges::any_of(listeners_, &Listener::names_by_certificate)) out.append("certificate_users = true\n");
    write_users(out, knows_by_certificate);
    out.append(tls);
    write_access(out);
    write_bridges(out);
  }

  // One certificate and one authority are those of all listeners with TLS here. Whether each client of each listener
  // must show a certificate that says who it is.
  bool write_tls(std::string& out) {
    const Listener* shown = nullptr;
    const Listener* asking = nullptr;
    bool knows_all = true;
    for (const Listener& each : listeners_) {
      knows_all &= !each.certificate.empty() && each.requires_certificate && each.names_by_certificate;
      if (each.certificate.empty()) continue;
      if (shown == nullptr) shown = &each;
      if (shown->certificate != each.certificate || shown->key != each.key) {
        note_without_place(fmt::format("all listeners with TLS show one certificate here: {}", shown->certificate));
      }
      if (!each.requires_certificate) continue;
      if (asking == nullptr) asking = &each;
      if (each.authority.empty() || each.authority != asking->authority) {
        lose_without_place(fmt::format(
            "the listener {} asks for certificates of {}: all listeners with TLS ask for those of one file here",
            each.port, each.authority.empty() ? "authorities that cafile does not name" : each.authority));
      }
      if (each.names_by_certificate != asking->names_by_certificate) {
        lose_without_place(fmt::format(
            "the listener {} tells users by certificate and another by password: here a certificate would do for both",
            (each.names_by_certificate ? each : *asking).port));
      }
    }
    if (shown == nullptr) return false;
    out.append(
        fmt::format("\n[tls]\ncertificate = {}\nkey = {}\n", toml_string(shown->certificate), toml_string(shown->key)));
    if (asking != nullptr && !asking->authority.empty()) {
      out.append(fmt::format("client_ca = {}\n", toml_string(asking->authority)));
    }
    return knows_all;
  }

  void write_users(std::string& out, bool knows_by_certificate) {
    const bool anonymous = security_.allows_anonymous.value_or(is_local_only_);
    if (security_.password_path.empty() && (anonymous || knows_by_certificate)) return;
    out.append("password_file = \"passwords\"\n");
    if (security_.password_path.empty()) {
      note_without_place(
          "mosquitto lets nobody in without allow_anonymous, and so does the node, whose password file is empty: "
          "create "
          "it with verge passwd passwords USER");
      return;
    }
    if (anonymous) {
      out.append("anonymous = true\n");
      note_without_place("clients without a user name are let in from this machine only");
    }
    std::vector<std::string> shown;
    for (const std::string& user : users_) shown.push_back(printable(user));
    note_without_place(
        fmt::format("passwords cannot be taken along; give them again with verge passwd passwords USER, "
                    "for: {}",
                    fmt::join(shown, ", ")));
  }

  // Those that deny first, as mosquitto looks at them.
  void write_access(std::string& out) {
    for (const bool denying : {true, false}) {
      for (const AccessEntry& each : entries_) {
        if ((each.access == "deny") != denying) continue;
        out.append("\n[[mqtt.acl]]\n");
        if (each.user) out.append(fmt::format("users = {}\n", toml_list({*each.user})));
        out.append(fmt::format("topics = {}\n", toml_string(each.topic)));
        if (each.access == "read") out.append("actions = \"subscribe\"\n");
        if (each.access == "write") out.append("actions = \"publish\"\n");
        if (denying) out.append("allow = false\n");
      }
    }
    if (security_.acl_path.empty()) return;
    if (entries_.empty()) out.append("\n[[mqtt.acl]]\ntopics = \"#\"\nallow = false\n");
    note_without_place(
        "a subscription that is wider than what a client may read is refused here, and granted by mosquitto");
  }

  const ImportFiles& files_;
  std::string place_;
  size_t includes_ = 0;
  size_t depth_ = 0;  // 1: in the file that was asked for
  std::vector<Listener> listeners_;
  size_t listener_ = 0;  // that settings are of
  bool default_given_ = false;
  bool is_local_only_ = true;  // without any listener mosquitto is for this machine only
  bool has_bridge_ = false;
  bool is_per_listener_ = false;
  bool has_security_ = false;
  bool tells_apart_ = false;
  Security security_;
  std::optional<bool> persistence_;
  std::map<std::string, std::string> settings_;  // of [mqtt], as TOML
  std::vector<AccessEntry> entries_;
  std::vector<BridgeEntry> bridges_;
  std::vector<std::string> users_;
  std::vector<std::string> losses_;
  std::vector<std::string> notes_;
};

}  // namespace

Result<MosquittoImport> import_mosquitto(const std::string& path, const ImportFiles& files) {
  Import import(files);
  if (const Result<void> read = import.read(path); !read) return std::unexpected(read.error());
  return import.finish();
}

}  // namespace verge::cli
