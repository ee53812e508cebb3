// Sockets that the service manager opened and hands over at the start, by the protocol of sd_listen_fds(3):
// LISTEN_PID says which process they are for, LISTEN_FDS how many there are, from descriptor 3 on, LISTEN_FDNAMES how
// each is called, with colons between. Connections wait in such a socket while the process is restarted, and it may be
// below port 1024 though the process may not listen there itself.
//
// A socket is claimed by who listens on its address. A name out of `kNames` says what it is for and must agree; any
// other, as systemd gives one by itself, leaves that to the address.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/socket.h"

namespace verge::net {

class HandedOver {
 public:
  static constexpr std::array<std::string_view, 3> kNames = {"mqtt", "http", "admin"};
  static constexpr int kFirstDescriptor = 3;

  HandedOver() = default;
  // Takes what the environment says is for this process, and clears the three variables: programs that it starts are
  // not meant. Before there are threads. Nothing handed over is no error; a descriptor that is no listening TCP socket
  // is (net.handed-over).
  static Result<HandedOver> take(int first_descriptor = kFirstDescriptor);

  // The socket for `name` that listens on this address, if there is one.
  std::optional<Socket> claim(std::string_view name, const Address& address);
  // net.handed-over if one is left: connections to it would wait for ever.
  [[nodiscard]] Result<void> check_all_claimed() const;

 private:
  struct Named {
    std::string name;
    std::string address;
    Socket socket;
  };
  std::vector<Named> sockets_;
};

// As many descriptors of one listening socket. Who has one accepts what the others did not.
Result<std::vector<Socket>> share_listening(Socket socket, size_t count);

}  // namespace verge::net
