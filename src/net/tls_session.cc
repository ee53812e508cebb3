#include "net/tls_session.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/assert.h"
#include "net/tls_context.h"

namespace verge::net {
namespace {

// A peer that makes us answer (key updates) and does not read the answers.
constexpr size_t kUnaskedOutputMax = 256U << 10;

std::string fix_for(long verify_result, const std::string& name) {
  switch (verify_result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "renew that certificate, or set the clocks of both machines right";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return fmt::format("connect by a name that stands in it, or have one issued for {}", name);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "trust the authority that issued it, or correct which one is trusted";
    default:
      return {};
  }
}

}  // namespace

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context)
    : context_(std::move(context)), ssl_(SSL_new(context_->context_)) {
  VERGE_ASSERT(ssl_ != nullptr);
  BIO* wire = BIO_new(context_->wire_);
  VERGE_ASSERT(wire != nullptr);
  BIO_set_data(wire, &wire_);
  BIO_set_init(wire, 1);
  SSL_set_bio(ssl_, wire, wire);
}

TlsSession::~TlsSession() {
  // A connection that was cut may be resumed all the same (RFC 5246 section 7.2.1): lines are cut, and then all come
  // back at once. OpenSSL would forget its ticket.
  if (state_ == State::kOpen) SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl_);
}

int TlsSession::read_wire(BIO* bio, char* into, int size) {
  Wire& wire = *static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (wire.input.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t taken = std::min(wire.input.size(), static_cast<size_t>(size));
  std::memcpy(into, wire.input.data(), taken);
  wire.input.remove_prefix(taken);
  return static_cast<int>(taken);
}

int TlsSession::write_wire(BIO* bio, const char* from, int size) {
  Wire& wire = *static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  wire.output.append(from, static_cast<size_t>(size));
  return size;
}

long TlsSession::control_wire(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

TlsSession::State TlsSession::handshake(std::string_view bytes) {
  VERGE_ASSERT(state_ == State::kHandshake);
  wire_.input = bytes;
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_);
  if (done == 1) {
    state_ = State::kOpen;
    early_input_ = wire_.input;
  } else if (SSL_get_error(ssl_, done) != SSL_ERROR_WANT_READ) {
    fail_with("net.tls-handshake");
  }
  wire_.input = {};
  return state_;
}

size_t TlsSession::receive(char* room, size_t bytes) {
  VERGE_ASSERT(state_ == State::kOpen);
  wire_.input = {room + kRoomAhead, bytes};
  size_t made = 0;
  while (true) {
    const size_t space = static_cast<size_t>(wire_.input.data() - (room + made));
    size_t got = 0;
    ERR_clear_error();
    const int done = SSL_read_ex(ssl_, room + made, space, &got);
    if (done == 1) {
      made += got;
      continue;
    }
    const int problem = SSL_get_error(ssl_, done);
    if (problem == SSL_ERROR_ZERO_RETURN) state_ = State::kEnded;
    if (problem != SSL_ERROR_ZERO_RETURN && problem != SSL_ERROR_WANT_READ) fail_with("net.tls-broken");
    break;
  }
  wire_.input = {};
  if (state_ == State::kOpen && wire_.output.size() > kUnaskedOutputMax) {
    state_ = State::kFailed;
    failure_ = {"net.tls-broken", "the peer asks for much and reads nothing", {}};
  }
  return made;
}

void TlsSession::send(std::string_view bytes) {
  if (bytes.empty() || (state_ != State::kOpen && state_ != State::kEnded)) return;
  VERGE_ASSERT(bytes.size() <= kSendBytesMax);
  size_t written = 0;
  ERR_clear_error();
  if (SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written) != 1) return fail_with("net.tls-broken");
  VERGE_ASSERT(written == bytes.size());
}

void TlsSession::close() {
  if (said_goodbye_ || (state_ != State::kOpen && state_ != State::kEnded)) return;
  said_goodbye_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_);  // 0: ours is written; the peer's need not be awaited
}

void TlsSession::fail_with(std::string_view code) {
  state_ = State::kFailed;
  const unsigned long number = ERR_peek_error();
  const long verified = SSL_get_verify_result(ssl_);
  const bool untrusted =
      ERR_GET_LIB(number) == ERR_LIB_SSL && ERR_GET_REASON(number) == SSL_R_CERTIFICATE_VERIFY_FAILED;
  if (untrusted && verified != X509_V_OK) {
    failure_ = {
        "net.tls-untrusted",
        fmt::format("the certificate of the other side is not accepted: {}", X509_verify_cert_error_string(verified)),
        fix_for(verified, context_->server_name_)};
  } else {
    const char* reason = number == 0 ? nullptr : ERR_reason_error_string(number);
    failure_ = {code, reason == nullptr ? "the connection broke" : reason, {}};
    switch (ERR_GET_LIB(number) == ERR_LIB_SSL ? ERR_GET_REASON(number) : 0) {
      case SSL_R_HTTP_REQUEST:
      case SSL_R_WRONG_VERSION_NUMBER:
        failure_.what = "the other side does not speak TLS";
        failure_.fix = "check that both sides mean the TLS address";
        break;
      case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        failure_.what = "the other side showed no certificate";
        break;
      case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        failure_.what = "the other side demands a certificate";
        failure_.fix = "give this side one that the other trusts, with its key";
        break;
      case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        failure_.what = "the other side does not trust the authority of this side's certificate";
        break;
      default:
        break;
    }
  }
  ERR_clear_error();
}

bool TlsSession::peer_is_verified() const {
  return state_ != State::kHandshake && SSL_get0_peer_certificate(ssl_) != nullptr &&
         SSL_get_verify_result(ssl_) == X509_V_OK;
}

bool TlsSession::is_resumed() const { return SSL_session_reused(ssl_) == 1; }

std::string_view TlsSession::version() const { return SSL_get_version(ssl_); }

std::string_view TlsSession::protocol() const {
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &chosen, &size);
  return {reinterpret_cast<const char*>(chosen), size};
}

std::string TlsSession::peer_alternative_name() const {
  constexpr int kNameBytesMax = 1024;
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr) return {};
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int type = 0;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type);
    if (type != GEN_URI && type != GEN_DNS && type != GEN_EMAIL) continue;
    const auto* text = static_cast<const ASN1_STRING*>(value);
    const int size = ASN1_STRING_length(text);
    if (size > kNameBytesMax) return {};
    const std::string name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<size_t>(size));
    const bool is_printable = std::ranges::all_of(name, [](char c) { return c > ' ' && c < '\x7f'; });
    return is_printable ? name : std::string();
  }
  return {};
}

std::string TlsSession::peer_name() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr) return {};
  const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), &BIO_free);
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* start = nullptr;
  const long size = BIO_get_mem_data(text.get(), &start);
  return {start, static_cast<size_t>(std::max(size, 0L))};
}

}  // namespace verge::net
