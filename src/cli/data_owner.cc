#include "cli/data_owner.h"

#include <fmt/format.h>

#include "base/text.h"

namespace verge::cli {

DataOwner owner_of(storage::FileSystem& file_system, const std::string& data_dir) {
  const auto read = [&](const char* name) {
    const Result<std::string> text = file_system.read_file(fmt::format("{}/identity/{}", data_dir, name), 1024);
    return text ? std::string(trim(*text)) : std::string();
  };
  return {NodeId::parse(read("node-id")).value_or(NodeId{}), read("name")};
}

}  // namespace verge::cli
