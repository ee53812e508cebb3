// Credentials: what the configuration names and does not hold: certificates, keys, secrets and workers' modules, read
// from their files and from the environment. Read at the start, by `verge check`, and again on SIGHUP.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/bearer_tokens.h"
#include "net/tls_context.h"
#include "node/config.h"
#include "node/password_file.h"
#include "node/worker_spec.h"
#include "storage/key_ring.h"

namespace verge::node {

struct Credentials {
  // For the TLS listeners; null without tls.certificate.
  std::shared_ptr<const net::TlsContext> mqtt;
  std::shared_ptr<const net::TlsContext> http;
  // Those of sites, by the key that names them; `http` shows them.
  std::vector<std::pair<std::string, std::shared_ptr<const net::TlsContext>>> sites;
  // Who may connect by MQTT; null without mqtt.password_file.
  std::shared_ptr<const PasswordFile> passwords;
  // Who may send a child's batches; never null.
  std::shared_ptr<const net::BearerTokens> uplink_tokens;
  // Who may use the admin listener from elsewhere; never null.
  std::shared_ptr<const net::BearerTokens> admin_tokens;
  // For the parent, by path: null with http; the token is empty without parent.token.
  std::vector<std::shared_ptr<const net::TlsContext>> parent;
  std::string parent_token;
  // For the brokers of mqtt.bridge, in that order: null without tls; empty without a password.
  struct Bridge {
    std::shared_ptr<const net::TlsContext> tls;
    std::string password;
  };
  std::vector<Bridge> bridges;
  // For the NATS servers; empty without store.token.
  std::string store_token;
  // For the collector of traces; empty without traces.token.
  std::string traces_token;
  storage::Keys spool_keys;
  std::vector<WorkerSpec> workers;  // their modules and secrets
  // Who may deploy workers; never null.
  std::shared_ptr<const net::BearerTokens> deploy_tokens;
};

// All that is wrong is found at once, each placed at its key. Codes: config.secret, config.missing (a TLS listener
// without a certificate), workers.file, and those of net::TlsContext.
std::expected<Credentials, ConfigProblems> load_credentials(const Config& config);

// The first line of the file, or the variable. A token has 1 to 4,096 visible ASCII characters (RFC 6750 section 2.1 is
// stricter). Error: config.secret, which never shows the secret.
Result<std::string> read_secret(const SecretSource& source);

// The same for a key of the spool: 64 hexadecimal digits, in a file that only its owner and its group may read.
Result<crypto::Key> read_key(const SecretSource& source);

// spool.encryption_key and spool.decryption_keys. Code: config.secret.
std::expected<storage::Keys, ConfigProblems> load_spool_keys(const Config& config);

}  // namespace verge::node
