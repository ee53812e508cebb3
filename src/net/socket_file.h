// Unix sockets (unix(7)): where programs of this machine connect, as the rights to a file allow.
#pragma once

#include <string>

#include <sys/types.h>

#include "base/error.h"
#include "net/socket.h"

namespace verge::net {

// The longest path of one.
inline constexpr size_t kSocketPathMax = 107;

// A listening Unix socket and the file by which it is found, which goes with it.
class SocketFile {
 public:
  // Who may write to the file may connect: `mode` (0660: owner and group). A socket that a process left behind, which
  // nobody listens on any more, is replaced. Errors: net.socket-in-use, net.listen.
  static Result<SocketFile> listen(const std::string& path, mode_t mode);
  // Whether nothing is in the way there that listen() would leave alone. Changes nothing. Errors: as of listen().
  static Result<void> check_is_free(const std::string& path);
  SocketFile(SocketFile&& other) noexcept = default;
  SocketFile& operator=(SocketFile&& other) = delete;
  ~SocketFile();

  [[nodiscard]] const std::string& path() const { return path_; }
  // Once.
  Socket take_socket() { return std::move(socket_); }

 private:
  SocketFile(std::string path, Socket socket) : path_(std::move(path)), socket_(std::move(socket)) {}

  std::string path_;  // empty: moved away
  Socket socket_;
};

}  // namespace verge::net
