// verge manual: the manual pages of all commands, as files for man(1).
#include <cstdio>
#include <filesystem>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/manual.h"
#include "storage/file_system.h"

namespace verge::cli {
namespace {

int write_pages(const std::vector<ManualPage>& pages, const std::string& directory) {
  storage::PosixFileSystem files;
  Result<void> done = files.make_directory(directory);
  for (const ManualPage& page : pages) {
    if (!done) break;
    const std::string path = directory + "/" + page.name + ".1";
    done = files.replace_file(path, page.text);
    std::error_code ignored;  // manual pages are for everyone
    std::filesystem::permissions(path, std::filesystem::perms(0644), ignored);
  }
  if (!done) {
    fmt::print(stderr, "verge: {}\n", done.error().line());
    return kFailure;
  }
  fmt::print(stderr, "{} pages in {}; read one with: man -l {}/verge.1\n", pages.size(), directory, directory);
  return kSuccess;
}

}  // namespace

void add_manual(Command& app, Outcome& outcome) {
  Command* command = app.add_command("manual", "Write the manual pages of all commands");
  command->group(kGroupShell);
  const auto directory = std::make_shared<std::string>();
  command->add_option("--directory", *directory, "Where to; without it the page of the program is printed")
      ->type_name("DIR");
  set_examples(*command,
               "  verge manual | man -l -\n"
               "  verge manual --directory /usr/local/share/man/man1");
  command->callback([&outcome, &app, directory] {
    outcome.run = [&app, directory] {
      const std::vector<ManualPage> pages = manual_pages(app.app());
      if (!directory->empty()) return write_pages(pages, *directory);
      fmt::print("{}", pages.front().text);
      return kSuccess;
    };
  });
}

}  // namespace verge::cli
