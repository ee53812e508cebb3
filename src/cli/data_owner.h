// Whose data directory it is: for commands that read one without its node.
#pragma once

#include <string>

#include "model/node_id.h"
#include "storage/file_system.h"

namespace verge::cli {

struct DataOwner {
  NodeId id;         // zero when it has none yet
  std::string name;  // empty where the node never ran
};

DataOwner owner_of(storage::FileSystem& file_system, const std::string& data_dir);

}  // namespace verge::cli
