// TlsContext: what TLS connections of one listener, or to one server, have in common: certificate and key, who is
// trusted, what is resumed. TLS 1.2 (RFC 5246, RFC 7627) and 1.3 (RFC 8446), forward secrecy only, no renegotiation,
// no compression, no passphrases.
//
// A context is never changed: to read certificates again, make another and use it for connections from then on. Those
// that stand keep theirs, and tickets of the old one are not resumed by the new one, so that nobody stays trusted for
// having been trusted before.
//
// Files are PEM. Errors name the file, the reason and what to do: net.certificate (it, or its chain), net.private-key
// (cannot be read, needs a passphrase, belongs to another certificate), net.certificate-authority.
//
// Threading: a context is shared by threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/hash.h"

struct ssl_ctx_st;
struct ssl_st;
struct bio_method_st;

namespace verge::net {

class TlsSession;

// Paths of PEM files; both or neither.
struct TlsIdentity {
  std::string certificate;  // followed by the certificates between it and the root, in that order
  std::string key;
};

class TlsContext : public std::enable_shared_from_this<TlsContext> {
 public:
  // A certificate of its own for clients that ask for one of these names (server_name, RFC 6066 section 3): host names
  // in lower case, "*.example.com" for all below example.com, "*" for all others.
  struct Named {
    std::vector<std::string> names;
    std::shared_ptr<const TlsContext> context;  // made with the same options but for its identity
  };
  struct Server {
    TlsIdentity identity;                // shown where `named` has nothing for the name, or the client gives none
    std::string client_ca;               // path; when given, clients must show a certificate that it vouches for
    std::vector<std::string> protocols;  // ALPN (RFC 7301): the first of these that is offered is chosen
    // Who offers other protocols only is refused, as RFC 7301 section 3.2 asks; otherwise they are passed over.
    bool protocol_required = false;
    std::vector<Named> named;  // of two for one name, the first
  };
  struct Client {
    std::string server_name;  // a host name or an IP address: what the server's certificate must be for (RFC 9525)
    std::string ca;           // path of the authorities to trust; empty: those of the system
    TlsIdentity identity;     // shown to servers that ask; empty: none
    std::vector<std::string> protocols;  // ALPN, the preferred one first
  };
  static Result<std::shared_ptr<const TlsContext>> server(const Server& options);
  static Result<std::shared_ptr<const TlsContext>> client(const Client& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // A connection before its handshake, as server or as client.
  [[nodiscard]] std::unique_ptr<TlsSession> make_session() const;

  // When the own certificate ends, in seconds since 1970; 0 without one.
  [[nodiscard]] int64_t certificate_ends() const { return certificate_ends_; }
  // From when on it is good, likewise.
  [[nodiscard]] int64_t certificate_begins() const { return certificate_begins_; }

 private:
  friend class TlsSession;
  struct Resumption;
  explicit TlsContext(bool is_server);
  Result<void> use_identity(const TlsIdentity& identity);
  Result<void> use_certificate(const std::string& path);
  Result<void> use_key(const TlsIdentity& identity);
  Result<void> trust(const std::string& path);
  void add_names(const std::vector<Named>& named);
  // Null: this one.
  [[nodiscard]] const TlsContext* for_name(std::string_view name) const;
  static int choose_certificate(ssl_st* ssl, int* alert, void* context);
  static int choose_protocol(ssl_st* ssl, const unsigned char** chosen, unsigned char* chosen_bytes,
                             const unsigned char* offered, unsigned int offered_bytes, void* context);

  const bool is_server_;
  bool protocol_required_ = false;
  int64_t certificate_ends_ = 0;
  int64_t certificate_begins_ = 0;
  std::string server_name_;
  std::vector<std::string> protocols_;
  // By host name, ".example.com" for "*.example.com", "*".
  std::unordered_map<std::string, std::shared_ptr<const TlsContext>, StringHash, std::equal_to<>> named_;
  ssl_ctx_st* context_ = nullptr;
  bio_method_st* wire_ = nullptr;           // how sessions hand bytes to OpenSSL
  std::unique_ptr<Resumption> resumption_;  // of a client
};

}  // namespace verge::net
