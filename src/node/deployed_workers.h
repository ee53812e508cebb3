// DeployedWorkers: workers that were deployed while the node ran, by way of the admin listener, each with its last
// versions. They are kept in the data directory and are there again at the next start.
//
// A version is a file of its own, NAME@NUMBER.json, which is not changed once it is there; current.json says which
// version of which worker is in effect, and is replaced as a whole: a deploy has happened when that is durable.
//
// Threading: none of its own; who changes it holds a lock.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "node/worker_spec.h"
#include "storage/file_system.h"

namespace verge::node {

class DeployedWorkers {
 public:
  static constexpr size_t kVersionsMax = 10;  // of a worker; the oldest go
  static constexpr size_t kWorkersMax = 10'000;

  DeployedWorkers(storage::FileSystem& file_system, std::string directory)
      : file_system_(&file_system), directory_(std::move(directory)) {}

  // What was kept; nothing where nothing was. Error: workers.deployed, a file cannot be read.
  Result<void> load();

  struct Version {
    uint64_t number = 0;
    int64_t time_us = 0;  // since 1970, when it was deployed
  };
  struct Deployed {
    WorkerSpec spec;                // in effect
    std::vector<Version> versions;  // rising; those that can be gone back to, and further ones
  };

  // The next version of the worker is in effect. Errors: those of the disk; workers.too-many.
  Result<uint64_t> add(WorkerSpec spec, std::string_view bundle, WallTime now);
  // The version before the one in effect is, or `version`, if it is not 0. Errors: workers.unknown; workers.version,
  // there is no such.
  Result<uint64_t> roll_back(std::string_view name, uint64_t version);
  // Error: workers.unknown.
  Result<void> remove(std::string_view name);

  [[nodiscard]] const std::map<std::string, Deployed, std::less<>>& all() const { return deployed_; }
  [[nodiscard]] std::vector<WorkerSpec> specs() const;

 private:
  [[nodiscard]] std::string path_of(std::string_view name, uint64_t version) const;
  Result<WorkerSpec> read(std::string_view name, uint64_t version) const;
  [[nodiscard]] Result<void> save() const;

  storage::FileSystem* file_system_;
  std::string directory_;
  std::map<std::string, Deployed, std::less<>> deployed_;
};

}  // namespace verge::node
