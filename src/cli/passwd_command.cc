// verge passwd: who may connect by MQTT with a user name and a password.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/mqtt_commands.h"
#include "crypto/password_hash.h"
#include "crypto/scram.h"
#include "node/password_file.h"

namespace verge::cli {
namespace {

constexpr size_t kPasswordBytesMax = 65'535;  // of MQTT

struct PasswdOptions {
  std::string file;
  std::string user;
  bool remove = false;
  bool scram = false;
};

int print_failure(std::string_view what) {
  fmt::print(stderr, "verge passwd: {}\n", what);
  return kFailure;
}

// From a terminal without showing it, twice; else the first line of standard input.
Result<std::string> ask_for_password(const std::string& user) {
  std::string password;
  if (::isatty(STDIN_FILENO) == 0) {
    if (!std::getline(std::cin, password)) {
      return fail("cli.input", "standard input has no password", "give it as the first line");
    }
    return password;
  }
  termios shown{};
  if (::tcgetattr(STDIN_FILENO, &shown) != 0) return fail("cli.input", std::strerror(errno), "use a terminal");
  termios hidden = shown;
  hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  std::string again;
  fmt::print(stderr, "Password of {}: ", user);
  std::getline(std::cin, password);
  fmt::print(stderr, "\nAgain: ");
  std::getline(std::cin, again);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
  fmt::print(stderr, "\n");
  if (password != again) return fail("cli.input", "the two are not the same", "try again");
  return password;
}

// In place of the file, with its mode; a new one for its owner only.
Result<void> write_file(const std::string& path, std::string_view content) {
  struct stat before{};
  const mode_t mode = ::stat(path.c_str(), &before) == 0 ? before.st_mode & 0770 : 0600;
  const std::string fresh = path + ".new";
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool is_whole = file >= 0 && ::fchmod(file, mode) == 0 &&
                        ::write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size()) &&
                        ::fsync(file) == 0;
  const int problem = errno;
  if (file >= 0) ::close(file);
  if (is_whole && ::rename(fresh.c_str(), path.c_str()) == 0) return {};
  ::unlink(fresh.c_str());
  return fail("cli.output", fmt::format("cannot write {}: {}", path, std::strerror(is_whole ? errno : problem)),
              "name a file in a directory that is there and may be written");
}

int change(const PasswdOptions& options) {
  if (!node::is_user_name(options.user)) {
    fmt::print(stderr, "verge passwd: a user name has 1 to 1,024 bytes, no ':' and no control characters\n");
    return kUsage;
  }
  std::string before;
  if (std::ifstream in(options.file, std::ios::binary); in) {
    std::ostringstream text;
    text << in.rdbuf();
    before = std::move(text).str();
  }
  if (const Result<node::PasswordFile> parsed = node::PasswordFile::parse(before, options.file); !parsed) {
    return print_failure(parsed.error().line());
  }
  // All that is not about the user stays as it is.
  std::string after;
  bool was_there = false;
  std::istringstream lines(before);
  for (std::string line; std::getline(lines, line);) {
    if (trim(line).starts_with(options.user + ":")) {
      was_there = true;
    } else {
      after.append(line).append("\n");
    }
  }
  if (options.remove && !was_there) return print_failure(fmt::format("{} has no user {}", options.file, options.user));
  if (!options.remove) {
    const Result<std::string> password = ask_for_password(options.user);
    if (!password) return print_failure(password.error().line());
    if (password->empty() || password->size() > kPasswordBytesMax) {
      return print_failure("a password has 1 to 65,535 bytes");
    }
    const Result<std::string> hash =
        options.scram ? crypto::hash_scram_password(*password) : crypto::hash_password(*password);
    if (!hash) return print_failure(hash.error().line());
    after.append(options.user).append(":").append(*hash).append("\n");
  }
  if (const Result<void> written = write_file(options.file, after); !written) {
    return print_failure(written.error().line());
  }
  return kSuccess;
}

}  // namespace

void add_passwd(Command& app, Outcome& outcome) {
  Command* passwd = app.add_command("passwd", "Set a password for MQTT clients, or take one away");
  passwd->group(kGroupNode);
  const auto options = std::make_shared<PasswdOptions>();
  passwd->add_option("file", options->file, "The file of mqtt.password_file; made if it is not there")
      ->required()
      ->type_name("FILE");
  passwd->add_option("user", options->user, "The user name")->required()->type_name("USER");
  Option* remove = passwd->add_flag("--delete", options->remove, "Take the user out");
  passwd
      ->add_flag("--scram", options->scram,
                 "For clients that prove that they know it (SCRAM-SHA-256), or send it; else it has to be sent")
      ->excludes(remove);
  set_examples(*passwd,
               "  verge passwd /etc/verge/passwords press-7\n"
               "  head -c 24 /dev/urandom | base64 | tee press-7.password | verge passwd passwords press-7\n"
               "  verge passwd /etc/verge/passwords press-8 --scram\n"
               "  verge passwd /etc/verge/passwords press-7 --delete\n");
  passwd->callback([&outcome, options] { outcome.run = [options] { return change(*options); }; });
}

}  // namespace verge::cli
