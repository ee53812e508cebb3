// verge top: how a node is, and those below it, at a terminal: read again and again from its admin listener.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>

#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/terminal_screen.h"
#include "cli/terminal_text.h"
#include "cli/top_answers.h"
#include "cli/top_screen.h"
#include "runtime/loop.h"

namespace verge::cli {
namespace {

struct TopOptions {
  std::string admin = "127.0.0.1:9180";
  std::string every = "2s";
  bool once = false;
  bool json = false;
};

constexpr Duration kAskTimeout = std::chrono::seconds(3);

using TopOutcome = std::expected<std::unique_ptr<TopAnswers>, std::string>;

// Asks for all that is shown, one question after the other: each has its own time.
class TopQuestions {
 public:
  explicit TopQuestions(AdminClient client) : client_(std::move(client)) {}

  // Calls `done` once, when all is answered or one question is not.
  void ask(std::function<void(TopOutcome)> done) {
    done_ = std::move(done);
    ask_for(0);
  }

 private:
  void ask_for(size_t part) {
    client_.get(TopAnswers::kPaths[part], kAskTimeout, [this, part](Result<AdminAnswer> answer) {
      answers_[part] = std::move(answer);
      if (!answers_[part]) return done_(std::unexpected(printable(answers_[part].error().line())));
      if (part + 1 == TopAnswers::kParts) return done_(TopAnswers::read(answers_));
      ask_for(part + 1);
    });
  }

  AdminClient client_;
  TopAnswers::Asked answers_;
  std::function<void(TopOutcome)> done_;
};

int print_failure(std::string_view line) {
  fmt::print(stderr, "verge top: {}\n", line);
  return kFailure;
}

int print_once(const TopOptions& options, runtime::Loop& loop, TopQuestions& questions) {
  TopOutcome outcome;
  questions.ask([&](TopOutcome answers) {
    outcome = std::move(answers);
    loop.stop();
  });
  loop.run();
  if (!outcome) return print_failure(outcome.error());
  constexpr size_t kColumns = 140;  // of a file
  const size_t columns = isatty(STDOUT_FILENO) == 1 ? TerminalScreen::size().columns : kColumns;
  fmt::print("{}", options.json ? (*outcome)->json() + "\n" : top_screen(**outcome, {.columns = columns, .lines = 0}));
  return kSuccess;
}

// Asks again and again, and shows what is known, until a key or a signal ends it.
class LiveTop {
 public:
  LiveTop(const TopOptions& options, Duration every, runtime::Loop& loop, TopQuestions& questions)
      : admin_(printable(options.admin)),
        every_(every),
        loop_(loop),
        questions_(questions),
        timer_(loop),
        screen_(loop, {.draw = [this] { draw(); },
                       .key =
                           [this](char key) {
                             if (key == 'q' || key == 'Q') loop_.stop();
                           },
                       .end = [this] { loop_.stop(); }}) {}

  int run() {
    draw();
    ask();
    loop_.run();
    return kSuccess;
  }

 private:
  void ask() {
    questions_.ask([this](TopOutcome answers) {
      if (answers) {
        known_ = *std::move(answers);
        known_at_ = loop_.now();
        loss_.clear();
      } else {
        loss_ = answers.error();
      }
      draw();
      timer_.after(every_, [this] { ask(); });
    });
  }

  void draw() {
    const TerminalScreen::Size size = TerminalScreen::size();
    const TopLook look{.columns = size.columns, .lines = size.lines, .colours = colours_};
    if (known_) {
      screen_.show(top_screen(*known_, look, loss_, std::chrono::duration<double>(loop_.now() - known_at_).count()));
    } else {
      screen_.show(top_without_answers(admin_, look, loss_));
    }
  }

  const std::string admin_;
  const Duration every_;
  const bool colours_ = wants_colours();
  runtime::Loop& loop_;
  TopQuestions& questions_;
  std::unique_ptr<TopAnswers> known_;
  MonotonicTime known_at_{};
  std::string loss_;  // why nothing newer is known
  runtime::Timer timer_;
  TerminalScreen screen_;
};

int run_top(const TopOptions& options, Duration every) {
  runtime::Loop loop("verge-top");
  Result<AdminClient> client = AdminClient::create(loop, options.admin);
  if (!client) return print_failure(client.error().line());
  TopQuestions questions(*std::move(client));
  const char* const terminal = std::getenv("TERM");
  const bool has_screen = isatty(STDOUT_FILENO) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb";
  if (options.once || options.json || !has_screen) return print_once(options, loop, questions);
  return LiveTop(options, every, loop, questions).run();
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
  command->add_flag(
      "--json", options->json,
      "Print once what it is made of: one JSON object of now, tree, insights, goals, requests and workers");
  set_examples(*command,
               "  verge top\n"
               "  verge top --admin 127.0.0.1:9181 --every 1s\n"
               "  verge top --once\n"
               "\n"
               "The key q or Ctrl-C ends it. The same in a browser: http://127.0.0.1:9180/");
  command->callback([&outcome, options] {
    outcome.run = [options] { return run_top(*options, parse_duration(options->every).value_or(Duration(0))); };
  });
}

}  // namespace verge::cli
