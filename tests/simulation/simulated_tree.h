// SimulatedTree: a device at a child, its parent, and the root above it; disks, paths and power that fail; and what
// must be true of all that at the end. A seed decides everything.
//
// The oracle knows nothing of the structures under test: records are numbers, and what it holds of each is whether the
// device was told that it is durable. At the end each such number is at the root exactly once, unless it is among the
// dead letters of a node below, or a counter says that it was given up.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/simulated_node.h"
#include "tests/simulation/simulated_path.h"

namespace verge::tests {

class SimulatedTree final : private SimulatedNode::Surroundings {
 public:
  static constexpr size_t kNodes = 3;  // child, parent, root

  explicit SimulatedTree(uint64_t seed);

  // Submits, and breaks things, for a while; then mends all and checks.
  void run_with_faults();

  // The same things in the same order each time, with one failure in the way.
  struct Failure {
    size_t node = 0;
    uint64_t operation = 0;  // the nth operation of that node's disk, from the very start; 0: none
    std::string_view code;
    bool sticky = false;  // from then on, until all is mended
    uint64_t read = 0;    // 0: none
  };
  struct Extent {
    uint64_t operations = 0;
    uint64_t reads = 0;
  };
  // Returns what each node's disk had to do.
  std::array<Extent, kNodes> run_script(const Failure& failure);

  // The disk of the child, or of its parent, is put back as it was some time before, and the tree goes on with new
  // records; some of them may wait for a while before the nodes above hear of it.
  void run_with_put_back();

  // Of all that happened; two runs of a seed have the same.
  [[nodiscard]] uint64_t trace() const { return trace_; }
  // What happened, so that a test can show that the runs met what they are to meet.
  struct Met {
    uint64_t acknowledged = 0;
    uint64_t requests = 0;
    uint64_t known = 0;  // records that came again
    uint64_t refusals = 0;
    uint64_t dead_letters = 0;
    uint64_t given_up = 0;
    uint64_t power_cuts = 0;
    uint64_t redundant = 0;  // requests that were sent while another for the same batch was under way
  };
  [[nodiscard]] const Met& met() const { return met_; }

 private:
  // What one device sent and has not heard of yet, and what it was told.
  struct Device {
    size_t node = 0;
    uint64_t first = 1;
    uint64_t next = 1;
    std::set<uint64_t> unacknowledged;
    std::set<uint64_t> acknowledged;
  };

  void send(SimulatedNode& node, spool::Lane lane, size_t path, const Payload& body, Duration timeout) override;
  void close(SimulatedNode& node, spool::Lane lane, size_t path) override;
  void on_stored(SimulatedNode& node, spool::Lane lane, bool is_awaited, const spool::ChildBatch& batch) override;

  [[nodiscard]] SimulatedNode::Options options_of(size_t node);
  SimulatedPath::Character character();
  size_t index_of(const SimulatedNode& node) const;
  void make_paths(size_t node);

  void start(size_t node);
  void end(size_t node, bool power);
  void submit(Device& device, uint64_t fresh);
  void submit_until_acknowledged(uint64_t fresh);
  void keep_submitting(size_t device);
  void break_something();
  void break_disk(size_t node);
  void change_weather(size_t node);
  [[nodiscard]] bool meets_refusals(size_t node) const;
  void watch_for_power_cut(size_t node);
  // Until nothing happens any more before `until`, or something failed.
  void run_until(MonotonicTime until);
  void mend();
  // All is delivered, by itself, within a bounded time.
  void settle();
  void check();
  [[nodiscard]] bool is_settled() const;
  // What is not, for people.
  [[nodiscard]] std::string left() const;
  void note(uint64_t what);

  Random random_;
  Timeline timeline_;
  const bool drops_;       // one stream gives up records by policy
  const bool flips_bits_;  // in the child's log
  std::vector<std::unique_ptr<SimulatedNode>> nodes_;
  std::array<std::vector<std::unique_ptr<SimulatedPath>>, kNodes> paths_;  // up from each node
  std::vector<Device> devices_;
  std::array<uint64_t, kNodes> cut_at_operation_{};  // power goes when the disk has come so far; 0: it does not
  bool breaking_ = true;
  bool submitting_ = true;
  std::set<uint64_t> put_back_;  // acknowledged, and gone with what was put back unless it had come further
  std::map<std::tuple<size_t, std::string, spool::Lane>, uint64_t> last_stored_;  // by node, source, lane
  uint64_t trace_ = 0;
  Met met_;
};

}  // namespace verge::tests
