// Roster: the nodes below this one, as their reports say, and whether they are there.
//
// A child is judged by its own clockwork: each report says when the next is due. Stale: it is half an interval late;
// offline: a whole one. What is deeper is known by the word of the child above it: as it said, as long as that child is
// live; stale when it is not, since nobody can say then.
//
// At most kNodesMax, each of bounded size. A node that is offline goes when one of its name, below the same parent, is
// live: it was installed anew. A node of which nothing was heard for kForgotten goes; where there is no
// room, the one that has been offline longest goes for a new one; where none is offline the new one is left out.
//
// No I/O, no threads; time is passed in.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "overview/node_report.h"

namespace verge::overview {

// By how long ago the last report came, and when the next was due after it.
State state_after(Duration silence, Duration every);

class Roster {
 public:
  static constexpr size_t kNodesMax = 1000;
  static constexpr Duration kForgotten = std::chrono::hours(24);
  // What a child said of deeper nodes is old after this, even while the child itself is live.
  static constexpr Duration kRelayedMax = std::chrono::seconds(60);

  // `expected`: names of nodes that should report.
  Roster(const NodeId& self, std::vector<std::string> expected);

  // `wall`: when it came, by this node's clock. Code: report.loop.
  Result<void> receive(Report report, MonotonicTime now, WallTime wall);
  // Brings states up to date with time.
  void look(MonotonicTime now);

  struct Seen {
    NodeReport report;          // with the state and age as of the last look()
    State said = State::kLive;  // of a deeper node: by who told of it
    uint64_t changed = 0;       // the change() at which this was last another
    MonotonicTime heard{};      // its own last word
    Duration every{0};          // of a child of this node; 0: of a deeper one
    NodeId by;                  // the child that told of it; its own id for a child
  };
  // Rises with each change, of figures too.
  [[nodiscard]] uint64_t change() const { return change_; }
  [[nodiscard]] const std::map<NodeId, Seen>& nodes() const { return nodes_; }
  // Of those that were expected, who never reported.
  [[nodiscard]] std::vector<std::string> never_seen() const;
  // Nodes that there was no room for.
  [[nodiscard]] uint64_t left_out() const { return left_out_; }
  // Nodes that were here and are not any more; who was shown them is to be shown all anew.
  [[nodiscard]] uint64_t removals() const { return removals_; }

 private:
  void take(NodeReport report, const NodeId& by, Duration every, MonotonicTime heard);
  bool make_room();
  void forget_replaced();
  [[nodiscard]] State state_of(const Seen& seen, MonotonicTime now) const;

  const NodeId self_;
  const std::vector<std::string> expected_;
  std::map<NodeId, Seen> nodes_;
  std::map<std::string, bool, std::less<>> seen_names_;  // of expected_
  uint64_t change_ = 1;
  uint64_t left_out_ = 0;
  uint64_t removals_ = 0;
};

}  // namespace verge::overview
