#include "cli/demo.h"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/demo_devices.h"
#include "cli/demo_display.h"
#include "cli/demo_tree.h"

namespace verge::cli {
namespace {

constexpr Duration kLook = std::chrono::milliseconds(50);
// While nothing in particular is waited for: those who look take time from those who decide.
constexpr Duration kGlance = std::chrono::milliseconds(500);
constexpr Duration kConnectPatience = std::chrono::seconds(20);
constexpr Duration kCatchUpPatience = std::chrono::seconds(30);
constexpr Duration kDrainPatience = std::chrono::seconds(60);
// The parts of the time that the phases take.
constexpr double kSteadyPart = 0.35;
constexpr double kCutOffPart = 0.25;

std::atomic<bool> interrupted = false;

void interrupt(int) { interrupted = true; }

MonotonicTime now() { return std::chrono::steady_clock::now(); }

Error interruption() { return {"demo.interrupted", "interrupted before the end", ""}; }

// A directory that holds nothing yet.
Result<std::string> make_directory(const std::string& wanted) {
  std::error_code problem;
  if (wanted.empty()) {
    const char* base = std::getenv("TMPDIR");
    std::string path = std::string(base == nullptr || *base == '\0' ? "/tmp" : base) + "/verge-demo-XXXXXX";
    if (mkdtemp(path.data()) != nullptr) return path;
    return fail("demo.directory", fmt::format("cannot make {}", path), "set TMPDIR or --dir to a writable place");
  }
  std::filesystem::create_directories(wanted, problem);
  if (problem) return fail("demo.directory", fmt::format("cannot make {}: {}", wanted, problem.message()));
  if (!std::filesystem::is_empty(wanted, problem) || problem) {
    return fail("demo.directory", fmt::format("{} is not empty", wanted),
                "records of an earlier run would be counted; give a new directory with --dir");
  }
  return std::filesystem::absolute(wanted, problem).string();
}

class Demo {
 public:
  Demo(const DemoOptions& options, const std::string& directory, std::vector<ReplayPoint> series)
      : options_(options),
        series_(std::move(series)),
        tree_(directory),
        whole_(std::chrono::duration<double>(options.seconds)) {}

  Result<Score> run() {
    for (const auto phase : {&Demo::set_up, &Demo::steady, &Demo::cut_off, &Demo::kill_edge, &Demo::drain}) {
      if (Result<void> done = (this->*phase)(); !done) return std::unexpected(done.error());
    }
    return score();
  }

  void hold() {
    devices_->resume();
    const auto row = [&](const NodeProcess& node) {
      display_.say(
          fmt::format("  {:<6} http://{}/  http://{}/metrics  http://{}/v1/events?limit=20\n"
                      "         mqtt {}  http {}",
                      node.name(), node.addresses().admin, node.addresses().admin, node.addresses().admin,
                      node.addresses().mqtt, node.addresses().http));
    };
    display_.say("\nAll keeps running; Ctrl-C ends it.");
    row(tree_.cloud());
    row(tree_.fog());
    row(tree_.edge());
    while (!interrupted && tree_.died() == nullptr) std::this_thread::sleep_for(kLook);
  }

  // In order: devices first, then edge, fog and cloud.
  void end() {
    devices_.reset();
    tree_.end();
  }

 private:
  // Looks around until `done` says so; false when `patience` is over first.
  Result<bool> watch_until(Duration patience, const std::function<bool()>& done, Duration interval = kLook) {
    const MonotonicTime deadline = now() + patience;
    while (true) {
      if (interrupted) return std::unexpected(interruption());
      if (const NodeProcess* node = tree_.died()) {
        return fail("demo.node", fmt::format("the {} ended by itself", node->name()), "its log is " + node->log_path());
      }
      if (done()) return true;
      if (now() >= deadline) return false;
      // A machine that is busy may answer late; what counts is read at the end.
      [[maybe_unused]] const Result<void> read = tree_.read_root(stored_);
      if (display_.is_due(now())) display_.show(now(), devices_->counts(), tree_.progress(), stored_.records());
      std::this_thread::sleep_for(std::min<Duration>(interval, std::max<Duration>(deadline - now(), Duration(0))));
    }
  }
  Result<void> watch_for(Duration duration) {
    const Result<bool> watched = watch_until(duration, [] { return false; }, kGlance);
    if (!watched) return std::unexpected(watched.error());
    return {};
  }
  Result<void> fail_unless(const Result<bool>& watched, std::string_view what) {
    if (!watched) return std::unexpected(watched.error());
    if (!*watched) return fail("demo.timeout", std::string(what), "see the logs of the nodes");
    return {};
  }

  Result<void> set_up() {
    DemoDevices::Options plant{.seed = options_.seed, .replay_seconds = options_.seconds};
    if (!series_.empty()) {
      plant.replay = std::move(series_);
      plant.replay_topic = "replay/" + replay_topic_level(options_.replay);
    }
    display_.begin("start", "cloud <- fog <- edge, three processes");
    if (Result<void> started = tree_.start(); !started) return started;
    const Result<net::Address> broker = net::Address::parse(tree_.edge().addresses().mqtt);
    if (!broker) return std::unexpected(broker.error());
    plant.broker = *broker;
    machines_ = plant.machines;
    devices_ = std::make_unique<DemoDevices>(std::move(plant));
    started_ = now();
    devices_->start();
    return fail_unless(watch_until(kConnectPatience, [this] { return devices_->counts().connected > machines_; }),
                       "not all devices could connect to the edge");
  }

  Result<void> steady() {
    display_.begin("steady", fmt::format("{} machines, seed {}", machines_, options_.seed));
    return watch_for(std::chrono::duration_cast<Duration>(whole_ * kSteadyPart));
  }

  Result<void> cut_off() {
    display_.begin("parent cut off", "the fog node is killed; the edge decides on and keeps what is to climb");
    tree_.cut_parent();
    if (Result<void> watched = watch_for(std::chrono::duration_cast<Duration>(whole_ * kCutOffPart)); !watched) {
      return watched;
    }
    display_.begin("parent back", "the backlog climbs");
    if (Result<void> restored = tree_.restore_parent(); !restored) return restored;
    const MonotonicTime back = now();
    const std::set<PartKey> backlog = devices_->acknowledged();
    Result<bool> caught_up = watch_until(kCatchUpPatience, [&] { return stored_.lost(backlog) == 0; });
    score_.recover = now() - back;
    return fail_unless(caught_up, "the backlog did not reach the cloud");
  }

  Result<void> kill_edge() {
    display_.begin("edge killed", "SIGKILL, restart, devices reconnect and repeat what was not acknowledged");
    tree_.kill_edge();
    devices_->mark();
    const MonotonicTime killed = now();
    if (Result<void> restarted = tree_.restart_edge(); !restarted) return restarted;
    DemoDevices::Counts counts;
    const Result<bool> back = watch_until(kConnectPatience, [&] {
      counts = devices_->counts();
      return counts.connected > machines_ && counts.first_acknowledged_since_mark != MonotonicTime{};
    });
    if (Result<void> recovered = fail_unless(back, "nothing was acknowledged after the restart"); !recovered) {
      return recovered;
    }
    score_.recover_edge = counts.first_acknowledged_since_mark - killed;
    const Duration spent = now() - started_;
    return watch_for(std::max<Duration>(std::chrono::duration_cast<Duration>(whole_) - spent, std::chrono::seconds(1)));
  }

  Result<void> drain() {
    display_.begin("drain", "nothing new; what is on its way arrives");
    devices_->pause();
    score_.seconds = std::chrono::duration<double>(now() - started_).count();
    const Result<bool> drained = watch_until(kDrainPatience, [this] {
      return devices_->counts().unacknowledged == 0 && stored_.lost(devices_->acknowledged()) == 0 &&
             stored_.machine_values().size() == machines_ && nothing_waits();
    });
    // What is missing by then is on the scoreboard.
    return drained ? Result<void>{} : std::unexpected(drained.error());
  }

  [[nodiscard]] bool nothing_waits() {
    const DemoTree::Progress progress = tree_.progress();
    return progress.waiting_at_edge + progress.waiting_at_fog == 0;
  }

  Result<Score> score() {
    if (Result<void> read = tree_.read_root(stored_); !read) return std::unexpected(read.error());
    const DemoDevices::Counts counts = devices_->counts();
    const std::set<PartKey> acknowledged = devices_->acknowledged();
    score_.seed = options_.seed;
    score_.messages_in = counts.messages;
    score_.bytes_in = counts.bytes;
    score_.bytes_sent = tree_.bytes_sent();
    score_.decision = counts.decision;
    score_.acknowledged = acknowledged.size();
    score_.lost = stored_.lost(acknowledged);
    score_.duplicated = stored_.duplicated();
    score_.records = stored_.records();
    score_.machines = machines_;
    score_.machine_values = stored_.machine_values();
    score_.other_values = stored_.other_values();
    return score_;
  }

  const DemoOptions options_;
  std::vector<ReplayPoint> series_;
  DemoDisplay display_;
  DemoTree tree_;
  std::unique_ptr<DemoDevices> devices_;
  const std::chrono::duration<double> whole_;
  MonotonicTime started_{};
  size_t machines_ = 0;
  StoredRecords stored_;
  Score score_;
};

}  // namespace

int run_demo(const DemoOptions& options) {
  const auto refuse = [](const Error& error) {
    fmt::print(stderr, "verge: {}\n", error.line());
    return kFailure;
  };
  Result<std::vector<ReplayPoint>> series;
  if (!options.replay.empty()) series = read_replay(options.replay);
  if (!series) {
    refuse(series.error());
    return kUsage;
  }
  const Result<std::string> directory = make_directory(options.directory);
  if (!directory) return refuse(directory.error());
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  Demo demo(options, *directory, std::move(*series));
  const Result<Score> score = demo.run();
  if (score) {
    fmt::print("{}", options.json ? json_of(*score) + "\n" : "\n" + text_of(*score));
    std::fflush(stdout);
    if (options.hold) demo.hold();
  }
  demo.end();
  const bool passed = score && score->passed();
  if (!score) refuse(score.error());
  if (score && !passed) fmt::print(stderr, "verge: the demonstration failed, see the figures above\n");
  const bool keep = !options.directory.empty() || (!passed && !interrupted);
  if (keep) {
    fmt::print(stderr, "The nodes' configurations, logs and data are in {}\n", *directory);
  } else {
    std::error_code ignored;
    std::filesystem::remove_all(*directory, ignored);
  }
  return passed ? kSuccess : kFailure;
}

}  // namespace verge::cli
