#include "cli/line_input.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace verge::cli {
namespace {

constexpr size_t kChunk = 64UL << 10;
constexpr size_t kLineBytesMax = 4UL << 20;

Result<void> read_lines(int file, const std::string& name, const std::function<Result<void>(std::string_view)>& take,
                        const std::function<void()>& pause) {
  std::string waiting;
  while (true) {
    const size_t had = waiting.size();
    waiting.resize(had + kChunk);
    const ssize_t got = ::read(file, waiting.data() + had, kChunk);
    if (got < 0 && errno == EINTR) {
      waiting.resize(had);
      continue;
    }
    if (got < 0) {
      return fail("cli.input", fmt::format("cannot read {}: {}", name, std::strerror(errno)),
                  "name a file that can be read");
    }
    waiting.resize(had + static_cast<size_t>(got));
    size_t taken = 0;
    for (size_t end = waiting.find('\n', had); end != std::string::npos; end = waiting.find('\n', taken)) {
      if (const Result<void> done = take(std::string_view(waiting).substr(taken, end - taken)); !done) return done;
      taken = end + 1;
    }
    waiting.erase(0, taken);
    if (got == 0) break;
    if (waiting.size() > kLineBytesMax) {
      return fail("cli.input", fmt::format("{}: a line has more than {} bytes", name, kLineBytesMax),
                  "give lines of text");
    }
    pause();
  }
  if (!waiting.empty()) {
    if (const Result<void> done = take(waiting); !done) return done;
  }
  pause();
  return {};
}

}  // namespace

Result<void> for_each_line(const std::string& path, const std::function<Result<void>(std::string_view)>& take,
                           const std::function<void()>& pause) {
  if (path == "-") return read_lines(STDIN_FILENO, "standard input", take, pause);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return fail("cli.input", fmt::format("cannot open {}: {}", path, std::strerror(errno)),
                "name a file that can be read");
  }
  Result<void> result = read_lines(file, path, take, pause);
  ::close(file);
  return result;
}

}  // namespace verge::cli
