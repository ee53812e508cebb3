#include "cli/demo_display.h"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/terminal_text.h"

namespace verge::cli {
namespace {

constexpr Duration kTerminalInterval = std::chrono::milliseconds(200);
constexpr Duration kPlainInterval = std::chrono::seconds(5);

}  // namespace

DemoDisplay::DemoDisplay()
    : terminal_(isatty(STDERR_FILENO) == 1),
      colours_(terminal_ && wants_colours()),
      started_(std::chrono::steady_clock::now()),
      rate_since_(started_) {}

void DemoDisplay::finish_line() {
  if (line_open_) std::fputc('\n', stderr);
  line_open_ = false;
}

void DemoDisplay::say(const std::string& line) {
  finish_line();
  fmt::print(stderr, "{}\n", line);
}

void DemoDisplay::begin(std::string_view phase, std::string_view what) {
  phase_ = phase;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  say(fmt::format("{:5.1f} s  {}{:<16}{} {}", seconds, colours_ ? "\033[1m" : "", phase, colours_ ? "\033[0m" : "",
                  what));
  shown_ = std::chrono::steady_clock::now();
}

bool DemoDisplay::is_due(MonotonicTime now) const {
  return now - shown_ >= (terminal_ ? kTerminalInterval : kPlainInterval);
}

void DemoDisplay::show(MonotonicTime now, const DemoDevices::Counts& counts, const DemoTree::Progress& progress,
                       size_t at_root) {
  shown_ = now;
  const double elapsed = std::chrono::duration<double>(now - rate_since_).count();
  const double rate = static_cast<double>(counts.messages - rate_messages_) / std::max(elapsed, 1e-3);
  rate_since_ = now;
  rate_messages_ = counts.messages;
  const std::string line = fmt::format(
      "{:5.1f} s  {:<16} {:>5.0f} msg/s  {} decisions, p99 {:.2f} ms  waiting: edge {}, fog {}  at the cloud {}{}",
      std::chrono::duration<double>(now - started_).count(), "", rate, counts.decision.count,
      std::chrono::duration<double, std::milli>(counts.decision.quantile(0.99)).count(), progress.waiting_at_edge,
      progress.waiting_at_fog, at_root, progress.edge_connected ? "" : "  uplink down");
  if (!terminal_) return say(line);
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
  line_open_ = true;
}

}  // namespace verge::cli
