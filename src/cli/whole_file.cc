#include "cli/whole_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

namespace verge::cli {
namespace {

constexpr size_t kBytesMax = 1UL << 30;
constexpr size_t kChunk = 1UL << 20;

}  // namespace

Result<std::string> read_whole_file(const std::string& path) {
  const bool is_standard_input = path == "-";
  std::FILE* file = is_standard_input ? stdin : std::fopen(path.c_str(), "rb");
  const auto failed = [&](const char* why) {
    return fail("cli.input", fmt::format("cannot read {}: {}", path, why), "name a file that can be read");
  };
  if (file == nullptr) return failed(std::strerror(errno));
  std::string bytes;
  size_t got = 0;
  do {
    const size_t had = bytes.size();
    bytes.resize(had + kChunk);
    got = std::fread(bytes.data() + had, 1, kChunk, file);
    bytes.resize(had + got);
  } while (got == kChunk && bytes.size() <= kBytesMax);
  const bool is_broken = std::ferror(file) != 0;
  const std::string why = std::strerror(errno);
  if (!is_standard_input) std::fclose(file);
  if (is_broken) return failed(why.c_str());
  if (bytes.size() > kBytesMax) return failed("it has more than 1 GiB");
  return bytes;
}

}  // namespace verge::cli
