// verge restore: what verge reduce wrote, as CSV again.
#include <cmath>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/whole_file.h"
#include "series/csv.h"
#include "series/reduced_series.h"

namespace verge::cli {
namespace {

struct RestoreOptions {
  std::string file;
  bool json = false;
};

void print_window(const series::Window& window, bool json) {
  for (size_t i = 0; i < window.values.size(); ++i) {
    const std::string timestamp = window.times.text(i);
    const double value = window.values[i];
    if (json && std::isnan(value)) {
      fmt::print("{{{}:{},{}:null}}\n", json_string(window.time_name), json_string(timestamp),
                 json_string(window.value_name));
    } else if (json) {
      fmt::print("{{{}:{},{}:{}}}\n", json_string(window.time_name), json_string(timestamp),
                 json_string(window.value_name), value);
    } else if (std::isnan(value)) {
      fmt::print("{},\n", series::csv_cell(timestamp));
    } else {
      fmt::print("{},{}\n", series::csv_cell(timestamp), value);
    }
  }
}

int restore(const RestoreOptions& options) {
  const auto say = [&](const Error& error) {
    std::fflush(stdout);
    fmt::print(stderr, "verge restore: {}: {}\n", options.file, error.line());
    return kUsage;
  };
  const Result<std::string> bytes = read_whole_file(options.file);
  if (!bytes) return say(bytes.error());
  std::string_view rest = *bytes;
  bool is_first = true;
  do {
    const Result<series::Restored> restored = series::restore(rest);
    if (!restored) return say(restored.error());
    const series::Window& window = restored->window;
    if (is_first && !options.json) {
      fmt::print("{},{}\n", series::csv_cell(window.time_name), series::csv_cell(window.value_name));
    }
    is_first = false;
    print_window(window, options.json);
  } while (!rest.empty());
  return kSuccess;
}

}  // namespace

void add_restore(Command& app, Outcome& outcome) {
  Command* command = app.add_command("restore", "Print the series that verge reduce wrote");
  command->group(kGroupSeries);
  const auto options = std::make_shared<RestoreOptions>();
  command->add_option("file", options->file, "What verge reduce wrote; - for standard input")
      ->required()
      ->type_name("FILE");
  command->add_flag("--json", options->json, "JSON on stdout, one object a reading");
  set_examples(
      *command,
      "  verge restore temperature.bin >temperature.csv\n\n"
      "CSV with the header that the series had. Timestamps are as they were; a value differs from what it was by at\n"
      "most the error that reduce was allowed; a missing value is an empty cell.\n");
  command->callback([&outcome, options] { outcome.run = [options] { return restore(*options); }; });
}

}  // namespace verge::cli
