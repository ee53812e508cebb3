// TlsSession: TLS on one connection, without I/O: bytes of the wire go in and come out, in memory. Who owns the socket
// moves them (TlsHandshake, then TcpStream).
//
// OpenSSL reads from and writes to a BIO of ours that is no more than a view of what was just received and a string to
// be sent: an idle connection holds no buffer (OpenSSL gives its own back too). The alternatives were its memory BIOs,
// which copy once more and keep their size, and SSL_set_fd, which costs two recv(2) a record.
//
// After the handshake every receive() takes all it is given, so nothing is ever left inside that readiness of the
// socket would not announce. What came behind the handshake's last message waits in early_input().
//
// Threading: on one thread at a time; may move between threads.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

struct bio_st;
struct ssl_st;

namespace verge::net {

class TlsContext;

class TlsSession {
 public:
  enum class State {
    kHandshake,
    kOpen,
    kEnded,  // the peer said that it sends no more (close_notify, RFC 8446 section 6.1)
    kFailed  // see failure(); what output() holds tells the peer, then the connection must close
  };

  explicit TlsSession(std::shared_ptr<const TlsContext> context);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  [[nodiscard]] State state() const { return state_; }

  // Goes on with the handshake, with what the peer sent (a client begins with nothing). Then send output().
  State handshake(std::string_view bytes);

  // In state kOpen: decrypts the `bytes` bytes at room + kRoomAhead, all of them, and writes what they give from `room`
  // on; returns how much that is. The room in front is what makes one buffer enough: output never overtakes input, even
  // with a record's beginning still inside.
  static constexpr size_t kRoomAhead = 40U << 10;
  size_t receive(char* room, size_t bytes);

  // In state kOpen or kEnded: encrypts all of it behind output(). At most kSendBytesMax at once.
  static constexpr size_t kSendBytesMax = 64U << 10;
  void send(std::string_view bytes);

  // Puts close_notify behind output(), once, if the session is sound.
  void close();

  // What is to be sent to the peer: whoever sends it takes it out.
  [[nodiscard]] std::string& output() { return wire_.output; }
  [[nodiscard]] const std::string& output() const { return wire_.output; }

  // Received with the end of the handshake and not yet given to receive().
  [[nodiscard]] std::string& early_input() { return early_input_; }

  // In state kFailed. net.tls-untrusted: the peer's certificate was not accepted; net.tls-handshake: it came to nothing
  // for another reason; net.tls-broken: what came later was not sound.
  [[nodiscard]] const Error& failure() const { return failure_; }

  // The peer showed a certificate and it was verified.
  [[nodiscard]] bool peer_is_verified() const;
  // Whom the peer's certificate names: the first URI, DNS name or e-mail address of its subject alternative names (RFC
  // 5280 section 4.2.1.6). Empty: there is none, or it is not printable ASCII of at most 1,024 bytes.
  [[nodiscard]] std::string peer_alternative_name() const;
  // For tests and logs.
  [[nodiscard]] bool is_resumed() const;
  [[nodiscard]] std::string_view version() const;   // "TLSv1.3"
  [[nodiscard]] std::string_view protocol() const;  // ALPN; empty: none was chosen
  [[nodiscard]] std::string peer_name() const;      // the subject of the peer's certificate

 private:
  friend class TlsContext;
  struct Wire {
    std::string_view input;
    std::string output;
  };
  static int read_wire(bio_st* bio, char* into, int size);
  static int write_wire(bio_st* bio, const char* from, int size);
  static long control_wire(bio_st* bio, int command, long number, void* pointer);

  void fail_with(std::string_view code);

  const std::shared_ptr<const TlsContext> context_;
  ssl_st* ssl_ = nullptr;
  Wire wire_;
  std::string early_input_;
  State state_ = State::kHandshake;
  Error failure_;
  bool said_goodbye_ = false;
};

}  // namespace verge::net
