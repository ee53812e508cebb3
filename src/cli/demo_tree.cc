#include "cli/demo_tree.h"

#include <fmt/format.h>

#include "cli/admin_client.h"
#include "cli/json_lookup.h"
#include "cli/plant.h"
#include "model/priority.h"

namespace verge::cli {
namespace {

constexpr size_t kEventsAnAnswer = 10'000;
constexpr Duration kAskTimeout = std::chrono::seconds(5);
constexpr Duration kEndPatience = std::chrono::seconds(10);

// What an edge of a plant does: two decisions on the spot, summaries and parts upwards, the readings themselves to
// nobody. The batches wait long enough to compress well; an alarm does not wait. Summaries survive the kill.
constexpr std::string_view kEdgeRules = R"toml(
[rules]
durable = true

[[rule]]
name = "overheat"
sql = """
SELECT device, n, temperature, 'SHUTDOWN_EQUIPMENT' AS action
FROM 'plant/+/telemetry' WHERE temperature > @TEMPERATURE@ AND running = TRUE"""
do = [
  { publish = "plant/${device}/command", payload = '{"action":"${action}","n":${n}}' },
  { upload = "critical", topic = "plant/${device}/overheat" },
]

[[rule]]
name = "vibration"
sql = """
SELECT device, n, CASE WHEN vibration > 18 THEN 'SHUTDOWN_EQUIPMENT' ELSE 'REDUCE_LOAD' END AS action
FROM 'plant/+/telemetry' WHERE vibration > @VIBRATION@"""
do = [{ publish = "plant/${device}/command", payload = '{"action":"${action}","n":${n}}' }]

[[rule]]
name = "ten-seconds"
sql = """
SELECT device, round(avg(temperature), 2) AS temperature, max(temperature) AS peak, max(vibration) AS vibration,
  count(*) AS readings
FROM 'plant/+/telemetry' GROUP BY device, TUMBLING(10 s)"""
do = [{ upload = "normal", topic = "plant/${device}/10s" }]
report = "none"

[[rule]]
name = "parts"
sql = "SELECT * FROM 'plant/+/part'"
do = [{ upload = "normal" }]
report = "none"

[[rule]]
name = "host"
sql = """
SELECT device, round(avg(cpu), 3) AS cpu, max(memory) AS memory, max(disk) AS disk,
  round(avg(received_bytes_s), 0) AS received_bytes_s, max(temperature) AS temperature
FROM 'host/+/readings' GROUP BY device, TUMBLING(10 s)"""
do = [{ upload = "low", topic = "host/${device}/10s" }]
report = "none"

[[rule]]
name = "replay"
sql = """
SELECT device, min(value) AS low, round(avg(value), 3) AS mean, max(value) AS high, count(*) AS readings,
  last(recorded) AS recorded
FROM 'replay/+' GROUP BY device, TUMBLING(10 s)"""
do = [{ upload = "low", topic = "replay/${device}/10s" }]
report = "none"
)toml";

void put(std::string& text, std::string_view place, double value) {
  text.replace(text.find(place), place.size(), fmt::format("{}", value));
}

std::string edge_configuration(const NodeAddresses& parent) {
  std::string rules(kEdgeRules);
  put(rules, "@TEMPERATURE@", Machine::kTemperatureLimit);
  put(rules, "@VIBRATION@", Machine::kVibrationLimit);
  return fmt::format("[parent]\nurl = \"http://{}\"\nbatch_age_max = \"4s\"\nretry_max = \"250ms\"\n{}", parent.http,
                     rules);
}

std::string fog_configuration(const NodeAddresses& parent) {
  return fmt::format("[parent]\nurl = \"http://{}\"\nbatch_age_max = \"100ms\"\nretry_max = \"250ms\"\n", parent.http);
}

uint64_t waiting(std::string_view status) {
  double records = 0;
  for (const Priority priority : kPriorities) records += number_at(status, {"spool", name_of(priority), "records"});
  return static_cast<uint64_t>(records);
}

}  // namespace

DemoTree::DemoTree(const std::string& directory)
    : directory_(directory), cloud_(std::make_unique<NodeProcess>(directory, "cloud", "cloud", "")) {}

Result<void> DemoTree::start() {
  if (Result<void> started = cloud_->start(); !started) return started;
  fog_ = std::make_unique<NodeProcess>(directory_, "fog", "fog", fog_configuration(cloud_->addresses()));
  if (Result<void> started = fog_->start(); !started) return started;
  edge_ = std::make_unique<NodeProcess>(directory_, "edge", "edge", edge_configuration(fog_->addresses()));
  return edge_->start();
}

void DemoTree::end() {
  for (NodeProcess* node : {edge_.get(), fog_.get(), cloud_.get()}) {
    if (node == nullptr) continue;
    node->ask_to_end();
    node->wait_for_end(kEndPatience);
  }
}

std::string DemoTree::status_of(const NodeProcess& node) {
  if (!node.running()) return {};
  Result<AdminAnswer> answer = admin_get(node.addresses().admin, "/v1/status", kAskTimeout);
  return answer && answer->status == 200 ? std::move(answer->body) : std::string();
}

void DemoTree::kill_edge() {
  sent_before_ = bytes_sent();
  sent_now_ = 0;
  edge_->kill();
}

uint64_t DemoTree::bytes_sent() {
  const std::string status = status_of(*edge_);
  if (!status.empty()) sent_now_ = static_cast<uint64_t>(number_at(status, {"uplink", "bytes_sent"}));
  return sent_before_ + sent_now_;
}

DemoTree::Progress DemoTree::progress() {
  const std::string edge = status_of(*edge_);
  return {.waiting_at_edge = waiting(edge),
          .waiting_at_fog = waiting(status_of(*fog_)),
          .edge_connected = json_at(edge, {"uplink", "connected"}) == "true"};
}

Result<void> DemoTree::read_root(StoredRecords& stored) {
  for (const Priority priority : kPriorities) {
    Result<void> read = read_stream(name_of(priority), read_through_[static_cast<size_t>(priority)], stored);
    if (!read) return read;
  }
  return {};
}

Result<void> DemoTree::read_stream(std::string_view stream, std::string& after, StoredRecords& stored) {
  while (true) {
    const std::string target = fmt::format("/v1/events?stream={}&limit={}{}{}", stream, kEventsAnAnswer,
                                           after.empty() ? "" : "&after=", after);
    const Result<AdminAnswer> answer = admin_get(cloud_->addresses().admin, target, kAskTimeout);
    if (!answer) return std::unexpected(answer.error());
    if (answer->status != 200) {
      return fail("demo.query", fmt::format("the cloud answered {} to {}", answer->status, target));
    }
    size_t events = 0;
    for (std::string_view rest = answer->body; !rest.empty();) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (line.empty()) continue;
      stored.add(line);
      after = text_at(line, {"position"});
      ++events;
    }
    if (events < kEventsAnAnswer) return {};
  }
}

const NodeProcess* DemoTree::died() {
  for (NodeProcess* node : {cloud_.get(), fog_.get(), edge_.get()}) {
    if (node != nullptr && node->died()) return node;
  }
  return nullptr;
}

}  // namespace verge::cli
