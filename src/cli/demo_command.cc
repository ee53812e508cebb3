#include <charconv>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/demo.h"

namespace verge::cli {
namespace {

// Why the text is no length of a demonstration; empty when it is one.
std::string no_demo_seconds(const std::string& text) {
  double seconds = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool is_number = problem == std::errc{} && end == text.data() + text.size();
  if (is_number && seconds >= kDemoSecondsMin && seconds <= kDemoSecondsMax) return {};
  return fmt::format("'{}' is no time from {} to {} s: a cut, a kill and what follows need that long", text,
                     kDemoSecondsMin, kDemoSecondsMax);
}

}  // namespace

void add_demo(Command& app, Outcome& outcome) {
  Command* command = app.add_command("demo", "See it work: three nodes, 200 machines, a cut and a kill");
  command->group(kGroupTry);
  const auto options = std::make_shared<DemoOptions>();
  command->add_option("--seconds", options->seconds, "How long, 12 at least, without the drain at the end")
      ->type_name("N")
      ->check(no_demo_seconds)
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of the simulated plant; the same seed gives the same plant")
      ->capture_default_str();
  command->add_option("--replay", options->replay, "Publish a recorded series as well: lines timestamp,value")
      ->type_name("FILE.csv");
  command->add_option("--dir", options->directory, "New directory for configurations, logs and data, which is kept")
      ->type_name("DIR");
  command->add_flag("--hold", options->hold, "Keep all running afterwards, and print addresses to open");
  command->add_flag("--json", options->json, "The scoreboard as one JSON object");
  set_examples(*command,
               "  verge demo\n"
               "  verge demo --seconds 20 --seed 7 --json\n"
               "  verge demo --hold --replay nyc_taxi.csv\n"
               "\n"
               "Exit status 1 when anything acknowledged was lost or stored twice.");
  command->callback([&outcome, options] { outcome.run = [options] { return run_demo(*options); }; });
}

}  // namespace verge::cli
