// NodeIdentity: who a node is, on its disk. It is there twice, each with a checksum, so that what damages one file
// costs nothing: to its parent a node with another id is another node, and what it had sent and not noted comes twice.
//
// Files, in `directory`: node-id and node-id.copy, each of two lines: 32 hexadecimal digits, and the XXH3 of that line
// as 16 hexadecimal digits. A node-id without the second line, as older versions made it, is taken as it is.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/node_id.h"
#include "storage/file_system.h"

namespace verge::storage {

struct NodeIdentity {
  NodeId id;
  // storage.identity-restored: one file was damaged or missing, and was made anew from the other one.
  // storage.identity-lost: both were damaged; they are set aside, and the id is a new one.
  std::optional<Error> replaced;
};

// Reads it, puts right what is damaged, and makes both files where there is neither. Errors: of reading a file that is
// there, of writing one.
Result<NodeIdentity> open_identity(FileSystem& file_system, const std::string& directory);

// As it is found; changes nothing. Nothing where there is none.
std::optional<NodeId> read_identity(FileSystem& file_system, const std::string& directory);

}  // namespace verge::storage
