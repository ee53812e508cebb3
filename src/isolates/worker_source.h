// A worker's modules, read from disk: the main file, and what it imports by relative paths, over any number of steps.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "isolates/worker.h"

namespace verge::isolates {

// The first is `file`; each is named by its path below the directory of `file`. Imports that name no file are left out:
// the program says what it misses, with the place. Error: workers.file.
Result<std::vector<ModuleSource>> read_modules(const std::string& file);

// Specifiers that begin with "." in the source of a module: of import and export declarations and of import().
std::vector<std::string> relative_imports(std::string_view source);

// "hello" of "some/where/hello.js".
std::string worker_name(const std::string& file);

}  // namespace verge::isolates
