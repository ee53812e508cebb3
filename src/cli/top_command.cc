// verge top: how a node is, and those below it, at a terminal: read again and again from its admin listener.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/top_screen.h"

namespace verge::cli {
namespace {

struct TopOptions {
  std::string admin = "127.0.0.1:9180";
  std::string every = "2s";
  bool once = false;
  bool json = false;
};

constexpr Duration kAskTimeout = std::chrono::seconds(3);
constexpr Duration kGlance = std::chrono::milliseconds(50);

std::atomic<bool> interrupted = false;
void interrupt(int) { interrupted = true; }

Result<TopAnswers> ask(const std::string& admin) {
  TopAnswers answers;
  for (const auto& [path, into] : {std::pair{"/v1/now", &answers.now}, std::pair{"/v1/tree", &answers.tree},
                                   std::pair{"/v1/insights", &answers.insights}}) {
    Result<AdminAnswer> answer = admin_get(admin, path, kAskTimeout);
    if (!answer) return std::unexpected(answer.error());
    if (answer->status != 200) {
      return fail("http.bad-answer", fmt::format("{} answers {} to {}", admin, answer->status, path),
                  "name the admin listener of a node with --admin HOST:PORT");
    }
    *into = std::move(answer->body);
  }
  return answers;
}

TopLook look_of_terminal() {
  TopLook look{.colours = std::getenv("NO_COLOR") == nullptr};
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 1) {
    look.columns = size.ws_col;
    look.lines = size.ws_row - 1U;
  }
  return look;
}

int print_once(const TopOptions& options) {
  const Result<TopAnswers> answers = ask(options.admin);
  if (options.json && answers) {
    fmt::print(R"({{"now":{},"tree":{},"insights":{}}})"
               "\n",
               trim(answers->now), trim(answers->tree), trim(answers->insights));
    return kSuccess;
  }
  const std::string screen = answers ? top_screen(*answers, {.columns = 140, .lines = 0}) : "";
  if (screen.empty()) {
    const Error error = answers ? Error{"http.bad-answer", "what answers there is no admin listener of a node",
                                        "name it with --admin HOST:PORT"}
                                : answers.error();
    fmt::print(stderr, "verge top: {}\n", error.line());
    return kFailure;
  }
  fmt::print("{}", screen);
  return kSuccess;
}

int run_top(const TopOptions& options, Duration every) {
  if (options.once || options.json || isatty(STDOUT_FILENO) == 0) return print_once(options);
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  fmt::print("\033[?1049h\033[?25l");  // a screen of its own, no cursor
  while (!interrupted) {
    const Result<TopAnswers> answers = ask(options.admin);
    const TopLook look = look_of_terminal();
    std::string screen = answers ? top_screen(*answers, look) : "";
    if (screen.empty()) {
      screen = fmt::format("the node at {} is lost; it is asked again\n{}\n", options.admin,
                           answers ? std::string() : answers.error().line());
    }
    // Each line over the one before, then nothing below: it does not flicker.
    std::string out = "\033[H";
    for (const char c : screen) {
      if (c == '\n') out.append("\033[K");
      out.push_back(c);
    }
    fmt::print("{}\033[J", out);
    std::fflush(stdout);
    for (Duration waited{0}; waited < every && !interrupted; waited += kGlance) std::this_thread::sleep_for(kGlance);
  }
  fmt::print("\033[?25h\033[?1049l");
  std::fflush(stdout);
  return kSuccess;
}

}  // namespace

void add_top(Command& app, Outcome& outcome) {
  Command* command = app.add_command("top", "How a node is, and those below it, at a terminal");
  command->group(kGroupNode);
  const auto options = std::make_shared<TopOptions>();
  command->add_option("--admin", options->admin, "The node's admin listener")
      ->type_name("HOST:PORT")
      ->check(no_address)
      ->capture_default_str();
  command->add_option("--every", options->every, "How often it is asked")
      ->type_name("TIME")
      ->capture_default_str()
      ->check([](const std::string& text) {
        const std::optional<Duration> every = parse_duration(text);
        return every && *every >= std::chrono::milliseconds(100) ? std::string()
                                                                 : fmt::format("'{}' is no time from 100ms on", text);
      });
  command->add_flag("--once", options->once, "Print it once, without a screen of its own");
  command->add_flag("--json", options->json,
                    "Print once what it is made of: one JSON object of now, tree and insights");
  set_examples(*command,
               "  verge top\n"
               "  verge top --admin 127.0.0.1:9181 --every 1s\n"
               "  verge top --once\n"
               "\n"
               "Ctrl-C ends it. The same in a browser: http://127.0.0.1:9180/");
  command->callback([&outcome, options] {
    outcome.run = [options] { return run_top(*options, parse_duration(options->every).value_or(Duration(0))); };
  });
}

}  // namespace verge::cli
