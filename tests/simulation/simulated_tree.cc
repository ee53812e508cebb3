#include "tests/simulation/simulated_tree.h"

#include <algorithm>
#include <charconv>

#include <gtest/gtest.h>

#include "base/hash.h"
#include "model/event.h"

namespace verge::tests {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr uint64_t kParentsDevice = 1'000'000;  // its numbers begin here
// Whatever was broken: mended, a tree is done with a few hundred records in far less.
constexpr Duration kSettledWithin = std::chrono::hours(2);

Priority stream_of(uint64_t number) { return kPriorities[number % spool::kStreams]; }

uint64_t number_of(std::string_view payload) {
  uint64_t number = 0;
  std::from_chars(payload.data(), payload.data() + payload.size(), number);
  return number;
}

}  // namespace

SimulatedTree::SimulatedTree(uint64_t seed)
    : random_(seed), drops_(random_.chance(0.15)), flips_bits_(random_.chance(0.1)) {
  SimulatedNode::Surroundings& surroundings = *this;
  for (size_t i = 0; i < kNodes; ++i) {
    nodes_.push_back(std::make_unique<SimulatedNode>(timeline_, random_, surroundings, options_of(i)));
  }
  for (size_t i = 0; i + 1 < kNodes; ++i) make_paths(i);
  devices_.push_back({.node = 0, .first = 1, .next = 1});
  devices_.push_back({.node = 1, .first = kParentsDevice, .next = kParentsDevice});
}

void SimulatedTree::make_paths(size_t node) {
  for (size_t path = 0; path < nodes_[node]->paths(); ++path) {
    paths_[node].push_back(std::make_unique<SimulatedPath>(
        timeline_, random_, character(),
        [this, parent = node + 1](spool::Lane lane, const Payload& body, SimulatedPath::IsAwaited is_awaited,
                                  SimulatedPath::Reply reply) {
          if (!nodes_[parent]->is_running()) return false;
          nodes_[parent]->receive(lane, body, std::move(is_awaited), std::move(reply));
          return true;
        }));
  }
  // One of several may never work at all.
  if (paths_[node].size() > 1 && random_.chance(0.3)) {
    constexpr std::array kBad = {SimulatedPath::Weather::kDown, SimulatedPath::Weather::kHalfOpen,
                                 SimulatedPath::Weather::kProxy};
    paths_[node][random_.below(paths_[node].size())]->stay_in(kBad[random_.below(kBad.size())]);
  }
}

SimulatedNode::Options SimulatedTree::options_of(size_t node) {
  constexpr std::array kAges = {Duration(0), Duration(seconds(1)), Duration(seconds(20))};
  constexpr std::array kTimeouts = {Duration(milliseconds(300)), Duration(seconds(2)), Duration(seconds(10))};
  SimulatedNode::Options options{.name = std::string("node-") + std::to_string(node),
                                 .has_parent = node + 1 < kNodes,
                                 .spool = {.bytes_max = 1U << 20, .segment_bytes = 4096}};
  if (!options.has_parent) {
    options.spool = {.bytes_max = 64U << 20, .segment_bytes = 32U << 10};  // it keeps everything
    return options;
  }
  if (drops_) {
    options.spool.bytes_max = 96U << 10;
    options.spool.streams[static_cast<size_t>(Priority::kLow)].when_full = spool::WhenFull::kDropOldest;
    options.spool.streams[static_cast<size_t>(Priority::kHigh)].when_full = spool::WhenFull::kDropLower;
    if (random_.chance(0.5)) options.ttl[static_cast<size_t>(Priority::kNormal)] = seconds(10);
  }
  if (random_.chance(0.5)) {
    options.paths = 2 + random_.below(2);
    options.redundant = 1 + random_.below(options.paths);
  }
  options.delivery = {.batch_bytes_max = size_t{1024} << random_.below(7),
                      .batch_age_max = kAges[random_.below(kAges.size())],
                      .timeout = kTimeouts[random_.below(kTimeouts.size())],
                      .retry_max = random_.chance(0.5) ? milliseconds(500) : milliseconds(5000),
                      .attempts = {6, 5, 4, 3},
                      .ttl_stops_in_outage = random_.chance(0.5)};
  return options;
}

SimulatedPath::Character SimulatedTree::character() {
  constexpr std::array kLatencies = {Duration(milliseconds(1)), Duration(milliseconds(30)),
                                     Duration(milliseconds(300))};
  return {.latency = kLatencies[random_.below(kLatencies.size())],
          .bytes_per_s = random_.chance(0.3) ? 3e3 : 1e6,
          .trouble = random_.unit() * 0.5,
          .body_bytes_max = random_.chance(0.2) ? size_t{1500} : 0,
          .proxy_refuses = random_.chance(0.2)};
}

size_t SimulatedTree::index_of(const SimulatedNode& node) const {
  for (size_t i = 0; i < kNodes; ++i) {
    if (nodes_[i].get() == &node) return i;
  }
  return kNodes;
}

void SimulatedTree::note(uint64_t what) {
  const std::array<uint64_t, 3> words = {trace_, what,
                                         static_cast<uint64_t>(timeline_.now().time_since_epoch().count())};
  trace_ = hash64(std::string_view(reinterpret_cast<const char*>(words.data()), sizeof(words)));
}

void SimulatedTree::send(SimulatedNode& node, spool::Lane lane, size_t path, const Payload& body, Duration timeout) {
  const size_t index = index_of(node);
  note(path);
  note(body.size());
  ++met_.requests;
  for (const auto& other : paths_[index]) met_.redundant += other->has_open(lane) ? 1 : 0;
  const auto answered = [this, &node, lane, path](const Result<net::HttpAnswer>& answer, Duration took) {
    note(answer ? static_cast<uint64_t>(answer->status) : 0);
    node.answered(lane, path, spool::read_answer(answer, "the parent", /*shows_token=*/false, timeline_.clock().wall()),
                  took);
  };
  paths_[index][path]->send(lane, body, timeout, answered);
}

void SimulatedTree::close(SimulatedNode& node, spool::Lane lane, size_t path) {
  paths_[index_of(node)][path]->abandon(lane);
}

bool SimulatedTree::meets_refusals(size_t node) const {
  return std::ranges::any_of(paths_[node], [](const auto& path) { return path->refusals() > 0; });
}

// What one lane brought is stored in its order. Exceptions: the child goes around what is refused; where records have a
// time to live, a crash can set their age back, so that one that was passed over is sent after all; what the express
// lane has given up on becomes backlog, which its next records pass; and a batch that was given up on, but still
// arrives, may hold a record that has rotted on the child's disk since, and was passed over.
void SimulatedTree::on_stored(SimulatedNode& node, spool::Lane lane, bool is_awaited, const spool::ChildBatch& batch) {
  const size_t index = index_of(node);
  const bool is_in_order = !meets_refusals(index - 1) && !drops_ &&
                           (is_awaited || (batch.header.stream >= Priority::kNormal && !flips_bits_));
  uint64_t& last = last_stored_[{index, batch.header.source(), lane}];
  for (size_t i = 0; i < batch.records.size(); ++i) {
    note(batch.records[i].sequence);
    if (batch.fates[i] == spool::ChildBatch::Fate::kKnown) ++met_.known;
    if (batch.fates[i] != spool::ChildBatch::Fate::kStored) continue;
    if (is_in_order) {
      ASSERT_GT(batch.records[i].sequence, last) << "out of order at " << node.name();
    }
    if (is_in_order) last = batch.records[i].sequence;
  }
}

void SimulatedTree::start(size_t node) {
  if (nodes_[node]->is_running()) return;
  // A start that meets a failure may fail; on a sound disk it may not.
  if (breaking_ && random_.chance(0.2)) nodes_[node]->disk().fail_operation(1 + random_.below(20), "storage.io", false);
  if (breaking_ && random_.chance(0.1)) nodes_[node]->disk().fail_read(1 + random_.below(20));
  if (nodes_[node]->start()) return;
  nodes_[node]->disk().heal();
  const Result<void> started = nodes_[node]->start();
  ASSERT_TRUE(started.has_value()) << nodes_[node]->name() << ": " << started.error().line();
}

void SimulatedTree::end(size_t node, bool power) {
  note(power ? 1 : 2);
  cut_at_operation_[node] = 0;
  if (power) {
    ++met_.power_cuts;
    nodes_[node]->cut_power();
  } else {
    nodes_[node]->kill();
  }
  for (const auto& path : paths_[node]) {
    path->abandon(spool::Lane::kExpress);
    path->abandon(spool::Lane::kBulk);
  }
  if (node == 0) return;
  for (const auto& path : paths_[node - 1]) path->parent_ended();
}

// New records, and again those of which nothing was heard. A device may send one twice at a time.
void SimulatedTree::submit(Device& device, uint64_t fresh) {
  if (!nodes_[device.node]->is_running()) return;
  for (uint64_t i = 0; i < fresh; ++i) device.unacknowledged.insert(device.next++);
  spool::Submission submission;
  for (const uint64_t number : device.unacknowledged) {
    if (submission.items.size() == 40) break;
    const bool is_large = random_.chance(0.03);
    std::string payload = std::to_string(number) + " ";
    for (uint64_t left = is_large ? 2500 : random_.below(200); left > 0; --left) {
      payload.push_back(static_cast<char>('!' + random_.below(90)));
    }
    std::string event;
    append_event(event, {.topic = "t", .payload = payload});
    submission.items.push_back(
        {.priority = stream_of(number), .source = "ddevice", .source_sequence = number, .event = std::move(event)});
  }
  nodes_[device.node]->submit(std::move(submission), [this, &device](const spool::Submission& stored) {
    for (size_t i = 0; i < stored.items.size(); ++i) {
      if (stored.fates[i] == spool::Submission::Fate::kRefused) continue;
      const uint64_t number = stored.items[i].source_sequence;
      device.unacknowledged.erase(number);
      device.acknowledged.insert(number);
      note(number);
    }
  });
}

void SimulatedTree::keep_submitting(size_t device) {
  if (!submitting_ && devices_[device].unacknowledged.empty()) return;
  submit(devices_[device], submitting_ ? random_.below(6) : 0);
  timeline_.after(milliseconds(100 + random_.below(2000)), [this, device] { keep_submitting(device); });
}

void SimulatedTree::watch_for_power_cut(size_t node) {
  if (cut_at_operation_[node] == 0 || nodes_[node]->disk().operations() < cut_at_operation_[node]) return;
  end(node, /*power=*/true);
  timeline_.after(milliseconds(random_.below(20'000)), [this, node] { start(node); });
}

void SimulatedTree::break_disk(size_t node) {
  SimulatedDisk& disk = nodes_[node]->disk();
  switch (random_.below(3)) {
    case 0:
      disk.fail_read(1 + random_.below(6));
      break;
    case 1:
      disk.fail_operation(1 + random_.below(12), random_.chance(0.5) ? "storage.full" : "storage.io",
                          random_.chance(0.5));
      timeline_.after(milliseconds(random_.below(20'000)), [&disk] { disk.heal(); });
      break;
    default: {
      // Power goes in the middle of what the disk is told to do: nothing of it gets there from some operation on.
      const uint64_t in = 1 + random_.below(12);
      disk.fail_operation(in, "storage.io", /*sticky=*/true);
      cut_at_operation_[node] = disk.operations() + in;
    }
  }
}

// Of one path, or of all that lead away from there.
void SimulatedTree::change_weather(size_t node) {
  const bool all = random_.chance(0.3);
  const size_t one = random_.below(paths_[node].size());
  for (size_t i = 0; i < paths_[node].size(); ++i) {
    if (!all && i != one) continue;
    SimulatedPath& path = *paths_[node][i];
    path.set_weather(static_cast<SimulatedPath::Weather>(random_.below(4)));
    timeline_.after(milliseconds(random_.below(30'000)), [&path] { path.set_weather(SimulatedPath::Weather::kFine); });
  }
}

void SimulatedTree::break_something() {
  if (!breaking_) return;
  timeline_.after(milliseconds(random_.below(6000)), [this] { break_something(); });
  const size_t node = random_.below(kNodes);
  const uint64_t what = random_.below(10);
  if (what < 4) return change_weather(random_.below(kNodes - 1));
  if (!nodes_[node]->is_running()) return;
  if (what < 7) return break_disk(node);
  const Duration away = milliseconds(random_.below(20'000));
  if (what == 7 && flips_bits_ && node == 0) {
    std::vector<std::string> logs;
    for (const std::string& path : nodes_[0]->disk().paths()) {
      if (path.ends_with(".log") && !nodes_[0]->disk().content(path).empty() &&
          path.find("dead-letters") == std::string::npos)
        logs.push_back(path);
    }
    if (!logs.empty()) nodes_[0]->disk().flip_bit(logs[random_.below(logs.size())], random_.below(4096));
    return;
  }
  if (what == 8) {
    nodes_[node]->stop([this, node, away] {
      end(node, /*power=*/false);
      timeline_.after(away, [this, node] { start(node); });
    });
    return;
  }
  end(node, /*power=*/what == 9);
  timeline_.after(away, [this, node] { start(node); });
}

void SimulatedTree::run_until(MonotonicTime until) {
  while (!testing::Test::HasFailure() && timeline_.step(until)) {
    for (size_t i = 0; i < kNodes; ++i) watch_for_power_cut(i);
  }
  timeline_.pass(until);
  for (const auto& node : nodes_) node->check_bounds();
}

void SimulatedTree::mend() {
  breaking_ = false;
  submitting_ = false;
  cut_at_operation_.fill(0);
  for (const auto& paths : paths_) {
    for (const auto& path : paths) path->heal();
  }
  for (size_t i = 0; i < kNodes; ++i) {
    nodes_[i]->disk().heal();
    start(i);
  }
}

bool SimulatedTree::is_settled() const {
  for (const Device& device : devices_) {
    if (!device.unacknowledged.empty()) return false;
  }
  for (const auto& node : nodes_) {
    if (!node->is_running() || (node->has_parent() && node->has_undelivered())) return false;
  }
  return true;
}

std::string SimulatedTree::left() const {
  std::string text;
  for (const Device& device : devices_) {
    text += " device at " + nodes_[device.node]->name() + ": " + std::to_string(device.unacknowledged.size());
  }
  for (const auto& node : nodes_) text += " " + node->name() + ": " + node->progress();
  return text;
}

void SimulatedTree::settle() {
  const MonotonicTime deadline = timeline_.now() + kSettledWithin;
  while (!testing::Test::HasFailure() && !is_settled()) {
    ASSERT_LT(timeline_.now(), deadline) << "nothing is broken any more, and still not all is delivered: " << left();
    run_until(timeline_.now() + seconds(10));
  }
}

void SimulatedTree::check() {
  std::map<uint64_t, uint64_t> at_root;
  nodes_.back()->for_each_stored([&](std::string_view payload) { ++at_root[number_of(payload)]; });
  std::set<uint64_t> set_aside;
  uint64_t may_be_missing = 0;
  std::vector<uint64_t> missing;
  for (const auto& node : nodes_) {
    node->for_each_dead_letter([&](std::string_view payload) { set_aside.insert(number_of(payload)); });
    const SimulatedNode::GivenUp given_up = node->given_up();
    may_be_missing += given_up.letters;
    if (drops_) may_be_missing += given_up.dropped + given_up.expired;
    if (flips_bits_) may_be_missing += given_up.damaged;
    met_.given_up += given_up.dropped + given_up.expired + given_up.letters;
  }
  met_.dead_letters += set_aside.size();
  for (const auto& paths : paths_) {
    for (const auto& path : paths) met_.refusals += path->refusals();
  }
  for (const auto& [number, times] : at_root) ASSERT_EQ(times, 1U) << "number " << number << " is at the root twice";
  for (const Device& device : devices_) {
    met_.acknowledged += device.acknowledged.size();
    for (const uint64_t number : device.acknowledged) {
      if (at_root.erase(number) > 0 || set_aside.contains(number) || put_back_.contains(number)) continue;
      missing.push_back(number);
    }
  }
  ASSERT_LE(missing.size(), may_be_missing) << "number " << missing.front() << " is lost, or one of those after it";
  ASSERT_TRUE(at_root.empty()) << "number " << at_root.begin()->first << " came from nowhere";
}

void SimulatedTree::run_with_faults() {
  for (size_t i = 0; i < kNodes; ++i) start(i);
  for (size_t i = 0; i < devices_.size(); ++i) keep_submitting(i);
  break_something();
  run_until(timeline_.now() + seconds(30 + random_.below(90)));
  if (testing::Test::HasFailure()) return;
  mend();
  settle();
  if (testing::Test::HasFailure()) return;
  // What is at the root outlives it, and what the others forgot again they are told again.
  for (size_t i = 0; i < kNodes; ++i) end(i, /*power=*/true);
  mend();
  settle();
  if (!testing::Test::HasFailure()) check();
}

std::array<SimulatedTree::Extent, SimulatedTree::kNodes> SimulatedTree::run_script(const Failure& failure) {
  breaking_ = false;
  SimulatedDisk& failing = nodes_[failure.node]->disk();
  if (failure.operation > 0) failing.fail_operation(failure.operation, failure.code, failure.sticky);
  if (failure.read > 0) failing.fail_read(failure.read);
  for (size_t i = 0; i < kNodes; ++i) start(i);
  for (int step = 0; step < 8 && !testing::Test::HasFailure(); ++step) {
    for (Device& device : devices_) submit(device, 4);
    run_until(timeline_.now() + milliseconds(500));
    if (step == 4) {
      const size_t node = 1;
      end(node, /*power=*/false);
      start(node);
    }
  }
  std::array<Extent, kNodes> extents;
  for (size_t i = 0; i < kNodes; ++i) extents[i] = {nodes_[i]->disk().operations(), nodes_[i]->disk().reads()};
  mend();
  for (size_t i = 0; i < devices_.size(); ++i) keep_submitting(i);
  settle();
  for (size_t i = 0; i < kNodes && !testing::Test::HasFailure(); ++i) end(i, /*power=*/true);
  mend();
  settle();
  if (!testing::Test::HasFailure()) check();
  return extents;
}

void SimulatedTree::submit_until_acknowledged(uint64_t fresh) {
  for (Device& device : devices_) submit(device, fresh);
  const auto is_done = [this] {
    return std::ranges::all_of(devices_, [](const Device& device) { return device.unacknowledged.empty(); });
  };
  const MonotonicTime deadline = timeline_.now() + kSettledWithin;
  while (!testing::Test::HasFailure() && !is_done()) {
    ASSERT_LT(timeline_.now(), deadline) << "not acknowledged: " << left();
    run_until(timeline_.now() + milliseconds(200));
    for (Device& device : devices_) {
      if (!device.unacknowledged.empty()) submit(device, 0);
    }
  }
}

void SimulatedTree::run_with_put_back() {
  breaking_ = false;
  const size_t node = random_.below(2);
  // What the child gave a parent that forgets it comes again when the child forgets that it did.
  if (node == 1) devices_.erase(devices_.begin());
  for (size_t i = 0; i < kNodes; ++i) start(i);
  for (uint64_t step = 1 + random_.below(3); step > 0; --step) submit_until_acknowledged(1 + random_.below(8));
  if (random_.chance(0.5)) settle();
  if (random_.chance(0.5)) {
    end(node, /*power=*/false);
    start(node);
  }
  const SimulatedDisk::Copy earlier = nodes_[node]->disk().copy();
  const uint64_t first_after = devices_.front().next;
  for (uint64_t step = 1 + random_.below(3); step > 0; --step) {
    submit_until_acknowledged(1 + random_.below(8));
    run_until(timeline_.now() + milliseconds(random_.below(3000)));
    if (random_.chance(0.3)) {
      end(node, /*power=*/false);
      start(node);
    }
  }
  if (testing::Test::HasFailure()) return;
  end(node, /*power=*/false);
  nodes_[node]->disk().put_back(earlier);
  for (uint64_t number = first_after; number < devices_.front().next; ++number) put_back_.insert(number);
  const bool is_alone = random_.chance(0.5);
  if (is_alone) end(node + 1, /*power=*/false);
  start(node);
  for (uint64_t step = 1 + random_.below(5); step > 0; --step) submit_until_acknowledged(1 + random_.below(8));
  mend();
  settle();
  for (size_t i = 0; i < kNodes && !testing::Test::HasFailure(); ++i) end(i, /*power=*/true);
  mend();
  settle();
  if (!testing::Test::HasFailure()) check();
}

}  // namespace verge::tests
