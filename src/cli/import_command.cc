// verge import: a configuration of mosquitto as one of a node.
#include <algorithm>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "base/named_file.h"
#include "cli/command_line.h"
#include "cli/mosquitto_import.h"
#include "cli/mqtt_commands.h"

namespace verge::cli {
namespace {

constexpr size_t kFileBytesMax = 16U << 20;

Result<std::string> read_file(const std::string& path) {
  auto text = read_named_file(path, kFileBytesMax);
  if (text) return *std::move(text);
  return fail("cli.input", fmt::format("{} cannot be read: {}", path, text.error().why),
              "name a file of at most 16 MiB that you may read");
}

Result<std::vector<std::string>> configurations_in(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator(directory, problem)) {
    if (entry.path().extension() == ".conf") paths.push_back(entry.path());
  }
  if (problem) return fail("cli.input", directory + " cannot be listed", "name a directory that you may read");
  std::ranges::sort(paths);
  return paths;
}

void tell(std::string_view heading, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  fmt::print(stderr, "{}\n", heading);
  for (const std::string& line : lines) fmt::print(stderr, "  {}\n", line);
}

// What would let in more than mosquitto does is written only where that was asked for.
int import(const std::string& path, bool takes_incomplete) {
  const Result<MosquittoImport> made = import_mosquitto(path, {.read = read_file, .list = configurations_in});
  if (!made) {
    fmt::print(stderr, "verge import: {}\n", made.error().line());
    return kFailure;
  }
  const bool is_written = made->losses.empty() || takes_incomplete;
  tell("This concerns security and cannot be carried over:", made->losses);
  if (!is_written) {
    const Error error{"import.security", "nothing is written: the node would let in more than mosquitto does",
                      "take these settings out, or write it with --incomplete and complete it by hand"};
    fmt::print(stderr, "verge import: {}\n", error.line());
  }
  tell("Not carried over, or different here:", made->notes);
  if (!is_written) return kFailure;
  fmt::print("{}", made->toml);
  return kSuccess;
}

}  // namespace

void add_import(Command& app, Outcome& outcome) {
  Command* command = app.add_command("import", "Write a node's configuration from one of mosquitto");
  command->group(kGroupNode);
  const auto path = std::make_shared<std::string>();
  command->add_option("file", *path, "mosquitto.conf; what it names is read too")->required()->type_name("FILE");
  const auto takes_incomplete = std::make_shared<bool>(false);
  command->add_flag("--incomplete", *takes_incomplete,
                    "Write it also where something that concerns security cannot be carried over");
  set_examples(*command,
               "  verge import /etc/mosquitto/mosquitto.conf > node.toml\n"
               "  verge check node.toml\n");
  command->callback([&outcome, path, takes_incomplete] {
    outcome.run = [path, takes_incomplete] { return import(*path, *takes_incomplete); };
  });
}

}  // namespace verge::cli
