#include "net/socket_file.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace verge::net {
namespace {

std::unexpected<Error> failed(const std::string& path, int problem) {
  return fail("net.listen", fmt::format("cannot listen on {}: {}", path, std::strerror(problem)),
              "name a file in a directory that is there and that this program may write to");
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, kSocketPathMax);
  return address;
}

// Whether nobody answers there any more. Not waiting: a queue that is full is somebody's.
bool is_left_behind(const sockaddr_un& address) {
  const Socket probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return probe && ::connect(probe.descriptor(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

// Whether a socket is there that a process left behind. Errors: what is there is to be left alone.
Result<bool> is_in_the_way(const std::string& path) {
  if (path.empty() || path.size() > kSocketPathMax) return failed(path, ENAMETOOLONG);
  struct stat there{};
  if (::lstat(path.c_str(), &there) != 0) return false;
  if (!S_ISSOCK(there.st_mode)) return failed(path, EEXIST);
  if (is_left_behind(address_of(path))) return true;
  return fail("net.socket-in-use", fmt::format("another program listens on {}", path),
              fmt::format("stop it (ss -xlp src {} names it), or name another file", path));
}

}  // namespace

Result<void> SocketFile::check_is_free(const std::string& path) {
  const Result<bool> looked_at = is_in_the_way(path);
  return looked_at ? Result<void>() : std::unexpected(looked_at.error());
}

Result<SocketFile> SocketFile::listen(const std::string& path, mode_t mode) {
  const Result<bool> is_left = is_in_the_way(path);
  if (!is_left) return std::unexpected(is_left.error());
  const sockaddr_un address = address_of(path);
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return failed(path, errno);
  if (*is_left && ::unlink(path.c_str()) != 0) return failed(path, errno);
  // The file is made with the mode of the socket, less the umask: at no time with more rights than it is to have.
  if (::fchmod(socket.descriptor(), mode) != 0 ||
      ::bind(socket.descriptor(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return failed(path, errno);
  }
  SocketFile file(path, std::move(socket));
  if (::chmod(path.c_str(), mode) != 0 || ::listen(file.socket_.descriptor(), 4096) != 0) return failed(path, errno);
  return file;
}

SocketFile::~SocketFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

}  // namespace verge::net
