#include "cli/ready_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <unistd.h>

#include "storage/file_system.h"

namespace verge::cli {
namespace {

std::unexpected<Error> no_ready_file(const std::string& path, std::string_view reason) {
  return fail("cli.ready-file", fmt::format("--ready-file {}: {}", path, reason),
              "choose a place in a directory that exists and may be written");
}

}  // namespace

Result<void> prepare_ready_file(const std::string& path) {
  if (path.empty()) return {};
  const std::filesystem::path absolute = std::filesystem::absolute(path);
  std::error_code unknown;
  if (std::filesystem::is_directory(absolute, unknown)) return no_ready_file(path, "it is a directory");
  if (::access(absolute.parent_path().c_str(), W_OK | X_OK) != 0) return no_ready_file(path, std::strerror(errno));
  if (!std::filesystem::is_regular_file(absolute, unknown)) return {};
  std::error_code problem;
  std::filesystem::remove(absolute, problem);
  if (problem) return no_ready_file(path, problem.message());
  return {};
}

Result<void> write_ready_file(const std::string& path, const std::string& addresses) {
  if (path.empty()) return {};
  storage::PosixFileSystem file_system;
  const std::string absolute = std::filesystem::absolute(path).string();
  const Result<void> written = file_system.replace_file(absolute, addresses + "\n");
  return written ? written : no_ready_file(path, written.error().what);
}

}  // namespace verge::cli
