// What a configuration of mosquitto (mosquitto.conf(5)) means for a node: a configuration of ours, and in words what of
// it is not carried over or means something else here.
//
// Whatever is not understood is named, never passed over. Passwords are hashed one way and cannot be taken along. What
// narrows who is let in, or to what, and has no counterpart is a loss: with one, the configuration lets in more than
// mosquitto does.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace verge::cli {

struct MosquittoImport {
  std::string toml;                      // names the losses in its first lines
  std::vector<std::string> losses = {};  // of security: "FILE:LINE: …"
  std::vector<std::string> notes = {};   // of everything else
};

// What the import reads beside the configuration: password and ACL files, and those of include_dir.
struct ImportFiles {
  std::function<Result<std::string>(const std::string& path)> read;
  std::function<Result<std::vector<std::string>>(const std::string& directory)> list;  // paths of *.conf, in order
};

// Error: import.syntax, for a line that cannot be one of mosquitto's; those of `files`.
Result<MosquittoImport> import_mosquitto(const std::string& path, const ImportFiles& files);

}  // namespace verge::cli
