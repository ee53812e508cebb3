// NodeProcess: a `verge node` as a child process, that can be killed like a machine that loses power, and started
// again where it was.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include "base/clock.h"
#include "base/error.h"

namespace verge::cli {

// Where a node listens, as it says in its ready file.
struct NodeAddresses {
  std::string mqtt;
  std::string http;
  std::string admin;
};

class NodeProcess {
 public:
  // `directory` exists; the node's configuration, data, log and ready file are NAME.toml, NAME/, NAME.log and
  // NAME.ready in it. `rules` follows what every configuration has: name, tier, data_dir and free ports on loopback.
  NodeProcess(std::string directory, std::string name, std::string tier, std::string rules);
  // Kills what still runs.
  ~NodeProcess();
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;

  // Starts and waits until it is ready. The second time it listens where it did the first.
  Result<void> start();
  // SIGKILL, and waits for its end.
  void kill();
  // SIGTERM, so that others can be asked as well before waiting.
  void ask_to_end() const;
  // Waits; kills what takes longer.
  void wait_for_end(Duration patience);

  [[nodiscard]] bool running() const { return process_ > 0; }
  // Notices a process that ended by itself.
  [[nodiscard]] bool died();
  [[nodiscard]] const NodeAddresses& addresses() const { return addresses_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string log_path() const { return path(".log"); }

 private:
  [[nodiscard]] std::string path(const char* suffix) const { return directory_ + "/" + name_ + suffix; }
  Result<void> write_configuration() const;
  Result<void> spawn();
  Result<void> wait_until_ready();

  const std::string directory_;
  const std::string name_;
  const std::string tier_;
  const std::string rules_;
  NodeAddresses addresses_;
  pid_t process_ = 0;
};

}  // namespace verge::cli
