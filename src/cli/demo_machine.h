// MachineDevice: a machine of the plant on the network. It says what its sensors read, obeys commands, and numbers the
// parts it makes, each of which it repeats until it is acknowledged.
#pragma once

#include <array>
#include <deque>
#include <functional>

#include "base/metrics.h"
#include "cli/demo_device.h"
#include "cli/plant.h"

namespace verge::cli {

class MachineDevice final : public Device {
 public:
  // What a machine reports of itself.
  class Witness {
   public:
    virtual ~Witness() = default;
    virtual void on_decision(Duration after_publish) = 0;
    virtual void on_acknowledged(const std::string& machine, uint64_t part) = 0;
  };

  MachineDevice(runtime::Loop& loop, const net::Address& broker, size_t number, uint64_t seed, Witness& witness);

  // Lets time pass in the machine and says what comes of it.
  void work(double seconds);
  // Sends what was refused again.
  void repeat();
  [[nodiscard]] size_t unacknowledged() const { return outbox_.size(); }

 private:
  struct Part {
    uint64_t number = 0;
    uint16_t packet_id = 0;  // 0: not sent on this connection
  };
  void on_up() override;
  void on_down() override;
  void on_message(const mqtt::Publish& command) override;
  void on_acknowledged(const mqtt::Acknowledgement& acknowledgement) override;
  void send(Part& part);

  Machine machine_;
  Witness& witness_;
  const std::string telemetry_topic_;
  const std::string part_topic_;
  std::string payload_;
  uint64_t readings_ = 0;
  uint64_t parts_ = 0;
  std::deque<Part> outbox_;
  std::array<MonotonicTime, 64> sent_{};  // when the last readings were published, by number
};

}  // namespace verge::cli
