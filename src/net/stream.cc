#include "net/stream.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>

#include "base/assert.h"

namespace verge::net {
namespace {

// TLS output buffers larger than this are given back when they run empty.
constexpr size_t kKeepWireBytes = 16U << 10;
// Of one sendmsg(2).
constexpr size_t kPiecesMax = 64;

}  // namespace

TcpStream::TcpStream(runtime::Loop& loop, Socket socket, StreamObserver& observer)
    : loop_(loop), socket_(std::move(socket)), observer_(&observer), peer_(socket_.peer()) {
  socket_.send_at_once();
  interest_ = EPOLLIN;
  loop_.watch(socket_.descriptor(), interest_, *this);
  // What the handshake, or the loop before this one, left to do.
  if (socket_.tls() != nullptr || socket_.websocket() != nullptr) loop_.at_turn_end(*this);
}

TcpStream::~TcpStream() { close(); }

void TcpStream::on_ready(uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    blocked_ = false;
    if (!flush()) return;
    if (socket_ && !blocked_ && !draining_) observer_->on_drained();
  }
  if (socket_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read();
}

void TcpStream::on_turn_end() {
  if (ended_) return;
  if (TlsSession* tls = socket_.tls(); tls != nullptr && reading_) {
    if (std::string& early = tls->early_input(); !early.empty()) {
      VERGE_ASSERT(TlsSession::kRoomAhead + early.size() <= loop_.read_buffer().size());
      early.copy(loop_.read_buffer().data() + TlsSession::kRoomAhead, early.size());
      const size_t bytes = std::exchange(early, {}).size();
      if (!decrypt(bytes)) return;
    } else if (!take_tls_end()) {
      return;
    }
  }
  if (reading_ && !take_websocket_end()) return;
  flush();
}

void TcpStream::discard() {
  std::vector<char>& buffer = loop_.read_buffer();
  const ssize_t got = ::recv(socket_.descriptor(), buffer.data(), buffer.size(), 0);
  if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
  release();
}

void TcpStream::read() {
  if (ended_) return discard();
  std::vector<char>& buffer = loop_.read_buffer();
  const size_t ahead = socket_.tls() == nullptr ? 0 : TlsSession::kRoomAhead;
  const ssize_t got = ::recv(socket_.descriptor(), buffer.data() + ahead, buffer.size() - ahead, 0);
  if (got > 0) {
    if (ahead != 0) {
      decrypt(static_cast<size_t>(got));
    } else if (!draining_) {
      hand_over(buffer.data(), static_cast<size_t>(got));
    }
    return;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const int problem = got < 0 ? errno : send_problem_;
  const bool no_goodbye = ahead != 0 && socket_.tls()->state() == TlsSession::State::kOpen;
  was_cut_ = ahead != 0 ? no_goodbye : problem != 0;
  if (problem != 0) return broken(std::strerror(problem));
  broken(no_goodbye ? "the peer ended the connection without ending TLS (close_notify)"
                    : "the peer closed the connection");
}

bool TcpStream::decrypt(size_t bytes) {
  TlsSession& tls = *socket_.tls();
  char* room = loop_.read_buffer().data();
  // Behind its end a peer may say what it likes.
  const size_t made = tls.state() == TlsSession::State::kOpen ? tls.receive(room, bytes) : 0;
  if (made > 0 && !draining_ && !hand_over(room, made)) return false;
  if (!socket_) return true;
  if (!tls.output().empty()) loop_.at_turn_end(*this);  // an answer of TLS itself
  return !reading_ || take_tls_end();
}

bool TcpStream::take_tls_end() {
  const TlsSession& tls = *socket_.tls();
  if (tls.state() == TlsSession::State::kOpen) return true;
  was_cut_ = tls.state() == TlsSession::State::kFailed;
  const std::string reason = was_cut_ ? "TLS: " + tls.failure().what : "the peer closed the connection";
  broken(reason);
  return false;
}

bool TcpStream::hand_over(char* bytes, size_t size) {
  WebSocketSession* websocket = socket_.websocket();
  if (websocket == nullptr) {
    observer_->on_bytes({bytes, size});
    return true;
  }
  size = websocket->receive(bytes, size);
  if (websocket->has_output()) loop_.at_turn_end(*this);
  if (size > 0) observer_->on_bytes({bytes, size});
  return !reading_ || take_websocket_end();
}

bool TcpStream::take_websocket_end() {
  const WebSocketSession* websocket = socket_.websocket();
  using State = WebSocketSession::State;
  if (websocket == nullptr || draining_ || websocket->state() == State::kHandshake ||
      websocket->state() == State::kOpen) {
    return true;
  }
  was_cut_ = websocket->state() == State::kFailed;
  broken(was_cut_ ? "the peer speaks no WebSocket, or is not served by it" : "the peer closed the connection");
  return false;
}

void TcpStream::wrap_output(bool last) {
  WebSocketSession* websocket = socket_.websocket();
  if (websocket == nullptr) return;
  if (last) websocket->close();
  websocket->take_output(output_.text());
}

OutputQueue& TcpStream::queue() {
  if (!is_open()) {
    if (!socket_) output_.clear();
  } else if (!blocked_) {
    loop_.at_turn_end(*this);
  }
  return output_;
}

std::string& TcpStream::output() {
  std::string& text = queue().text();
  return socket_.websocket() == nullptr ? text : socket_.websocket()->output();
}

void TcpStream::write(const Payload& bytes, size_t offset, size_t size) {
  if (socket_.websocket() != nullptr) return Stream::write(bytes, offset, size);
  OutputQueue& output = queue();
  if (socket_) output.share(bytes, offset, size);
}

bool TcpStream::flush() {
  if (!socket_ || ended_) return true;
  wrap_output(draining_);
  const Sent sent = socket_.tls() == nullptr ? send_plain() : send_encrypted();
  if (sent == Sent::kBroken) return keep_reading_after(errno);
  if (sent == Sent::kBlocked) {
    blocked_ = true;
    output_.compact();
    update_interest();
    return true;
  }
  output_.clear();
  if (lingers_) {
    if (!std::exchange(ended_, true)) ::shutdown(socket_.descriptor(), SHUT_WR);
    update_interest();
  } else if (draining_) {
    close();
  } else {
    update_interest();
  }
  return true;
}

// A peer that has seen enough of a request may answer and close; its answer is still in the kernel when what was sent
// to it since comes back as an error.
bool TcpStream::keep_reading_after(int problem) {
  was_cut_ = true;
  send_problem_ = problem;
  output_.clear();
  // With these the kernel reports the socket as ready until its end was read.
  if (reading_ && !draining_ && (problem == EPIPE || problem == ECONNRESET)) return true;
  broken(std::strerror(problem));
  return false;
}

TcpStream::Sent TcpStream::send_plain() {
  while (!output_.empty()) {
    ssize_t sent;
    if (output_.is_text_only()) {
      const std::string_view text = output_.front(output_.size());
      sent = ::send(socket_.descriptor(), text.data(), text.size(), MSG_NOSIGNAL);
    } else {
      std::array<iovec, kPiecesMax> pieces;
      const msghdr message{.msg_iov = pieces.data(), .msg_iovlen = output_.gather(pieces)};
      sent = ::sendmsg(socket_.descriptor(), &message, MSG_NOSIGNAL);
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN ? Sent::kBlocked : Sent::kBroken;
    output_.take(static_cast<size_t>(sent));
    sent_bytes_ += static_cast<uint64_t>(sent);
  }
  return Sent::kAll;
}

TcpStream::Sent TcpStream::send_encrypted() {
  TlsSession& tls = *socket_.tls();
  std::string& wire = tls.output();
  while (true) {
    // Small pieces go together; no more than about kSendBytesMax is held twice.
    while (!output_.empty() && wire.size() < TlsSession::kSendBytesMax / 2) {
      const std::string_view next = output_.front(TlsSession::kSendBytesMax - wire.size());
      tls.send(next);
      output_.take(next.size());
    }
    if (draining_ && output_.empty()) tls.close();  // waited for as the rest is
    if (wire.empty()) break;
    size_t taken = 0;
    while (taken < wire.size()) {
      const ssize_t sent = ::send(socket_.descriptor(), wire.data() + taken, wire.size() - taken, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) {
        wire.erase(0, taken);
        return errno == EAGAIN ? Sent::kBlocked : Sent::kBroken;
      }
      taken += static_cast<size_t>(sent);
      sent_bytes_ += static_cast<uint64_t>(sent);
    }
    wire.clear();
  }
  if (wire.capacity() > kKeepWireBytes) wire = {};
  return Sent::kAll;
}

void TcpStream::update_interest() {
  const uint32_t wanted = (reading_ || draining_ ? EPOLLIN : 0U) | (blocked_ ? EPOLLOUT : 0U);
  if (wanted == interest_) return;
  interest_ = wanted;
  loop_.rewatch(socket_.descriptor(), interest_, *this);
}

void TcpStream::pause_reading() {
  reading_ = false;
  if (socket_) update_interest();
}

void TcpStream::resume_reading() {
  reading_ = true;
  if (!socket_) return;
  update_interest();
  // What TLS has already, readiness does not announce.
  if (socket_.tls() != nullptr || socket_.websocket() != nullptr) loop_.at_turn_end(*this);
}

void TcpStream::close() {
  if (!socket_) return;
  if (!blocked_ && !ended_) say_goodbye();
  release();
}

void TcpStream::cut() {
  if (!socket_) return;
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_.descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  release();
}

// Writes what it can without waiting, and that this is the end.
void TcpStream::say_goodbye() {
  wrap_output(/*last=*/true);
  TlsSession* tls = socket_.tls();
  if (tls == nullptr) {
    if (!draining_) send_plain();
    return;
  }
  if (send_encrypted() != Sent::kAll) return;
  tls->close();
  const std::string& wire = tls->output();
  [[maybe_unused]] const ssize_t last = ::send(socket_.descriptor(), wire.data(), wire.size(), MSG_NOSIGNAL);
}

void TcpStream::close_when_drained() {
  if (!socket_) return;
  draining_ = true;
  if (blocked_) return update_interest();
  loop_.at_turn_end(*this);
}

void TcpStream::close_when_heard() {
  lingers_ = true;
  close_when_drained();
}

Socket TcpStream::release() {
  VERGE_ASSERT(static_cast<bool>(socket_));
  loop_.forget_turn_end(*this);
  loop_.unwatch(socket_.descriptor(), *this);
  output_.clear();
  return std::move(socket_);
}

void TcpStream::broken(std::string_view reason) {
  const bool tell = !draining_;
  // A peer that ended TLS, or broke its rules, is still told so.
  if ((socket_.tls() != nullptr || socket_.websocket() != nullptr) && !blocked_) say_goodbye();
  release();
  if (tell) observer_->on_closed(reason);
}

}  // namespace verge::net
