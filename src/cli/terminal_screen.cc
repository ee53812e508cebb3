#include "cli/terminal_screen.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <iterator>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"

namespace verge::cli {
namespace {

constexpr int kTaken[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};

// A screen of its own, no cursor, no line that goes on in the next; and back.
constexpr std::string_view kEnter = "\033[?1049h\033[?25l\033[?7l";
constexpr std::string_view kLeave = "\033[?7h\033[?25h\033[?1049l";

// How long a terminal that takes nothing is waited for, a write.
constexpr int kPatienceMs = 1000;

bool is_ignored(int signal) {
  struct sigaction action{};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

TerminalScreen::TerminalScreen(runtime::Loop& loop, Calls calls) : loop_(loop), calls_(std::move(calls)) {
  sigemptyset(&taken_);
  for (const int signal : kTaken) {
    if (!is_ignored(signal)) sigaddset(&taken_, signal);
  }
  await_foreground();
  sigprocmask(SIG_BLOCK, &taken_, &before_);
  signals_ = signalfd(-1, &taken_, SFD_CLOEXEC | SFD_NONBLOCK);
  VERGE_ASSERT(signals_ >= 0);
  std::array<char, PATH_MAX> name{};
  if (ttyname_r(STDOUT_FILENO, name.data(), name.size()) == 0) {
    output_ = open(name.data(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  }
  loop_.watch(signals_, EPOLLIN, on_signal_);
  has_keys_ = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &modes_) == 0;
  enter();
  if (has_keys_) loop_.watch(STDIN_FILENO, EPOLLIN, on_key_);
}

TerminalScreen::~TerminalScreen() {
  leave();
  forget_keys();
  loop_.unwatch(signals_, on_signal_);
  close(signals_);
  if (output_ >= 0) close(output_);
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

// A terminal that is gone takes nothing: its end is told by a signal.
void TerminalScreen::write(std::string_view text) {
  const int output = output_ >= 0 ? output_ : STDOUT_FILENO;
  while (!text.empty()) {
    const ssize_t written = ::write(output, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd either[] = {{.fd = output, .events = POLLOUT, .revents = 0},
                         {.fd = signals_, .events = POLLIN, .revents = 0}};
      if (poll(either, std::size(either), kPatienceMs) <= 0 || either[1].revents != 0) return;
    } else if (errno != EINTR) {
      return;
    }
  }
}

// As long as another process has the terminal, this one is stopped, as by the terminal itself; signals are as they
// would be without a screen. Whom nobody can bring to the foreground is not stopped by that: it goes on.
void TerminalScreen::await_foreground() {
  constexpr int kTimes = 1000;
  for (int i = 0; i < kTimes; ++i) {
    const pid_t foreground = tcgetpgrp(STDIN_FILENO);
    if (foreground < 0 || foreground == getpgrp()) return;
    raise(SIGTTOU);
  }
}

TerminalScreen::Size TerminalScreen::size() {
  Size made;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
    made = {.columns = size.ws_col, .lines = size.ws_row};
  }
  return made;
}

void TerminalScreen::show(std::string_view lines) {
  if (is_left_) return;
  // Each line over the one before, then nothing below: it does not flicker. A line is emptied before it is written:
  // after one that is as long as the window is wide, its last character would go. For the same reason nothing follows
  // the last line of a window that is full.
  std::string out = "\033[H";
  const size_t rows = size().lines;
  size_t row = 0;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    out.append(row == 0 ? "\033[K" : "\r\n\033[K").append(lines.substr(0, end));
    lines.remove_prefix(std::min(lines.size(), end + 1));
    ++row;
  }
  if (row < rows) out.append(row == 0 ? "\033[J" : "\r\n\033[J");
  write(out);
}

void TerminalScreen::take_signals() {
  signalfd_siginfo taken{};
  while (::read(signals_, &taken, sizeof taken) == sizeof taken) {
    switch (static_cast<int>(taken.ssi_signo)) {
      case SIGTSTP:
        suspend();
        break;
      case SIGCONT:
        sigprocmask(SIG_SETMASK, &before_, nullptr);
        await_foreground();
        sigprocmask(SIG_BLOCK, &taken_, nullptr);
        enter();
        calls_.draw();
        break;
      case SIGWINCH:
        calls_.draw();
        break;
      default:
        return calls_.end();
    }
  }
}

void TerminalScreen::take_keys() {
  char keys[64];
  const ssize_t got = ::read(STDIN_FILENO, keys, sizeof keys);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) {
    forget_keys();
    return calls_.end();
  }
  for (ssize_t i = 0; i < got; ++i) calls_.key(keys[i]);
}

// Again, where it was entered already: whoever stopped the program may have changed the terminal since.
void TerminalScreen::enter() {
  if (has_keys_) {
    if (is_left_) tcgetattr(STDIN_FILENO, &modes_);
    termios own = modes_;
    own.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    own.c_cc[VMIN] = 1;
    own.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &own);
  }
  is_left_ = false;
  write(kEnter);
}

void TerminalScreen::leave() {
  if (is_left_) return;
  write(kLeave);
  if (has_keys_) tcsetattr(STDIN_FILENO, TCSANOW, &modes_);
  is_left_ = true;
}

void TerminalScreen::suspend() {
  leave();
  raise(SIGTSTP);
  sigprocmask(SIG_SETMASK, &before_, nullptr);  // here it stops, and goes on
  await_foreground();
  sigprocmask(SIG_BLOCK, &taken_, nullptr);
  enter();
  calls_.draw();
}

void TerminalScreen::forget_keys() {
  if (!std::exchange(has_keys_, false)) return;
  loop_.unwatch(STDIN_FILENO, on_key_);
}

}  // namespace verge::cli
