#include "cli/demo_machine.h"

#include <fmt/format.h>

#include "cli/json_lookup.h"

namespace verge::cli {

MachineDevice::MachineDevice(runtime::Loop& loop, const net::Address& broker, size_t number, uint64_t seed,
                             Witness& witness)
    : Device(loop, broker, Machine(number, seed).name(), "plant/" + Machine(number, seed).name() + "/command"),
      machine_(number, seed),
      witness_(witness),
      telemetry_topic_("plant/" + machine_.name() + "/telemetry"),
      part_topic_("plant/" + machine_.name() + "/part") {}

void MachineDevice::work(double seconds) {
  for (unsigned made = machine_.step(seconds); made > 0; --made) {
    outbox_.push_back({.number = ++parts_});
  }
  repeat();
  const MachineReading reading = machine_.reading();
  if (!connected()) return;
  payload_.clear();
  append_telemetry(payload_, machine_.name(), ++readings_, reading);
  sent_[readings_ % sent_.size()] = std::chrono::steady_clock::now();
  publish(telemetry_topic_, payload_);
}

void MachineDevice::repeat() {
  if (!connected()) return;
  for (Part& part : outbox_) {
    if (part.packet_id == 0) send(part);
  }
}

void MachineDevice::send(Part& part) {
  const std::string number = std::to_string(part.number);
  const std::string payload = fmt::format(R"({{"machine":"{}","part":{}}})", machine_.name(), number);
  mqtt::Publish publish{.qos = 1, .topic = part_topic_, .payload = payload};
  publish.properties.user.emplace_back("verge-sequence", number);
  part.packet_id = publish_once(publish);
}

void MachineDevice::on_up() { repeat(); }

void MachineDevice::on_down() {
  for (Part& part : outbox_) part.packet_id = 0;
}

void MachineDevice::on_message(const mqtt::Publish& command) {
  const auto number = static_cast<uint64_t>(number_at(command.payload, {"n"}));
  machine_.obey(text_at(command.payload, {"action"}));
  if (number == 0 || number > readings_ || readings_ - number >= sent_.size()) return;
  witness_.on_decision(std::chrono::steady_clock::now() - sent_[number % sent_.size()]);
}

void MachineDevice::on_acknowledged(const mqtt::Acknowledgement& acknowledgement) {
  const auto part = std::ranges::find(outbox_, acknowledgement.packet_id, &Part::packet_id);
  if (part == outbox_.end()) return;
  if (static_cast<uint8_t>(acknowledgement.reason) >= 0x80) {
    part->packet_id = 0;
    return;
  }
  witness_.on_acknowledged(machine_.name(), part->number);
  outbox_.erase(part);
}

}  // namespace verge::cli
