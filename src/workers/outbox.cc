#include "workers/outbox.h"

#include <cerrno>

#include <sys/uio.h>
#include <unistd.h>

namespace verge::workers {
namespace {

constexpr size_t kPiecesMax = 256;  // of one writev(2)
constexpr size_t kKeptBytes = 1U << 20;

// All of them, in order.
bool write_all(int socket, std::vector<iovec>& pieces) {
  size_t first = 0;
  while (first < pieces.size()) {
    const size_t count = std::min(pieces.size() - first, kPiecesMax);
    ssize_t written = writev(socket, pieces.data() + first, static_cast<int>(count));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    while (first < pieces.size() && static_cast<size_t>(written) >= pieces[first].iov_len) {
      written -= static_cast<ssize_t>(pieces[first++].iov_len);
    }
    if (written > 0) {
      pieces[first].iov_base = static_cast<char*>(pieces[first].iov_base) + written;
      pieces[first].iov_len -= static_cast<size_t>(written);
    }
  }
  return true;
}

}  // namespace

void Outbox::share(const Chunk& chunk, std::string_view bytes) {
  if (bytes.size() < kShareBytesMin) {
    text_.append(bytes);
    return;
  }
  shared_.push_back({text_.size(), bytes, chunk.keeper()});
  shared_bytes_ += bytes.size();
}

bool Outbox::send() {
  if (empty()) return true;
  std::vector<iovec> pieces;
  size_t at = 0;
  const auto add = [&](std::string_view bytes) {
    if (!bytes.empty()) pieces.push_back({const_cast<char*>(bytes.data()), bytes.size()});
  };
  for (const Shared& shared : shared_) {
    add(std::string_view(text_).substr(at, shared.place - at));
    at = shared.place;
    add(shared.bytes);
  }
  add(std::string_view(text_).substr(at));
  const bool sent = write_all(socket_, pieces);
  text_.clear();
  if (text_.capacity() > kKeptBytes) text_ = {};
  shared_.clear();
  shared_bytes_ = 0;
  return sent;
}

}  // namespace verge::workers
