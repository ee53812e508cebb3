// verge spool key: make a key for the spool, and see which are needed.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/spool_access.h"
#include "spool/spool.h"

namespace verge::cli {
namespace {

struct KeyOptions {
  SpoolAccess access;
  std::string output;
  bool json = false;
};

int print_failure(const Error& error) {
  fmt::print(stderr, "verge spool: {}\n", error.line());
  return kFailure;
}

// A file that was not there before, for its owner only, and durable: what is encrypted with the key must not outlive
// it.
Result<void> write_key_file(const std::string& path, const crypto::Key& key) {
  const auto failed = [&](const char* fix) {
    return fail("spool.key-file", fmt::format("cannot make {}: {}", path, std::strerror(errno)), fix);
  };
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0 && errno == EEXIST) return failed("choose another name; a key that is in use must not be overwritten");
  if (file < 0) return failed("name a file in a directory that is there and may be written");
  const std::string text = key.text() + "\n";
  const bool is_whole =
      ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  if (!is_whole) {
    const std::unexpected<Error> error = failed("check the disk; there is no key now");
    ::close(file);
    ::unlink(path.c_str());
    return error;
  }
  ::close(file);
  const std::string directory = std::filesystem::absolute(path).parent_path().string();
  return storage::PosixFileSystem().sync_directory(directory);
}

int make_key(const KeyOptions& options) {
  const crypto::Key key = crypto::Key::generate();
  const Result<storage::KeyId> id = storage::id_of(key);
  if (!id) return print_failure(id.error());
  const std::string name = storage::key_id_text(*id);
  if (options.output == "-") {
    fmt::print("{}\n", key.text());
    fmt::print(stderr, "the key {}\n", name);
    return kSuccess;
  }
  if (const Result<void> written = write_key_file(options.output, key); !written) return print_failure(written.error());
  if (options.json) {
    fmt::print(R"({{"key":"{}","file":{}}})"
               "\n",
               name, json_string(options.output));
  } else {
    fmt::print("the key {} is in {}; keep a copy elsewhere, and set spool.encryption_key = {{ file = {} }}\n", name,
               options.output, json_string(options.output));
  }
  return kSuccess;
}

int list_keys(const KeyOptions& options) {
  SpoolAccess access = options.access;
  const Result<storage::Keys> keys = settle_access(access);
  if (!keys) {
    print_failure(keys.error());
    return kUsage;
  }
  storage::KeyRing ring;
  if (const Result<void> taken = ring.replace(*keys); !taken) return print_failure(taken.error());
  storage::PosixFileSystem file_system(access.data_dir);
  if (!file_system.list(access.spool_directory())) {
    return print_failure({"spool.none", fmt::format("there is no spool in {}", access.spool_directory()),
                          "name the node's data directory with --data-dir"});
  }
  std::map<storage::KeyId, size_t> files;
  std::vector<std::string> logs = spool::log_directories(access.spool_directory());
  for (const auto& [name, log] : access.state_logs()) logs.push_back(log);
  for (const std::string& log : logs) {
    const Result<std::map<storage::KeyId, size_t>> needed = storage::keys_in_use(file_system, log);
    if (!needed) return print_failure(needed.error());
    for (const auto& [key, count] : *needed) files[key] += count;
  }
  if (ring.writing() != 0) files.try_emplace(ring.writing(), 0);
  bool all_there = true;
  if (!options.json) fmt::print("{:16} {:>8}  {}\n", "key", "files", "state");
  for (const auto& [key, count] : files) {
    const std::string_view state = key == ring.writing() ? "writes" : ring.has(key) ? "reads" : "not there";
    all_there = all_there && ring.has(key);
    if (options.json) {
      fmt::print(R"({{"key":"{}","files":{},"state":"{}"}})"
                 "\n",
                 storage::key_id_text(key), count, state);
    } else {
      fmt::print("{:16} {:>8}  {}\n", storage::key_id_text(key), count, state);
    }
  }
  return all_there ? kSuccess : kFailure;
}

}  // namespace

void add_spool_key(Command& spool, Outcome& outcome) {
  Command* key = spool.add_command("key", "Keys that the spool is encrypted with");
  key->require_subcommand(1);
  set_examples(*key, "  verge spool key new --out /etc/verge/spool.key\n");

  Command* fresh = key->add_command("new", "Make a key, in a new file that only you can read");
  const auto fresh_options = std::make_shared<KeyOptions>();
  fresh->add_option("--out", fresh_options->output, "The file; - for standard output")->required()->type_name("FILE");
  fresh->add_flag("--json", fresh_options->json, "JSON on stdout: the key's name and file, never the key");
  set_examples(*fresh, "  verge spool key new --out /etc/verge/spool.key\n");
  fresh->callback([&outcome, fresh_options] { outcome.run = [fresh_options] { return make_key(*fresh_options); }; });

  Command* list = key->add_command("ls", "The keys that the spool's files need; exit status 1 if one is not there");
  const auto list_options = std::make_shared<KeyOptions>();
  add_access_options(*list, list_options->access);
  list->add_flag("--json", list_options->json, "JSON on stdout, one object a line");
  set_examples(*list, "  verge spool key ls --config /etc/verge/node.toml\n");
  list->callback([&outcome, list_options] { outcome.run = [list_options] { return list_keys(*list_options); }; });
}

}  // namespace verge::cli
