#include "net/tls_context.h"

#include <cerrno>
#include <mutex>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/assert.h"
#include "base/named_file.h"
#include "net/tls_session.h"

namespace verge::net {
namespace {

constexpr std::string_view kCertificate = "net.certificate";
constexpr std::string_view kPrivateKey = "net.private-key";
constexpr std::string_view kAuthority = "net.certificate-authority";

constexpr size_t kFileBytesMax = 4U << 20;
constexpr long kTicketSeconds = 3600;
constexpr int64_t kSecondsADay = 86'400;
// TLS 1.2 with forward secrecy and authenticated encryption; those of 1.3 all are.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

template <auto free_it>
struct Freed {
  template <class T>
  void operator()(T* it) const {
    free_it(it);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

// Why OpenSSL refused, in its words; forgets the rest of what it noted.
std::string take_reason() {
  const unsigned long number = ERR_peek_last_error();
  const char* reason = number == 0 ? nullptr : ERR_reason_error_string(number);
  std::string text = reason == nullptr ? "the reason is unknown" : reason;
  ERR_clear_error();
  return text;
}

// `what`: "the certificate". Errors: `code`.
Result<std::string> read_pem(const std::string& path, std::string_view code, std::string_view what) {
  auto text = read_named_file(path, kFileBytesMax);
  if (text) return *std::move(text);
  const Unread& unread = text.error();
  const bool is_forbidden = unread.number == EACCES || unread.number == EPERM;
  return fail(code, fmt::format("{} {} cannot be read: {}", what, path, unread.why),
              is_forbidden ? "let the user that the node runs as read it" : "give the path of a PEM file");
}

Bio bio_over(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// A passphrase could only stand beside the key it protects: there is none.
int no_passphrase(char*, int, int, void*) { return -1; }

// All certificates of a file, at least one.
Result<std::vector<Certificate>> read_certificates(const std::string& path, std::string_view code,
                                                   std::string_view what) {
  const Result<std::string> text = read_pem(path, code, what);
  if (!text) return std::unexpected(text.error());
  const Bio bio = bio_over(*text);
  std::vector<Certificate> found;
  ERR_clear_error();
  while (X509* each = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) found.emplace_back(each);
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string reason = take_reason();
  if (!at_end) {
    return fail(code, fmt::format("{} {} is damaged: {}", what, path, reason),
                "restore the file, or have it issued again");
  }
  if (found.empty()) {
    return fail(code, fmt::format("{} {} holds no certificate", what, path),
                "give a PEM file with a part -----BEGIN CERTIFICATE-----");
  }
  return found;
}

bool is_ip_address(const std::string& name) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str());
  ERR_clear_error();
  ASN1_OCTET_STRING_free(address);
  return address != nullptr;
}

int64_t seconds_of(const ASN1_TIME* time) {
  int days = 0;
  int seconds = 0;
  const std::unique_ptr<ASN1_TIME, Freed<ASN1_TIME_free>> epoch(ASN1_TIME_set(nullptr, 0));
  if (ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) return 0;
  return days * kSecondsADay + seconds;
}

// As ALPN sends it: each behind its length.
std::string protocol_list(const std::vector<std::string>& protocols) {
  std::string list;
  for (const std::string& each : protocols) list.append(1, static_cast<char>(each.size())).append(each);
  return list;
}

}  // namespace

// The ticket to resume with, as the server gave it last.
struct TlsContext::Resumption {
  ~Resumption() { SSL_SESSION_free(session); }
  void replace(SSL_SESSION* fresh) {
    const std::lock_guard lock(mutex);
    SSL_SESSION_free(session);
    session = fresh;
  }
  static int on_new_session(SSL* ssl, SSL_SESSION* fresh) {
    static_cast<Resumption*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->replace(fresh);
    return 1;  // kept
  }

  std::mutex mutex;
  SSL_SESSION* session = nullptr;
};

TlsContext::TlsContext(bool is_server)
    : is_server_(is_server),
      context_(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method())),
      wire_(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "verge")) {
  VERGE_ASSERT(context_ != nullptr && wire_ != nullptr);
  BIO_meth_set_read(wire_, TlsSession::read_wire);
  BIO_meth_set_write(wire_, TlsSession::write_wire);
  BIO_meth_set_ctrl(wire_, TlsSession::control_wire);
  VERGE_ASSERT(SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION) == 1);
  VERGE_ASSERT(SSL_CTX_set_cipher_list(context_, kCiphers) == 1);
  SSL_CTX_set_options(context_, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_default_passwd_cb(context_, no_passphrase);
  SSL_CTX_set_timeout(context_, kTicketSeconds);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
  BIO_meth_free(wire_);
}

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const Server& options) {
  std::shared_ptr<TlsContext> made(new TlsContext(/*is_server=*/true));
  if (const Result<void> used = made->use_identity(options.identity); !used) return std::unexpected(used.error());
  SSL_CTX* context = made->context_;
  made->protocols_ = options.protocols;
  made->protocol_required_ = options.protocol_required;
  SSL_CTX_set_alpn_select_cb(context, &TlsContext::choose_protocol, made.get());
  if (!options.named.empty()) {
    made->add_names(options.named);
    SSL_CTX_set_tlsext_servername_callback(context, &TlsContext::choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(context, made.get());
  }
  // Resumption is by ticket alone (RFC 8446 section 4.6.1, RFC 5077): the server keeps nothing.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  const std::string id = "verge " + protocol_list(options.protocols);
  VERGE_ASSERT(id.size() <= SSL_MAX_SSL_SESSION_ID_LENGTH);
  VERGE_ASSERT(SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(id.data()),
                                              static_cast<unsigned>(id.size())) == 1);
  if (!options.client_ca.empty()) {
    if (const Result<void> trusted = made->trust(options.client_ca); !trusted) {
      return std::unexpected(trusted.error());
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return made;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const Client& options) {
  std::shared_ptr<TlsContext> made(new TlsContext(/*is_server=*/false));
  SSL_CTX* context = made->context_;
  made->server_name_ = options.server_name;
  if (!options.identity.certificate.empty()) {
    if (const Result<void> used = made->use_identity(options.identity); !used) return std::unexpected(used.error());
  }
  if (!options.ca.empty()) {
    if (const Result<void> trusted = made->trust(options.ca); !trusted) return std::unexpected(trusted.error());
  } else if (SSL_CTX_set_default_verify_paths(context) != 1) {
    return fail(kAuthority, "the system's certificate authorities cannot be used: " + take_reason(),
                "install ca-certificates, or name a file of authorities");
  }
  if (!options.protocols.empty()) {
    const std::string list = protocol_list(options.protocols);
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(list.data()),
                            static_cast<unsigned>(list.size()));
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  made->resumption_ = std::make_unique<Resumption>();
  SSL_CTX_set_app_data(context, made->resumption_.get());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, &Resumption::on_new_session);
  return made;
}

Result<void> TlsContext::use_identity(const TlsIdentity& identity) {
  if (Result<void> used = use_certificate(identity.certificate); !used) return used;
  return use_key(identity);
}

Result<void> TlsContext::use_certificate(const std::string& path) {
  Result<std::vector<Certificate>> chain = read_certificates(path, kCertificate, "the certificate");
  if (!chain) return std::unexpected(chain.error());
  for (size_t i = 0; i < chain->size(); ++i) {
    Certificate& each = (*chain)[i];
    if (i == 0) {
      certificate_ends_ = seconds_of(X509_get0_notAfter(each.get()));
      certificate_begins_ = seconds_of(X509_get0_notBefore(each.get()));
    }
    const bool used = i == 0 ? SSL_CTX_use_certificate(context_, each.get()) == 1
                             : SSL_CTX_add0_chain_cert(context_, each.get()) == 1;
    if (!used) {
      return fail(kCertificate, fmt::format("the certificate {} cannot be used: {}", path, take_reason()),
                  "have one issued with a key of at least 2,048 bits (RSA) or on P-256, and SHA-256");
    }
    if (i > 0) static_cast<void>(each.release());  // the context owns it now
  }
  return {};
}

Result<void> TlsContext::use_key(const TlsIdentity& identity) {
  const std::string& path = identity.key;
  const Result<std::string> text = read_pem(path, kPrivateKey, "the private key");
  if (!text) return std::unexpected(text.error());
  if (text->find("PRIVATE KEY-----") == std::string::npos) {
    return fail(kPrivateKey, fmt::format("{} holds no private key", path),
                "give a PEM file with a part -----BEGIN PRIVATE KEY-----");
  }
  const Bio bio = bio_over(*text);
  ERR_clear_error();
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) {
    if (text->find("ENCRYPTED") != std::string::npos) {
      ERR_clear_error();
      return fail(kPrivateKey, fmt::format("the private key {} needs a passphrase", path),
                  "store it without one, readable by the node alone: openssl pkey -in OLD -out NEW");
    }
    return fail(kPrivateKey, fmt::format("the private key {} is damaged: {}", path, take_reason()), "restore the file");
  }
  if (X509_check_private_key(SSL_CTX_get0_certificate(context_), key.get()) != 1) {
    ERR_clear_error();
    return fail(kPrivateKey,
                fmt::format("the private key {} does not belong to the certificate {}", path, identity.certificate),
                "give the two that were made together");
  }
  if (SSL_CTX_use_PrivateKey(context_, key.get()) != 1) {
    return fail(kPrivateKey, fmt::format("the private key {} cannot be used: {}", path, take_reason()));
  }
  return {};
}

Result<void> TlsContext::trust(const std::string& path) {
  const Result<std::vector<Certificate>> authorities =
      read_certificates(path, kAuthority, "the file of certificate authorities");
  if (!authorities) return std::unexpected(authorities.error());
  X509_STORE* store = SSL_CTX_get_cert_store(context_);
  // An intermediate authority may be trusted alone, without the root above it.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  for (const Certificate& each : *authorities) {
    if (X509_STORE_add_cert(store, each.get()) != 1 ||
        (is_server_ && SSL_CTX_add_client_CA(context_, each.get()) != 1)) {
      return fail(kAuthority,
                  fmt::format("the file of certificate authorities {} cannot be used: {}", path, take_reason()));
    }
  }
  return {};
}

std::unique_ptr<TlsSession> TlsContext::make_session() const {
  auto session = std::make_unique<TlsSession>(shared_from_this());
  SSL* ssl = session->ssl_;
  if (is_server_) {
    SSL_set_accept_state(ssl);
    return session;
  }
  SSL_set_connect_state(ssl);
  X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl);
  if (is_ip_address(server_name_)) {
    VERGE_ASSERT(X509_VERIFY_PARAM_set1_ip_asc(wanted, server_name_.c_str()) == 1);
  } else {
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    VERGE_ASSERT(X509_VERIFY_PARAM_set1_host(wanted, server_name_.data(), server_name_.size()) == 1);
    VERGE_ASSERT(SSL_set_tlsext_host_name(ssl, server_name_.c_str()) == 1);
  }
  const std::lock_guard lock(resumption_->mutex);
  if (resumption_->session != nullptr) SSL_set_session(ssl, resumption_->session);
  return session;
}

void TlsContext::add_names(const std::vector<Named>& named) {
  for (const auto& [names, context] : named) {
    for (const std::string& name : names) {
      named_.emplace(name.starts_with("*.") ? name.substr(1) : name, context);
    }
  }
}

const TlsContext* TlsContext::for_name(std::string_view name) const {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string plain(name);
  for (char& c : plain) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (const auto exact = named_.find(plain); exact != named_.end()) return exact->second.get();
  for (size_t dot = plain.find('.'); dot != std::string::npos; dot = plain.find('.', dot + 1)) {
    const auto below = named_.find(std::string_view(plain).substr(dot));
    if (below != named_.end()) return below->second.get();
  }
  const auto any = named_.find("*");
  return any == named_.end() ? nullptr : any->second.get();
}

int TlsContext::choose_certificate(ssl_st* ssl, int*, void* context) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const TlsContext* chosen = static_cast<const TlsContext*>(context)->for_name(name);
  if (chosen == nullptr) return SSL_TLSEXT_ERR_NOACK;
  // The session keeps the ticket keys of the context that it began with.
  return SSL_set_SSL_CTX(ssl, chosen->context_) == nullptr ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK;
}

int TlsContext::choose_protocol(ssl_st*, const unsigned char** chosen, unsigned char* chosen_bytes,
                                const unsigned char* offered, unsigned int offered_bytes, void* context) {
  const TlsContext& self = *static_cast<const TlsContext*>(context);
  const std::string_view list(reinterpret_cast<const char*>(offered), offered_bytes);
  for (const std::string& wanted : self.protocols_) {
    for (size_t at = 0; at < list.size();) {
      const size_t size = offered[at];
      if (list.substr(at + 1, size) == wanted) {
        *chosen = offered + at + 1;
        *chosen_bytes = static_cast<unsigned char>(size);
        return SSL_TLSEXT_ERR_OK;
      }
      at += 1 + size;
    }
  }
  return self.protocol_required_ ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
}

}  // namespace verge::net
