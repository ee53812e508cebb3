// verge import: a configuration of mosquitto as one of a node.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/mosquitto_import.h"
#include "cli/mqtt_commands.h"

namespace verge::cli {
namespace {

constexpr uintmax_t kFileBytesMax = 16U << 20;

Result<std::string> read_file(const std::string& path) {
  std::error_code problem;
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::file_size(path, problem) > kFileBytesMax || problem) {
    return fail("cli.input", path + " cannot be read", "name a file of at most 16 MiB that you may read");
  }
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::vector<std::string> configurations_in(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator(directory, problem)) {
    if (entry.path().extension() == ".conf") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

int import(const std::string& path) {
  const Result<MosquittoImport> made = import_mosquitto(path, {.read = read_file, .list = configurations_in});
  if (!made) {
    fmt::print(stderr, "verge import: {}\n", made.error().line());
    return kFailure;
  }
  fmt::print("{}", made->toml);
  if (made->notes.empty()) return kSuccess;
  fmt::print(stderr, "Not carried over, or different here:\n");
  for (const std::string& note : made->notes) fmt::print(stderr, "  {}\n", note);
  return kSuccess;
}

}  // namespace

void add_import(Command& app, Outcome& outcome) {
  Command* command = app.add_command("import", "Write a node's configuration from one of mosquitto");
  command->group(kGroupNode);
  const auto path = std::make_shared<std::string>();
  command->add_option("file", *path, "mosquitto.conf; what it names is read too")->required()->type_name("FILE");
  set_examples(*command,
               "  verge import /etc/mosquitto/mosquitto.conf > node.toml\n"
               "  verge check node.toml\n");
  command->callback([&outcome, path] { outcome.run = [path] { return import(*path); }; });
}

}  // namespace verge::cli
