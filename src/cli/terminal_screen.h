// TerminalScreen: the terminal, for one program alone: a screen of its own without a cursor, keys that are not echoed.
//
// However the program ends while this is there (a key, SIGINT, SIGTERM, SIGHUP, SIGQUIT), the terminal is as it was
// before: the signals arrive as events of the loop, so nothing is cut off in the middle. With SIGTSTP (Ctrl-Z) the
// terminal is given back until the program goes on (SIGCONT) in the foreground; then, and with another size of the
// window, it is drawn anew. In the background it waits, and signals end it as any program. A terminal that takes
// nothing (a line that stands still) is not waited for once a signal came. Signals that were ignored stay so. All is
// done on the loop's thread, and no other thread may run that takes these signals.
#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include <signal.h>
#include <termios.h>

#include "runtime/loop.h"

namespace verge::cli {

class TerminalScreen {
 public:
  struct Calls {
    std::function<void()> draw;         // what is shown is gone, or has another size
    std::function<void(char key)> key;  // one was pressed
    std::function<void()> end;          // by a signal, or since the terminal is gone
  };

  // Standard output is a terminal. Keys are read where standard input is one. `loop` outlives this.
  TerminalScreen(runtime::Loop& loop, Calls calls);
  ~TerminalScreen();
  TerminalScreen(const TerminalScreen&) = delete;
  TerminalScreen& operator=(const TerminalScreen&) = delete;

  struct Size {
    size_t columns = 80;
    size_t lines = 24;
  };
  // Of the terminal at standard output; 80 by 24 where it does not say.
  static Size size();

  // `lines` with their ends, no more than fit: in place of what was shown.
  void show(std::string_view lines);

 private:
  class Descriptor final : public runtime::Watcher {
   public:
    explicit Descriptor(std::function<void()> ready) : ready_(std::move(ready)) {}
    void on_ready(uint32_t) override { ready_(); }

   private:
    std::function<void()> ready_;
  };

  void take_signals();
  void take_keys();
  void enter();
  void leave();
  void suspend();
  void forget_keys();
  void await_foreground();
  void write(std::string_view text);

  runtime::Loop& loop_;
  const Calls calls_;
  sigset_t before_{};  // the signals that were blocked before
  sigset_t taken_{};   // those that come by signals_
  int signals_ = -1;   // a signalfd(2)
  int output_ = -1;    // the terminal, opened anew: it does not block, and others' descriptors stay as they are
  bool has_keys_ = false;
  bool is_left_ = true;
  termios modes_{};  // of the terminal before
  Descriptor on_signal_{[this] { take_signals(); }};
  Descriptor on_key_{[this] { take_keys(); }};
};

}  // namespace verge::cli
