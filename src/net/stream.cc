#include "net/stream.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "base/assert.h"

namespace verge::net {
namespace {

// Output buffers larger than this are given back when they run empty.
constexpr size_t kKeepOutputBytes = 16U << 10;

}  // namespace

TcpStream::TcpStream(runtime::Loop& loop, Socket socket, StreamObserver& observer)
    : loop_(loop), socket_(std::move(socket)), observer_(observer), peer_(Address::peer_of(socket_.descriptor())) {
  socket_.send_at_once();
  interest_ = EPOLLIN;
  loop_.watch(socket_.descriptor(), interest_, *this);
}

TcpStream::~TcpStream() { close(); }

void TcpStream::on_ready(uint32_t events) {
  if ((events & EPOLLOUT) != 0) {
    blocked_ = false;
    if (!flush()) return;
    if (socket_ && !blocked_ && !draining_) observer_.on_drained();
  }
  if (socket_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read();
}

void TcpStream::read() {
  std::vector<char>& buffer = loop_.read_buffer();
  const ssize_t got = ::recv(socket_.descriptor(), buffer.data(), buffer.size(), 0);
  if (got > 0) {
    if (!draining_) observer_.on_bytes({buffer.data(), static_cast<size_t>(got)});
    return;
  }
  if (got == 0) return broken("the peer closed the connection");
  if (errno == EAGAIN || errno == EINTR) return;
  broken(std::strerror(errno));
}

std::string& TcpStream::output() {
  if (!is_open()) {
    if (!socket_) output_.clear();
  } else if (!blocked_) {
    loop_.at_turn_end(*this);
  }
  return output_;
}

bool TcpStream::flush() {
  while (socket_ && written_ < output_.size()) {
    const ssize_t sent =
        ::send(socket_.descriptor(), output_.data() + written_, output_.size() - written_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) {
      blocked_ = true;
      // What is written stays in front until it is worth moving the rest.
      if (written_ > output_.size() / 2) {
        output_.erase(0, written_);
        written_ = 0;
      }
      update_interest();
      return true;
    }
    if (sent < 0) {
      broken(std::strerror(errno));
      return false;
    }
    written_ += static_cast<size_t>(sent);
    sent_bytes_ += static_cast<uint64_t>(sent);
  }
  if (!socket_) return true;
  written_ = 0;
  if (output_.capacity() > kKeepOutputBytes) {
    output_ = {};
  } else {
    output_.clear();
  }
  if (draining_) {
    close();
  } else {
    update_interest();
  }
  return true;
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
  if (socket_) update_interest();
}

void TcpStream::close() {
  if (!socket_) return;
  if (!draining_ && !blocked_ && written_ < output_.size()) {
    [[maybe_unused]] const ssize_t last =
        ::send(socket_.descriptor(), output_.data() + written_, output_.size() - written_, MSG_NOSIGNAL);
  }
  release();
}

void TcpStream::close_when_drained() {
  if (!socket_) return;
  draining_ = true;
  if (blocked_) return update_interest();
  loop_.at_turn_end(*this);
}

Socket TcpStream::release() {
  VERGE_ASSERT(static_cast<bool>(socket_));
  loop_.forget_turn_end(*this);
  loop_.unwatch(socket_.descriptor(), *this);
  output_ = {};
  written_ = 0;
  return std::move(socket_);
}

void TcpStream::broken(std::string_view reason) {
  const bool tell = !draining_;
  release();
  if (tell) observer_.on_closed(reason);
}

}  // namespace verge::net
