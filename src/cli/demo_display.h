// What the demonstration says while it runs, on stderr: on a terminal one line that moves, elsewhere a line now and
// then.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "cli/demo_devices.h"
#include "cli/demo_tree.h"

namespace verge::cli {

class DemoDisplay {
 public:
  DemoDisplay();
  ~DemoDisplay() { finish_line(); }

  void say(const std::string& line);
  // A new phase; `what` in a few words.
  void begin(std::string_view phase, std::string_view what);
  // Whether it is time to show the state of things.
  [[nodiscard]] bool is_due(MonotonicTime now) const;
  void show(MonotonicTime now, const DemoDevices::Counts& counts, const DemoTree::Progress& progress, size_t at_root);

 private:
  void finish_line();

  const bool terminal_;
  const bool colours_;
  std::string phase_;
  MonotonicTime started_;
  MonotonicTime shown_{};
  MonotonicTime rate_since_{};
  uint64_t rate_messages_ = 0;
  bool line_open_ = false;
};

}  // namespace verge::cli
