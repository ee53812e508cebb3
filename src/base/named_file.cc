#include "base/named_file.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

namespace verge {
namespace {

// Of errno.
std::unexpected<Unread> unread(int number) { return std::unexpected(Unread{number, std::strerror(number)}); }

// Whether there is something to read, or the end, before `deadline`.
bool comes_before(std::chrono::steady_clock::time_point deadline, int file) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd awaited{.fd = file, .events = POLLIN, .revents = 0};
    const int ready = left.count() <= 0 ? 0 : ::poll(&awaited, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0;
  }
}

std::expected<std::string, Unread> read_all(int file, size_t bytes_max, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::string text;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t count = ::read(file, buffer.data(), buffer.size());
    if (count == 0) return text;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      if (comes_before(deadline, file)) continue;
      return std::unexpected(
          Unread{ETIMEDOUT, fmt::format("its end did not come within {}", format_duration(patience))});
    }
    if (count < 0) return unread(errno);
    text.append(buffer.data(), static_cast<size_t>(count));
    if (text.size() > bytes_max) {
      return std::unexpected(Unread{EFBIG, fmt::format("it is larger than {}", format_size(bytes_max))});
    }
  }
}

}  // namespace

std::expected<std::string, Unread> read_named_file(const std::string& path, size_t bytes_max,
                                                   std::chrono::milliseconds patience) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return unread(errno);
  struct stat about{};
  const bool is_pipe = ::fstat(file, &about) == 0 && S_ISFIFO(about.st_mode);
  std::expected<std::string, Unread> text = read_all(file, bytes_max, patience);
  ::close(file);
  if (text && text->empty() && is_pipe) {
    return std::unexpected(Unread{EPIPE, "it is a pipe, and nobody writes into it"});
  }
  return text;
}

}  // namespace verge
