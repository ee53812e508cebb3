// SimulatedNode: the production spool, delivery and reception of one node over a simulated disk, with the shells that
// production gives them (SpoolWriter, Uplink, UplinkReceiver) replaced by entries in a Timeline. A node has lives: each
// start makes a new process from what the disk holds.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "spool/batch_reader.h"
#include "spool/delivery.h"
#include "spool/reception.h"
#include "spool/redundant_paths.h"
#include "spool/spool.h"
#include "tests/simulation/timeline.h"
#include "tests/support/simulated_disk.h"

namespace verge::tests {

class SimulatedNode final : private spool::Delivery::Effects,
                            private spool::RedundantPaths::Effects,
                            private spool::Reception::Effects {
 public:
  struct Options {
    std::string name;
    bool has_parent = false;
    size_t paths = 1;      // to it
    size_t redundant = 1;  // of them at a time
    spool::SpoolOptions spool;
    spool::DeliveryOptions delivery;
    std::array<Duration, spool::kStreams> ttl{};
  };
  // What a node's surroundings do for it.
  class Surroundings {
   public:
    virtual ~Surroundings() = default;
    virtual void send(SimulatedNode& node, spool::Lane lane, size_t path, const Payload& body, Duration timeout) = 0;
    virtual void close(SimulatedNode& node, spool::Lane lane, size_t path) = 0;
    // The node's store has settled what a child sent on that lane. `is_awaited`: it has not given up on it.
    virtual void on_stored(SimulatedNode& node, spool::Lane lane, bool is_awaited, const spool::ChildBatch& batch) = 0;
  };
  // What was given up by a counted policy, over all lives.
  struct GivenUp {
    uint64_t dropped = 0;  // for want of space
    uint64_t expired = 0;
    uint64_t letters = 0;  // dead letters that were purged for want of room
    uint64_t damaged = 0;  // sequences reported as not readable
  };

  SimulatedNode(Timeline& timeline, Random& random, Surroundings& surroundings, const Options& options);
  ~SimulatedNode() override;

  // A process from what is on the disk. Errors: those of Spool::open().
  Result<void> start();
  // The process is gone, at once; what it wrote stays with the operating system.
  void kill();
  // As kill(), and the disk keeps of what was not synced what it likes.
  void cut_power();
  // Sends what it can, writes a checkpoint and ends; `ended` is called then.
  void stop(std::function<void()> ended);
  [[nodiscard]] bool is_running() const { return process_ != nullptr; }

  // A device's records; `done` has their fates. Not called when the process ends before.
  void submit(spool::Submission submission, std::function<void(const spool::Submission&)> done);
  // A child's batch. Not answered when the process ends before.
  void receive(spool::Lane lane, const Payload& body, std::function<bool()> is_awaited,
               std::function<void(const spool::BatchAnswer&)> reply);
  // What came back for what was sent over that path.
  void answered(spool::Lane lane, size_t path, const spool::ParentAnswer& answer, Duration took);

  [[nodiscard]] SimulatedDisk& disk() { return disk_; }
  [[nodiscard]] const std::string& name() const { return options_.name; }
  [[nodiscard]] bool has_parent() const { return options_.has_parent; }
  [[nodiscard]] size_t paths() const { return options_.paths; }
  [[nodiscard]] bool has_undelivered() const;
  // By stream, for people.
  [[nodiscard]] std::string progress() const;
  [[nodiscard]] GivenUp given_up() const;
  // Fails the test when a structure in memory is larger than it may be.
  void check_bounds() const;
  // Calls `each` with the payload of each event: of what the streams of the running node hold, of dead letters.
  void for_each_stored(const std::function<void(std::string_view payload)>& each);
  void for_each_dead_letter(const std::function<void(std::string_view payload)>& each);

 private:
  struct Process;

  void prepare(spool::Lane lane, const spool::SendPlan::Stretch& stretch, const spool::BatchLimits& limits) override;
  void send(spool::Lane lane, const Payload& body, Duration timeout) override;
  void send(spool::Lane lane, size_t path, const Payload& body, Duration timeout) override;
  void close(spool::Lane lane, size_t path) override;
  void delivered(Priority stream, IntervalSet::Interval sequences) override;
  void bury(spool::DeadLetter letter) override;
  void age(bool running) override;

  void unpack(uint64_t number, Payload body, bool quick) override;
  void store(uint64_t number, spool::ChildBatch batch) override;
  void answer(uint64_t number, const spool::BatchAnswer& answer) override;
  void idle() override {}

  // Runs `task` unless the process has ended by then.
  void later(Duration least, Duration most, Timeline::Task task);
  void turn(const std::function<void()>& input);
  void await_drained(MonotonicTime until, std::function<void()> ended);
  void want_commit();
  void commit();
  void count_given_up() { given_up_ = given_up(); }

  Timeline& timeline_;
  Random& random_;
  Surroundings& surroundings_;
  const Options options_;
  Random identities_;
  const NodeId id_;
  SimulatedDisk disk_;
  storage::KeyRing keys_;  // none
  std::unique_ptr<Process> process_;
  GivenUp given_up_;  // by earlier lives
};

}  // namespace verge::tests
