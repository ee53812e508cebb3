#include "cli/spool_access.h"

#include <filesystem>

#include "node/config.h"
#include "node/credentials.h"

namespace verge::cli {
namespace {

// The first one; `verge check` says them all.
std::unexpected<Error> first_of(const node::ConfigProblems& problems) {
  const node::ConfigProblem& first = problems.front();
  Error error = first.error;
  if (!first.place.empty()) error.what = first.place + ": " + error.what;
  return std::unexpected(std::move(error));
}

}  // namespace

void add_access_options(Command& command, SpoolAccess& access) {
  command.add_option("--data-dir", access.data_dir, "The node's data directory")->type_name("DIR");
  command.add_option("--config", access.config, "The node's configuration, for its data directory and its keys")
      ->type_name("FILE");
  command.add_option("--key-file", access.key_files, "A key of what is encrypted; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

Result<storage::Keys> settle_access(SpoolAccess& access) {
  storage::Keys keys;
  std::string data_dir = node::NodeConfig{}.data_dir;
  if (!access.config.empty()) {
    const auto config = node::load_config(access.config, {});
    if (!config) return first_of(config.error());
    auto loaded = node::load_spool_keys(*config);
    if (!loaded) return first_of(loaded.error());
    keys = *std::move(loaded);
    data_dir = config->node.data_dir;
  }
  if (access.data_dir.empty()) access.data_dir = data_dir;
  for (const std::string& file : access.key_files) {
    const Result<crypto::Key> key = node::read_key({node::SecretSource::Kind::kFile, file});
    if (!key) return std::unexpected(key.error());
    if (access.config.empty() && !keys.writing) {
      keys.writing = *key;
    } else {
      keys.reading.push_back(*key);
    }
  }
  return keys;
}

}  // namespace verge::cli
