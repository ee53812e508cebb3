#include "node/password_file.h"

#include <algorithm>

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/named_file.h"
#include "base/text.h"
#include "crypto/password_hash.h"
#include "crypto/scram.h"

namespace verge::node {
namespace {

constexpr size_t kUserBytesMax = 1024;
constexpr size_t kFileBytesMax = 64U << 20;

}  // namespace

bool is_user_name(std::string_view name) {
  return !name.empty() && name.size() <= kUserBytesMax && is_utf8(name) && std::ranges::none_of(name, [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == ':' || c == 0x7f;
  });
}

Result<PasswordFile> PasswordFile::parse(std::string_view text, std::string_view path) {
  PasswordFile file;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with('#')) continue;
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, std::min(colon, line.size()));
    const auto refuse = [&](std::string_view what) {
      return fail("config.password-file", fmt::format("{}:{}: {}", path, number, what),
                  "let verge passwd write the line: verge passwd FILE USER");
    };
    if (colon == std::string_view::npos || !is_user_name(name)) return refuse("this is not NAME:HASH");
    const std::string_view hash = line.substr(colon + 1);
    const bool is_scram = crypto::parse_scram(hash).has_value();
    file.has_scram_ |= is_scram;
    if (!is_scram && !crypto::is_password_hash(hash))
      return refuse(fmt::format("what stands behind {}: is no hash of ours", name));
    if (!file.hashes_.emplace(name, hash).second) return refuse(fmt::format("{} is there twice", name));
  }
  return file;
}

Result<PasswordFile> PasswordFile::read(const std::string& path) {
  struct stat found{};
  auto text = read_named_file(path, kFileBytesMax);
  if (!text) {
    return fail("config.password-file", fmt::format("{} cannot be read: {}", path, text.error().why),
                "make it with verge passwd FILE USER, where the node may read it");
  }
  if (::stat(path.c_str(), &found) == 0 && (found.st_mode & S_IRWXO) != 0) {
    return fail("config.password-file", fmt::format("{} can be read by everybody on this machine", path),
                fmt::format("chmod 0640 {}", path));
  }
  return parse(*std::move(text), path);
}

std::string_view PasswordFile::hash_of(std::string_view user) const {
  const auto found = hashes_.find(user);
  return found == hashes_.end() ? std::string_view{} : std::string_view(found->second);
}

}  // namespace verge::node
