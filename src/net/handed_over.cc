#include "net/handed_over.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

namespace verge::net {
namespace {

constexpr int kDescriptorsMax = 1024;

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

std::optional<int> number_of(std::string_view text) {
  int value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::unexpected<Error> refused(std::string what, std::string fix) {
  return fail("net.handed-over", std::move(what), std::move(fix));
}

int option_of(int descriptor, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return ::getsockopt(descriptor, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

bool is_listening_tcp(int descriptor) {
  const int family = option_of(descriptor, SO_DOMAIN);
  return (family == AF_INET || family == AF_INET6) && option_of(descriptor, SO_TYPE) == SOCK_STREAM &&
         option_of(descriptor, SO_ACCEPTCONN) == 1;
}

bool is_known(std::string_view name) { return std::ranges::find(HandedOver::kNames, name) != HandedOver::kNames.end(); }

}  // namespace

Result<HandedOver> HandedOver::take(int first_descriptor) {
  const std::string pid = take_variable("LISTEN_PID");
  const std::string count_text = take_variable("LISTEN_FDS");
  std::string names = take_variable("LISTEN_FDNAMES");
  HandedOver taken;
  if (pid.empty() || count_text.empty() || number_of(pid) != static_cast<int>(::getpid())) return taken;
  const int count = number_of(count_text).value_or(-1);
  if (count < 0 || count > kDescriptorsMax) {
    return refused(fmt::format("LISTEN_FDS={} is not a number of sockets", count_text),
                   "start the node by its service manager, or without LISTEN_FDS");
  }
  for (int descriptor = first_descriptor; descriptor < first_descriptor + count; ++descriptor) {
    const size_t colon = names.find(':');
    const std::string name = names.substr(0, colon);
    names.erase(0, colon == std::string::npos ? names.size() : colon + 1);
    const int flags = ::fcntl(descriptor, F_GETFL);
    if (flags < 0 || !is_listening_tcp(descriptor)) {
      return refused(fmt::format("descriptor {} ({}) was handed over and is no listening TCP socket", descriptor, name),
                     "in the .socket unit use ListenStream= with an address and a port, and Accept=no");
    }
    ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
    ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    taken.sockets_.push_back({name, Address::local_of(descriptor).text(), Socket(descriptor)});
  }
  return taken;
}

std::optional<Socket> HandedOver::claim(std::string_view name, const Address& address) {
  const std::string text = address.text();
  const auto found = std::ranges::find_if(
      sockets_, [&](const Named& each) { return each.address == text && (each.name == name || !is_known(each.name)); });
  if (found == sockets_.end()) return std::nullopt;
  Socket socket = std::move(found->socket);
  sockets_.erase(found);
  return socket;
}

Result<void> HandedOver::check_all_claimed() const {
  if (sockets_.empty()) return {};
  const Named& left = sockets_.front();
  const std::string key = is_known(left.name) ? left.name + ".listen" : "a listen key";
  return refused(fmt::format("{} ({}) was handed over, and the configuration does not listen there", left.address,
                             left.name.empty() ? "without a name" : left.name),
                 fmt::format("set {} to {}, or take it out of the .socket unit", key, left.address));
}

Result<std::vector<Socket>> share_listening(Socket socket, size_t count) {
  std::vector<Socket> sockets;
  while (sockets.size() + 1 < count) {
    Socket copy(::fcntl(socket.descriptor(), F_DUPFD_CLOEXEC, 0));
    if (!copy) {
      return fail("net.listen", fmt::format("cannot share a listening socket: {}", std::strerror(errno)),
                  "raise the limit on open files (ulimit -n)");
    }
    sockets.push_back(std::move(copy));
  }
  sockets.push_back(std::move(socket));
  return sockets;
}

}  // namespace verge::net
