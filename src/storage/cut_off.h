// What a start cuts off the end of a damaged log, kept for people to look at.
//
// It may be a write that a crash cut off, of which nothing was acknowledged, or all that is left of records which were:
// a log cannot tell. So nothing hangs on what is kept, and no failure to keep it stops a start.
//
// A file beside the segment, named like it with ".cut-off": the segment's header, which says what key and salts the
// bytes belong to, and the bytes from the first that could not be read up to the last that is not zero, 4 MiB at most.
// A directory has the latest four.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "storage/file_system.h"
#include "storage/key_ring.h"

namespace verge::storage {

// Keeps what `segment`, whose file is at `path`, has from byte `from` on. The path it has now; empty where there is
// nothing but zeros, or it could not be kept. Durable on return.
std::string keep_cut_off(FileSystem& file_system, const std::string& path, File& segment, uint64_t from);

// Removes what segments of that key left in a directory, or all of it. Durable on return.
Result<void> remove_cut_off(FileSystem& file_system, const std::string& directory, std::optional<KeyId> key);

}  // namespace verge::storage
