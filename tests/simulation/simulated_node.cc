#include "tests/simulation/simulated_node.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "model/event.h"
#include "spool/record_reader.h"

namespace verge::tests {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kDirectory = "data/spool";

void for_each_record(SimulatedDisk& disk, const std::string& directory, const storage::KeyRing& keys, uint64_t end,
                     const std::function<void(std::string_view bytes)>& each) {
  spool::RecordReader reader(disk, directory, keys);
  while (true) {
    const auto next = reader.next(end);
    ASSERT_TRUE(next.has_value()) << next.error().line();
    const std::optional<spool::RecordReader::Numbered>& numbered = *next;
    if (!numbered) return;
    each(numbered->record.event);
  }
}

std::string payload_of(std::string_view event) {
  ByteReader reader(event);
  const std::optional<EventView> read = read_event(reader);
  if (!read) {
    ADD_FAILURE() << "a stored record is no event";
    return {};
  }
  return std::string(read->payload);
}

}  // namespace

struct SimulatedNode::Process {
  struct Waiting {
    spool::Submission submission;
    std::function<void(spool::Submission)> done;
  };
  struct Arrived {
    spool::Lane lane;
    std::function<bool()> is_awaited;
    std::function<void(const spool::BatchAnswer&)> reply;
  };

  Process(SimulatedNode& node, std::unique_ptr<spool::Spool> opened)
      : spool(std::move(opened)),
        age_clock(spool->age(), node.timeline_.now()),
        readers{
            spool::BatchReader(node.disk_, kDirectory, spool->keys(), {node.id_, spool->lives(), node.options_.name},
                               node.options_.ttl, node.timeline_.clock(), age_clock),
            spool::BatchReader(node.disk_, kDirectory, spool->keys(), {node.id_, spool->lives(), node.options_.name},
                               node.options_.ttl, node.timeline_.clock(), age_clock)},
        reception(static_cast<spool::Reception::Effects&>(node)) {
    if (!node.options_.has_parent) return;
    spool::RedundantPaths::Effects& connections = node;
    std::vector<std::string> names;
    for (size_t path = 0; path < node.options_.paths; ++path) names.push_back("path " + std::to_string(path + 1));
    path_counters = std::vector<spool::PathCounters>(names.size());
    redundant_paths = std::make_unique<spool::RedundantPaths>(
        connections, node.timeline_.clock(), node.random_.next(), std::move(names),
        spool::RedundantPathsOptions{.redundant = node.options_.redundant,
                                     .retry_max = node.options_.delivery.retry_max},
        path_counters);
    std::array<spool::SendPlan::Start, spool::kStreams> start;
    for (const Priority stream : kPriorities) {
      start[static_cast<size_t>(stream)] = {spool->delivered_of(stream), spool->state(stream).end};
    }
    spool::Delivery::Effects& effects = node;
    delivery = std::make_unique<spool::Delivery>(effects, node.timeline_.clock(), node.random_.next(), "the parent",
                                                 start, node.options_.delivery, counters);
  }

  std::unique_ptr<spool::Spool> spool;
  spool::AgeClock age_clock;
  spool::UplinkCounters counters;
  std::array<spool::BatchReader, spool::kLanes> readers;
  std::vector<spool::PathCounters> path_counters;
  std::unique_ptr<spool::RedundantPaths> redundant_paths;  // null without a parent
  std::unique_ptr<spool::Delivery> delivery;               // likewise
  spool::Reception reception;

  // What the writer's next turn is to do.
  std::vector<Waiting> waiting;
  std::vector<std::pair<Priority, IntervalSet::Interval>> delivered;
  std::vector<spool::DeadLetter> burials;
  bool commit_wanted = false;

  std::map<uint64_t, Arrived> arrived;  // batches that are not answered yet
  uint64_t last_number = 0;
  uint64_t timer = 0;  // the one that counts
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

SimulatedNode::SimulatedNode(Timeline& timeline, Random& random, Surroundings& surroundings, const Options& options)
    : timeline_(timeline),
      random_(random),
      surroundings_(surroundings),
      options_(options),
      identities_(random.next()),
      id_(NodeId::draw(identities_)),
      disk_(random.next()) {}

SimulatedNode::~SimulatedNode() = default;

Result<void> SimulatedNode::start() {
  spool::SpoolOptions options = options_.spool;
  options.identities = &identities_;
  spool::Spool::Recovery recovery;
  auto opened = spool::Spool::open(disk_, kDirectory, keys_, options, recovery);
  if (!opened) return std::unexpected(opened.error());
  for (const storage::DamagedRange& range : recovery.damaged) {
    // A frame at the end whose own header is damaged has taken a turn of the writer with it.
    constexpr uint64_t kTurnMost = 40;
    const uint64_t named = range.end_sequence - range.first_sequence;
    given_up_.damaged += range.may_be_unfinished ? std::max(named, kTurnMost) : named;
  }
  process_ = std::make_unique<Process>(*this, std::move(*opened));
  if (process_->delivery) turn([this] { process_->delivery->look(); });
  return {};
}

void SimulatedNode::kill() {
  if (!process_) return;
  count_given_up();
  process_.reset();
}

void SimulatedNode::cut_power() {
  kill();
  disk_.heal();
  disk_.crash();
}

void SimulatedNode::stop(std::function<void()> ended) {
  if (process_->delivery) turn([this] { process_->delivery->drain(); });
  await_drained(timeline_.now() + seconds(5), std::move(ended));
}

void SimulatedNode::await_drained(MonotonicTime until, std::function<void()> ended) {
  const bool is_drained = !process_->delivery || process_->delivery->is_drained();
  if (is_drained || timeline_.now() >= until) {
    (void)process_->spool->checkpoint();
    kill();
    return ended();
  }
  later(milliseconds(50), milliseconds(100), [this, until, ended] { await_drained(until, ended); });
}

SimulatedNode::GivenUp SimulatedNode::given_up() const {
  GivenUp all = given_up_;
  if (!process_) return all;
  for (const Priority stream : kPriorities) all.dropped += process_->spool->state(stream).dropped;
  all.expired += process_->counters.expired.value();
  all.damaged += process_->counters.damaged.value();
  return all;
}

bool SimulatedNode::has_undelivered() const {
  for (const Priority stream : kPriorities) {
    if (process_->spool->state(stream).undelivered > 0) return true;
  }
  return false;
}

std::string SimulatedNode::progress() const {
  if (!process_) return "not running";
  std::string text;
  for (const Priority stream : kPriorities) {
    const spool::StreamState state = process_->spool->state(stream);
    text += fmt::format("{} delivered through {}, end {}, {} undelivered", name_of(stream), state.delivered_through,
                        state.end, state.undelivered);
    if (process_->delivery) {
      const spool::SendPlan& plan = process_->delivery->plan();
      text += fmt::format(", plan floor {}, {} stretches, {} deferred", plan.floor(stream), plan.intervals(stream),
                          plan.deferred(stream));
    }
    text += "; ";
  }
  return text;
}

void SimulatedNode::later(Duration least, Duration most, Timeline::Task task) {
  const auto span = static_cast<double>((most - least).count());
  timeline_.after(least + Duration(static_cast<int64_t>(random_.unit() * span)),
                  [task = std::move(task), alive = std::weak_ptr(process_->alive)]() mutable {
                    if (!alive.expired()) task();
                  });
}

// As the uplink does with each input of its machines.
void SimulatedNode::turn(const std::function<void()>& input) {
  spool::Delivery& delivery = *process_->delivery;
  spool::RedundantPaths& paths = *process_->redundant_paths;
  for (const Priority stream : kPriorities) {
    const spool::StreamState state = process_->spool->state(stream);
    delivery.observe(stream, state.end, state.appended_bytes);
  }
  delivery.observe_space(process_->spool->is_short_of_space());
  input();
  while (const std::optional<spool::RedundantPaths::Outcome> outcome = paths.take_outcome()) {
    delivery.answered(outcome->lane, outcome->answer, outcome->took);
  }
  const uint64_t timer = ++process_->timer;
  const MonotonicTime due = std::min(delivery.look_again(), paths.look_again());
  if (due == MonotonicTime::max()) return;
  const Duration wait = due - timeline_.now();
  later(wait, wait, [this, timer] {
    if (timer != process_->timer) return;
    turn([this] {
      process_->redundant_paths->look();
      process_->delivery->look();
    });
  });
}

void SimulatedNode::prepare(spool::Lane lane, const spool::SendPlan::Stretch& stretch,
                            const spool::BatchLimits& limits) {
  later(Duration(0), milliseconds(5), [this, lane, stretch, limits] {
    auto batch =
        std::make_unique<spool::PreparedBatch>(process_->readers[static_cast<size_t>(lane)].read(stretch, limits));
    later(Duration(0), milliseconds(5), [this, lane, batch = std::move(batch)]() mutable {
      turn([&] { process_->delivery->prepared(lane, std::move(batch)); });
    });
  });
}

void SimulatedNode::send(spool::Lane lane, const Payload& body, Duration timeout) {
  process_->redundant_paths->send(lane, body, timeout);
}

void SimulatedNode::send(spool::Lane lane, size_t path, const Payload& body, Duration timeout) {
  surroundings_.send(*this, lane, path, body, timeout);
}

void SimulatedNode::close(spool::Lane lane, size_t path) { surroundings_.close(*this, lane, path); }

void SimulatedNode::answered(spool::Lane lane, size_t path, const spool::ParentAnswer& answer, Duration took) {
  turn([&] { process_->redundant_paths->answered(lane, path, answer, took); });
}

void SimulatedNode::delivered(Priority stream, IntervalSet::Interval sequences) {
  process_->delivered.emplace_back(stream, sequences);
  want_commit();
}

void SimulatedNode::bury(spool::DeadLetter letter) {
  process_->burials.push_back(std::move(letter));
  want_commit();
}

void SimulatedNode::age(bool running) { process_->age_clock.set_running(running, timeline_.now()); }

void SimulatedNode::submit(spool::Submission submission, std::function<void(const spool::Submission&)> done) {
  process_->waiting.push_back({std::move(submission), std::move(done)});
  want_commit();
}

void SimulatedNode::want_commit() {
  if (std::exchange(process_->commit_wanted, true)) return;
  later(Duration(0), milliseconds(5), [this] { commit(); });
}

// A turn of the spool's writer: what came since the last one, as one group; then what was delivered, then burials.
void SimulatedNode::commit() {
  Process& process = *process_;
  process.commit_wanted = false;
  std::vector<Process::Waiting> waiting = std::exchange(process.waiting, {});
  if (!waiting.empty()) {
    process.spool->set_age(process.age_clock.seconds(timeline_.now()));
    std::vector<spool::Submission*> group;
    for (Process::Waiting& entry : waiting) group.push_back(&entry.submission);
    process.spool->commit(group);
    later(Duration(0), milliseconds(2), [answers = std::move(waiting)]() mutable {
      for (Process::Waiting& entry : answers) entry.done(std::move(entry.submission));
    });
  }
  for (const auto& [stream, sequences] : std::exchange(process.delivered, {})) {
    (void)process.spool->delivered(stream, sequences);
  }
  for (const spool::DeadLetter& letter : std::exchange(process.burials, {})) {
    Result<void> kept = process.spool->bury(letter);
    if (!kept && kept.error().code == "spool.dead-letters-full") {
      // As an operator does who is told.
      given_up_.letters += process.spool->dead_letters();
      (void)process.spool->forget_dead_letters();
    }
    later(Duration(0), milliseconds(2), [this, stream = letter.stream, sequence = letter.sequence, kept] {
      turn([&] { process_->delivery->buried(stream, sequence, kept); });
    });
  }
  if (process.spool->needs_segment()) {
    later(Duration(0), milliseconds(20), [this] { (void)process_->spool->prepare_segment(); });
  }
  if (process.delivery) turn([this] { process_->delivery->look(); });
}

void SimulatedNode::receive(spool::Lane lane, const Payload& body, std::function<bool()> is_awaited,
                            std::function<void(const spool::BatchAnswer&)> reply) {
  const uint64_t number = ++process_->last_number;
  process_->arrived.emplace(number, Process::Arrived{lane, std::move(is_awaited), std::move(reply)});
  process_->reception.receive(number, body);
}

void SimulatedNode::unpack(uint64_t number, Payload body, bool quick) {
  later(Duration(0), quick ? milliseconds(1) : milliseconds(30), [this, number, body = std::move(body)] {
    process_->reception.unpacked(number, spool::unpack_batch(body.view(), id_));
  });
}

void SimulatedNode::store(uint64_t number, spool::ChildBatch batch) {
  // Shared: a function is copied.
  auto kept = std::make_shared<spool::ChildBatch>(std::move(batch));
  spool::Submission submission = spool::submission_of(*kept);
  process_->waiting.push_back({std::move(submission), [this, number, kept](spool::Submission stored) {
                                 spool::take_fates(*kept, std::move(stored));
                                 const auto arrived = process_->arrived.find(number);
                                 ASSERT_NE(arrived, process_->arrived.end()) << "answered before it was stored";
                                 surroundings_.on_stored(*this, arrived->second.lane, arrived->second.is_awaited(),
                                                         *kept);
                                 process_->reception.stored(number, *kept);
                                 later(Duration(0), milliseconds(5), [this] { process_->reception.evaluated(); });
                               }});
  want_commit();
}

void SimulatedNode::answer(uint64_t number, const spool::BatchAnswer& answer) {
  const auto arrived = process_->arrived.find(number);
  ASSERT_NE(arrived, process_->arrived.end()) << "answered twice";
  const auto reply = std::move(arrived->second.reply);
  process_->arrived.erase(arrived);
  reply(answer);
}

void SimulatedNode::check_bounds() const {
  if (!process_) return;
  ASSERT_LE(process_->reception.in_work(), spool::Reception::kInWorkMax);
  ASSERT_LE(process_->spool->ledger().intervals_most(), spool::Ledger::kIntervalsMax);
  if (!process_->delivery) return;
  for (const Priority stream : kPriorities) {
    // A stretch more for each batch under way or prepared, and one beside each record that waits alone.
    const spool::SendPlan& plan = process_->delivery->plan();
    ASSERT_LE(plan.intervals(stream), spool::SendPlan::kIntervalsMax + 2 * spool::kLanes + plan.deferred(stream));
  }
}

void SimulatedNode::for_each_stored(const std::function<void(std::string_view payload)>& each) {
  for (const Priority stream : kPriorities) {
    for_each_record(disk_, spool::Spool::stream_directory(kDirectory, stream), keys_,
                    process_->spool->state(stream).end, [&](std::string_view event) { each(payload_of(event)); });
  }
}

void SimulatedNode::for_each_dead_letter(const std::function<void(std::string_view payload)>& each) {
  for_each_record(disk_, spool::Spool::dead_letter_directory(kDirectory), keys_, UINT64_MAX,
                  [&](std::string_view bytes) {
                    const std::optional<spool::DeadLetter> letter = spool::read_dead_letter(bytes);
                    if (!letter) {
                      ADD_FAILURE() << "a dead letter is none";
                      return;
                    }
                    each(payload_of(letter->event));
                  });
}

}  // namespace verge::tests
