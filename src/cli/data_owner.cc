#include "cli/data_owner.h"

#include "base/text.h"
#include "storage/node_identity.h"

namespace verge::cli {

DataOwner owner_of(storage::FileSystem& file_system, const std::string& data_dir) {
  const std::string directory = data_dir + "/identity";
  const Result<std::string> name = file_system.read_file(directory + "/name", 1024);
  return {storage::read_identity(file_system, directory).value_or(NodeId{}), name ? std::string(trim(*name)) : ""};
}

}  // namespace verge::cli
