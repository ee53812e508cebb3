// Files that a person named: configuration, certificates, passwords, tables. What stands under such a name may be
// anything: a directory, a pipe that a shell made (<(…)), a pipe that nobody writes into, a device without an end.
#pragma once

#include <chrono>
#include <cstddef>
#include <expected>
#include <string>

namespace verge {

// Why a file was not read: for a sentence that names it ("cannot be read: …").
struct Unread {
  int number = 0;  // of errno; EFBIG: larger than allowed; ETIMEDOUT: a pipe without an end; EPIPE: without a beginning
  std::string why;
};

// All of the file, which has `bytes_max` at most. Never waits for a pipe's other end to be opened, and not longer than
// `patience` for what comes through it.
std::expected<std::string, Unread> read_named_file(const std::string& path, size_t bytes_max,
                                                   std::chrono::milliseconds patience = std::chrono::seconds(10));

}  // namespace verge
