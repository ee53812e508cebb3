#include "node/credentials.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/named_file.h"
#include "base/text.h"
#include "isolates/worker_source.h"
#include "node/config_address.h"
#include "node/url_signature.h"

namespace verge::node {
namespace {

constexpr size_t kSecretBytesMax = 4096;
constexpr size_t kFileBytesMax = 1U << 20;  // of which only the first line is the secret

Result<std::string> read_first_line(const std::string& path) {
  const auto text = read_named_file(path, kFileBytesMax);
  if (text) return text->substr(0, text->find('\n'));
  const Unread& unread = text.error();
  return fail("config.secret", fmt::format("the secret in {} cannot be read: {}", path, unread.why),
              unread.number == EACCES ? "let the user that the node runs as read it"
                                      : "give the path of a file with the secret");
}

// Loads with `load`; what is wrong is placed at the key that it is about.
class Loading {
 public:
  explicit Loading(const Config& config) : config_(config) {}

  void refuse(std::string_view key, Error error) {
    error.what = fmt::format("{}: {}", key, error.what);
    problems_.push_back({std::move(error), config_.place_of(key)});
  }

  // `table`: which has the keys; `authority`: its key for whom to trust.
  std::shared_ptr<const net::TlsContext> take(Result<std::shared_ptr<const net::TlsContext>> made,
                                              std::string_view table, std::string_view authority) {
    if (made) return *std::move(made);
    std::string_view key = "certificate";
    if (made.error().code == "net.private-key") key = "key";
    if (made.error().code == "net.certificate-authority") key = authority;
    refuse(fmt::format("{}.{}", table, key), std::move(made.error()));
    return nullptr;
  }

  std::string secret(std::string_view key, const SecretSource& source) {
    Result<std::string> read = read_secret(source);
    if (read) return *std::move(read);
    refuse(key, std::move(read.error()));
    return {};
  }

  ConfigProblems& problems() { return problems_; }

 private:
  const Config& config_;
  ConfigProblems problems_;
};

void load_listeners(const Config& config, Loading& loading, Credentials& credentials) {
  const std::pair<std::string_view, const std::vector<std::string>*> listeners[] = {
      {"mqtt.tls_listen", &config.mqtt.tls_listen},
      {"mqtt.ws_tls_listen", &config.mqtt.ws_tls_listen},
      {"http.tls_listen", &config.http.tls_listen}};
  if (config.tls.certificate.empty()) {
    for (const auto& [key, addresses] : listeners) {
      if (addresses->empty()) continue;
      loading.refuse(key, {"config.missing", "there is no certificate for TLS", "give tls.certificate and tls.key"});
    }
    return;
  }
  net::TlsContext::Server options{.identity = {.certificate = config.tls.certificate, .key = config.tls.key},
                                  .client_ca = config.tls.client_ca,
                                  .protocols = {"h2", "http/1.1"},
                                  .protocol_required = true};
  std::vector<net::TlsContext::Named> named;
  for (size_t i = 0; i < config.sites.size(); ++i) {
    const SiteConfig& site = config.sites[i];
    if (site.tls.certificate.empty()) continue;
    net::TlsContext::Server own = options;
    own.identity = {.certificate = site.tls.certificate, .key = site.tls.key};
    const std::string table = fmt::format("site.{}.tls", i);
    // With the common authority at fault, it is complained of once, below.
    auto made = net::TlsContext::server(own);
    if (!made && made.error().code == "net.certificate-authority") continue;
    auto context = loading.take(std::move(made), table, "client_ca");
    if (!context) continue;
    named.push_back({.names = site.hosts, .context = context});
    credentials.sites.emplace_back(table + ".certificate", std::move(context));
  }
  options.named = std::move(named);
  credentials.http = loading.take(net::TlsContext::server(options), "tls", "client_ca");
  if (!credentials.http) return;
  options.named.clear();
  options.protocols = {"mqtt"};
  options.protocol_required = false;
  credentials.mqtt = loading.take(net::TlsContext::server(options), "tls", "client_ca");
}

}  // namespace

Result<std::string> read_secret(const SecretSource& source) {
  std::string secret;
  std::string where;
  if (source.kind == SecretSource::Kind::kFile) {
    Result<std::string> line = read_first_line(source.name);
    if (!line) return line;
    secret = std::string(trim(*line));
    where = "the first line of " + source.name;
  } else {
    const char* value = std::getenv(source.name.c_str());
    where = "the environment variable " + source.name;
    if (value == nullptr) {
      return fail("config.secret", where + " is not set", "set it where the node is started, or use { file = \"…\" }");
    }
    secret = std::string(trim(value));
  }
  if (secret.empty()) return fail("config.secret", where + " is empty", "put the secret there");
  if (secret.size() > kSecretBytesMax || !std::ranges::all_of(secret, [](char c) { return c > 0x20 && c < 0x7f; })) {
    return fail("config.secret", where + " is no token", "a token has 1 to 4,096 visible ASCII characters, no blanks");
  }
  return secret;
}

Result<crypto::Key> read_key(const SecretSource& source) {
  const bool is_file = source.kind == SecretSource::Kind::kFile;
  struct stat about{};
  if (is_file && ::stat(source.name.c_str(), &about) == 0 && (about.st_mode & (S_IWGRP | S_IRWXO)) != 0 &&
      !S_ISDIR(about.st_mode)) {
    return fail("config.secret",
                fmt::format("the key in {} is open to others (mode {:04o})", source.name, about.st_mode & 07777U),
                fmt::format("chmod 600 {}; if somebody else may have read it, make another", source.name));
  }
  const Result<std::string> text = read_secret(source);
  if (!text) return std::unexpected(text.error());
  if (const std::optional<crypto::Key> key = crypto::Key::parse(*text)) return *key;
  return fail("config.secret",
              fmt::format("{} {} holds {} characters, and a key is 64 hexadecimal digits",
                          is_file ? "the first line of" : "the environment variable", source.name, text->size()),
              "make one with: verge spool key new --out FILE");
}

namespace {

storage::Keys load_spool_keys(const Config& config, Loading& loading) {
  storage::Keys keys;
  const auto load = [&](std::string_view name, const SecretSource& source) -> std::optional<crypto::Key> {
    const Result<crypto::Key> key = read_key(source);
    if (key) return *key;
    loading.refuse(name, key.error());
    return std::nullopt;
  };
  if (config.spool.encryption_key) keys.writing = load("spool.encryption_key", *config.spool.encryption_key);
  for (const SecretSource& source : config.spool.decryption_keys) {
    if (const auto key = load("spool.decryption_keys", source)) keys.reading.push_back(*key);
  }
  return keys;
}

// One context a server, so that paths to the same one resume each other's sessions.
void load_parent(const Config& config, Loading& loading, Credentials& credentials) {
  std::map<std::string, std::shared_ptr<const net::TlsContext>> made;
  for (const PathConfig& path : config.parent.all_paths()) {
    std::shared_ptr<const net::TlsContext>& context = credentials.parent.emplace_back();
    const Result<ParentAddress> parent = parse_parent_url(path.url);
    if (!parent || !parent->tls) continue;
    const auto [place, is_new] = made.try_emplace(parent->at.host);
    if (is_new) {
      place->second = loading.take(
          net::TlsContext::client({.server_name = parent->at.host,
                                   .ca = config.parent.ca,
                                   .identity = {.certificate = config.parent.certificate, .key = config.parent.key},
                                   .protocols = {"http/1.1"}}),
          "parent", "ca");
      if (!place->second) return;  // the files are the same for the others
    }
    context = place->second;
  }
}

void load_bridges(const Config& config, Loading& loading, Credentials& credentials) {
  for (size_t i = 0; i < config.mqtt.bridges.size(); ++i) {
    const BridgeConfig& bridge = config.mqtt.bridges[i];
    const std::string table = fmt::format("mqtt.bridge.{}", i);
    Credentials::Bridge& loaded = credentials.bridges.emplace_back();
    if (bridge.password) loaded.password = loading.secret(table + ".password", *bridge.password);
    if (!bridge.tls) continue;
    loaded.tls =
        loading.take(net::TlsContext::client({.server_name = bridge.host(),
                                              .ca = bridge.ca,
                                              .identity = {.certificate = bridge.certificate, .key = bridge.key},
                                              .protocols = {}}),
                     table, "ca");
  }
}

}  // namespace

std::expected<storage::Keys, ConfigProblems> load_spool_keys(const Config& config) {
  Loading loading(config);
  storage::Keys keys = load_spool_keys(config, loading);
  if (!loading.problems().empty()) return std::unexpected(std::move(loading.problems()));
  return keys;
}

// What sites name: read again, and kept, by site_options().
static void check_sites(const Config& config, Loading& loading) {
  const auto check_root = [&](const std::string& key, const std::optional<std::string>& root) {
    struct stat about{};
    if (!root || root->empty() || (::stat(root->c_str(), &about) == 0 && S_ISDIR(about.st_mode))) return;
    loading.refuse(key, {"config.value", fmt::format("{} is no directory", *root), "give the path of one"});
  };
  for (size_t i = 0; i < config.sites.size(); ++i) {
    const SiteConfig& site = config.sites[i];
    const std::string path = fmt::format("site.{}", i);
    for (const SigningKeyConfig& key : site.signing_keys) {
      if (const auto read = read_signing_key(key.file); !read) loading.refuse(path + ".signing_keys", read.error());
    }
    check_root(path + ".root", site.root);
    for (size_t j = 0; j < site.rules.size(); ++j)
      check_root(fmt::format("{}.rule.{}.root", path, j), site.rules[j].root);
  }
}

static std::vector<WorkerSpec> load_workers(const Config& config, Loading& loading) {
  std::vector<WorkerSpec> specs;
  for (size_t i = 0; i < config.workers.size(); ++i) {
    WorkerSpec& spec = specs.emplace_back();
    spec.config = config.workers[i];
    const std::string path = fmt::format("worker.{}", i);
    Result<std::vector<isolates::ModuleSource>> modules = isolates::read_modules(spec.config.file);
    if (!modules) loading.refuse(path + ".file", modules.error());
    if (modules) spec.modules = std::move(*modules);
    if (const Result<void> dated = settle_compatibility_date(spec); !dated)
      loading.refuse(path + ".file", dated.error());
    spec.variables = spec.config.env;
    for (const auto& [name, source] : spec.config.secrets) {
      spec.variables.emplace_back(name, loading.secret(path + ".secrets", source));
    }
  }
  return specs;
}

std::expected<Credentials, ConfigProblems> load_credentials(const Config& config) {
  Loading loading(config);
  check_sites(config, loading);
  Credentials credentials;
  load_listeners(config, loading, credentials);
  std::vector<std::string> tokens;
  for (const SecretSource& source : config.http.uplink_tokens) {
    tokens.push_back(loading.secret("http.uplink_tokens", source));
  }
  credentials.uplink_tokens = std::make_shared<const net::BearerTokens>(tokens);
  tokens.clear();
  for (const SecretSource& source : config.admin.tokens) tokens.push_back(loading.secret("admin.tokens", source));
  credentials.admin_tokens = std::make_shared<const net::BearerTokens>(tokens);
  tokens.clear();
  for (const SecretSource& source : config.workers_limits.deploy_tokens) {
    tokens.push_back(loading.secret("workers.deploy_tokens", source));
  }
  credentials.deploy_tokens = std::make_shared<const net::BearerTokens>(tokens);
  if (!config.mqtt.password_file.empty()) {
    Result<PasswordFile> passwords = PasswordFile::read(config.mqtt.password_file);
    if (passwords) {
      credentials.passwords = std::make_shared<const PasswordFile>(std::move(*passwords));
    } else {
      loading.refuse("mqtt.password_file", std::move(passwords.error()));
    }
  }
  if (config.parent.token) credentials.parent_token = loading.secret("parent.token", *config.parent.token);
  if (config.store.token) credentials.store_token = loading.secret("store.token", *config.store.token);
  if (config.traces.token) credentials.traces_token = loading.secret("traces.token", *config.traces.token);
  credentials.spool_keys = load_spool_keys(config, loading);
  load_parent(config, loading, credentials);
  load_bridges(config, loading, credentials);
  credentials.workers = load_workers(config, loading);
  if (!loading.problems().empty()) return std::unexpected(std::move(loading.problems()));
  return credentials;
}

}  // namespace verge::node
