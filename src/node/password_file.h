// PasswordFile: who may connect by user name and password: lines of NAME:HASH, as `verge passwd` writes them (hashes:
// crypto/password_hash.h, or crypto/scram.h for who may prove it by SCRAM); empty lines and those that begin with '#'
// say nothing.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/hash.h"

namespace verge::node {

class PasswordFile {
 public:
  // Error: config.password-file, with the line. No line is shown: it may be a password.
  static Result<PasswordFile> parse(std::string_view text, std::string_view path);
  // Reads and parses it; one that others than its owner and group may read is an error too.
  static Result<PasswordFile> read(const std::string& path);

  // The hash of the user's password; empty: there is no such user.
  [[nodiscard]] std::string_view hash_of(std::string_view user) const;
  // Whether there is one for SCRAM.
  [[nodiscard]] bool has_scram() const { return has_scram_; }
  [[nodiscard]] size_t size() const { return hashes_.size(); }

 private:
  std::unordered_map<std::string, std::string, StringHash, std::equal_to<>> hashes_;
  bool has_scram_ = false;
};

// 1 to 1,024 bytes of UTF-8 without control characters and ':'.
bool is_user_name(std::string_view name);

}  // namespace verge::node
