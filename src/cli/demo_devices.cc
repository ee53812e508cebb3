#include "cli/demo_devices.h"

#include <future>
#include <limits>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::cli {
namespace {

constexpr double kReplayPointsASecond = 10;
constexpr Duration kHostInterval = std::chrono::seconds(1);

}  // namespace

DemoDevices::DemoDevices(Options options)
    : options_(std::move(options)),
      pacer_(
          loop_, [this](uint64_t index, MonotonicTime) { work(index); }, Duration(0)),
      host_timer_(loop_),
      replay_timer_(loop_),
      host_topic_("host/" + host_topic_level() + "/readings") {
  MachineDevice::Witness& witness = *this;
  for (size_t i = 0; i < options_.machines; ++i) {
    machines_.push_back(std::make_unique<MachineDevice>(loop_, options_.broker, i, options_.seed, witness));
  }
  host_ = std::make_unique<Device>(loop_, options_.broker, "host-" + host_topic_level(), "");
  if (!options_.replay_topic.empty()) {
    replay_ = std::make_unique<Device>(loop_, options_.broker, "replay", "");
  }
}

DemoDevices::~DemoDevices() {
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
}

void DemoDevices::start() {
  thread_ = std::thread([this] { loop_.run(); });
  loop_.post([this] {
    for (const auto& machine : machines_) machine->connect();
    host_->connect();
    if (replay_) replay_->connect();
    const double a_second = options_.readings_a_second * static_cast<double>(options_.machines);
    pacer_.start(loop_.tick(), Duration(static_cast<int64_t>(1e9 / a_second)), std::numeric_limits<uint64_t>::max(),
                 nullptr);
    publish_host();
    if (replay_) publish_replay();
  });
}

void DemoDevices::pause() {
  loop_.post([this] { paused_ = true; });
}

void DemoDevices::resume() {
  loop_.post([this] { paused_ = false; });
}

void DemoDevices::mark() {
  ask([this] { first_acknowledged_since_mark_ = {}; });
}

void DemoDevices::work(uint64_t index) {
  MachineDevice& machine = *machines_[index % machines_.size()];
  if (paused_) return machine.repeat();
  machine.work(1 / options_.readings_a_second);
}

void DemoDevices::publish_host() {
  if (!paused_) host_->publish(host_topic_, host_readings_.read(loop_.now()));
  host_timer_.after(kHostInterval, [this] { publish_host(); });
}

Duration DemoDevices::replay_interval() const {
  const double a_second =
      std::max(kReplayPointsASecond, static_cast<double>(options_.replay.size()) / options_.replay_seconds);
  return Duration(static_cast<int64_t>(1e9 / a_second));
}

void DemoDevices::publish_replay() {
  if (replay_next_ >= options_.replay.size()) return;
  // Timers have milliseconds: what came due since is played at once.
  const MonotonicTime now = loop_.now();
  if (replay_next_ == 0) replay_start_ = now;
  for (; replay_next_ < options_.replay.size() &&
         replay_start_ + replay_interval() * static_cast<int64_t>(replay_next_) <= now;
       ++replay_next_) {
    const ReplayPoint& point = options_.replay[replay_next_];
    if (paused_ || !replay_->connected()) break;
    replay_->publish(options_.replay_topic,
                     fmt::format(R"({{"recorded":{},"value":{}}})", json_string(point.timestamp), point.value));
  }
  replay_timer_.after(replay_interval(), [this] { publish_replay(); });
}

void DemoDevices::on_acknowledged(const std::string& machine, uint64_t part) {
  acknowledged_.insert({machine, part});
  if (first_acknowledged_since_mark_ == MonotonicTime{}) first_acknowledged_since_mark_ = loop_.now();
}

void DemoDevices::ask(const std::function<void()>& question) {
  std::promise<void> answered;
  loop_.post([&] {
    question();
    answered.set_value();
  });
  answered.get_future().wait();
}

DemoDevices::Counts DemoDevices::counts() {
  Counts counts;
  ask([&] {
    const auto add = [&](const Device& device) {
      counts.messages += device.messages();
      counts.bytes += device.sent_bytes();
      counts.connected += device.connected() ? 1 : 0;
    };
    for (const auto& machine : machines_) {
      add(*machine);
      counts.unacknowledged += machine->unacknowledged();
    }
    add(*host_);
    if (replay_) add(*replay_);
    counts.acknowledged = acknowledged_.size();
    counts.first_acknowledged_since_mark = first_acknowledged_since_mark_;
    counts.decision = decision_;
  });
  return counts;
}

std::set<PartKey> DemoDevices::acknowledged() {
  std::set<PartKey> copy;
  ask([&] { copy = acknowledged_; });
  return copy;
}

}  // namespace verge::cli
