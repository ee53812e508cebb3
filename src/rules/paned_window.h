// Tumbling and hopping windows. Readings are gathered in panes, the parts into which the windows' bounds divide time
// (Li et al. 2005), each reading once; a window is put together from its panes when it ends. Of a tumbling window there
// is one pane.
#pragma once

#include <deque>
#include <map>
#include <unordered_map>

#include "base/hash.h"
#include "rules/window.h"

namespace verge::rules {

class PanedWindow final : public Window {
 public:
  // `hop_us` is at most `size_us`; the same for tumbling windows.
  PanedWindow(int64_t size_us, int64_t hop_us, std::vector<AggregateCall> aggregates);

  // What is of a window that is over counts in the one that is open at `now_us`.
  [[nodiscard]] bool add(const WindowReading& reading, int64_t now_us, bool has_room,
                         std::vector<Emission>& out) override;
  // Panes more than a window ahead of `now_us` count as over: the clock was set back, and they would wait for it to
  // come round.
  void advance(int64_t now_us, std::vector<Emission>& out) override;
  [[nodiscard]] bool may_wait() const override { return true; }
  void drain(std::vector<Emission>& out) override;
  [[nodiscard]] std::optional<int64_t> next_end_us() const override;
  [[nodiscard]] size_t bytes() const override { return bytes_; }
  [[nodiscard]] bool is_empty() const override { return panes_.empty(); }
  void append_to(std::string& out) const override;
  bool read(ByteReader& in, const IsMine& mine) override;

 private:
  struct Group {
    std::string key;
    Accumulators accumulators;
  };
  struct Pane {
    std::deque<Group> groups;  // in the order of their first readings
    std::unordered_map<std::string_view, Group*, StringHash, std::equal_to<>> by_key;
    size_t bytes = 0;
  };

  [[nodiscard]] int64_t pane_of(int64_t time_us) const;
  // The end of the first window that holds the pane and has not been emitted.
  [[nodiscard]] int64_t first_end(int64_t pane_start_us) const;
  Group& add_group(Pane& pane, std::string_view key);
  void grow(Pane& pane, size_t by);
  void emit_first(std::vector<Emission>& out);
  void emit(int64_t end_us, std::vector<Emission>& out);
  void forget(std::map<int64_t, Pane>::iterator pane);

  const int64_t size_us_;
  const int64_t hop_us_;
  const int64_t pane_us_;
  const std::vector<AggregateCall> aggregates_;
  std::map<int64_t, Pane> panes_;  // by start
  size_t groups_ = 0;
  size_t bytes_ = 0;
  static constexpr int64_t kNever = INT64_MIN / 2;
  int64_t emitted_through_us_ = kNever;  // the end of the latest window emitted
};

}  // namespace verge::rules
