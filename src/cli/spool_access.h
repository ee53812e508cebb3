// How commands that read a node's files without the node get at them: where they are, and the keys to what is
// encrypted.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "storage/key_ring.h"

namespace verge::cli {

struct SpoolAccess {
  std::string data_dir;                // empty: the configuration's, else ./verge-data
  std::string config;                  // a node's TOML file, which names directory and keys; empty: none
  std::vector<std::string> key_files;  // more keys; without a configuration the first is the one to write with

  [[nodiscard]] std::string spool_directory() const { return data_dir + "/spool"; }
  // What else is encrypted with the spool's keys, by name: logs of a state, of which nothing is left when a part is
  // gone.
  [[nodiscard]] std::map<std::string, std::string> state_logs() const {
    return {{"sessions", data_dir + "/sessions/journal"}, {"rules", data_dir + "/rules/journal"}};
  }
};

// --data-dir, --config, --key-file.
void add_access_options(Command& command, SpoolAccess& access);

// Settles data_dir and reads the keys. Errors: those of the configuration and of its secrets.
Result<storage::Keys> settle_access(SpoolAccess& access);

}  // namespace verge::cli
