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

// Whether nobody answers there any more. Not waiting: a queue that is full is somebody's.
bool is_left_behind(const sockaddr_un& address) {
  const Socket probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return probe && ::connect(probe.descriptor(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

Result<SocketFile> SocketFile::listen(const std::string& path, mode_t mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() > kSocketPathMax) return failed(path, ENAMETOOLONG);
  path.copy(address.sun_path, path.size());
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return failed(path, errno);
  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) return failed(path, EEXIST);
    if (!is_left_behind(address)) {
      return fail("net.socket-in-use", fmt::format("another program listens on {}", path),
                  fmt::format("stop it (ss -xlp src {} names it), or name another file", path));
    }
    if (::unlink(path.c_str()) != 0) return failed(path, errno);
  }
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
