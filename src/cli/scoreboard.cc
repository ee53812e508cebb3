#include "cli/scoreboard.h"

#include <charconv>
#include <iterator>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/json_lookup.h"

namespace verge::cli {
namespace {

constexpr size_t kMachinesShown = 4;

double microseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e3; }
std::string megabytes(uint64_t bytes) { return fmt::format("{:.3f} MB", static_cast<double>(bytes) / 1e6); }
double milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

}  // namespace

void StoredRecords::add(std::string_view event) {
  ++records_;
  const std::string identity = fmt::format("{} {} {}", text_at(event, {"origin", "node"}), text_at(event, {"stream"}),
                                           json_at(event, {"origin", "sequence"}).value_or(""));
  bool again = !identities_.insert(identity).second;

  const std::string topic = text_at(event, {"topic"});
  const std::string payload = json_at(event, {"payload"}).value_or("");
  if (topic.ends_with("/part")) {
    const auto number = static_cast<uint64_t>(number_at(payload, {"part"}));
    again = !parts_.insert({text_at(payload, {"machine"}), number}).second || again;
  } else if (topic.ends_with("/10s")) {
    const std::string device = text_at(event, {"device"});
    (topic.starts_with("plant/") ? machine_values_ : other_values_)[device] = payload;
  }
  if (again) ++duplicated_;
}

uint64_t StoredRecords::lost(const std::set<PartKey>& acknowledged) const {
  return static_cast<uint64_t>(
      std::ranges::count_if(acknowledged, [this](const PartKey& part) { return !holds(part); }));
}

double Score::percent_sent() const {
  return bytes_in == 0 ? 0 : 100.0 * static_cast<double>(bytes_sent) / static_cast<double>(bytes_in);
}

bool Score::passed() const {
  return lost == 0 && duplicated == 0 && acknowledged > 0 && machine_values.size() == machines;
}

std::string text_of(const Score& score) {
  std::string out;
  const auto row = [&](std::string_view name, const std::string& value) {
    fmt::format_to(std::back_inserter(out), "  {:<26} {}\n", name, value);
  };
  row("messages in",
      fmt::format("{}  ({:.0f}/s from {} machines)", score.messages_in,
                  static_cast<double>(score.messages_in) / std::max(score.seconds, 1e-9), score.machines));
  row("decisions",
      fmt::format("{}  publish to command at the device: p50 {:.0f} us, p99 {:.0f} us, max {:.0f} us",
                  score.decision.count, microseconds(score.decision.quantile(0.5)),
                  microseconds(score.decision.quantile(0.99)), microseconds(Duration(score.decision.max_ns))));
  row("bytes in", megabytes(score.bytes_in));
  row("bytes sent up", fmt::format("{}  ({:.2f} %)", megabytes(score.bytes_sent), score.percent_sent()));
  row("acknowledged", std::to_string(score.acknowledged));
  row("lost", std::to_string(score.lost));
  row("duplicated", std::to_string(score.duplicated));
  row("parent back, caught up in", fmt::format("{:.0f} ms", milliseconds(score.recover)));
  row("killed edge back in",
      fmt::format("{:.0f} ms  (to the first new acknowledgement)", milliseconds(score.recover_edge)));
  row("at the cloud", fmt::format("{} records, ten-second values of {} of {} machines", score.records,
                                  score.machine_values.size(), score.machines));
  const size_t step = std::max<size_t>(1, score.machine_values.size() / kMachinesShown);
  size_t index = 0;
  for (const auto& [machine, values] : score.machine_values) {
    if (index++ % step == 0 && index / step < kMachinesShown) row("  " + machine, values);
  }
  for (const auto& [name, values] : score.other_values) row("  " + name, values);
  row("seed", std::to_string(score.seed));
  return out;
}

std::string json_of(const Score& score) {
  std::string values;
  for (const auto& [machine, text] : score.machine_values) {
    if (!values.empty()) values.push_back(',');
    append_json_string(values, machine);
    values.append(":").append(text);
  }
  return fmt::format(
      R"({{"messages_in":{},"decisions":{},"decision_p50_us":{:.1f},"decision_p99_us":{:.1f},"decision_max_us":{:.1f},"bytes_in":{},"bytes_sent":{},"percent_sent":{:.3f},"acknowledged":{},"lost":{},"duplicated":{},"recover_ms":{:.1f},"recover_edge_ms":{:.1f},"records":{},"machines":{},"machines_with_values":{},"seconds":{:.1f},"seed":{},"passed":{},"values":{{{}}}}})",
      score.messages_in, score.decision.count, microseconds(score.decision.quantile(0.5)),
      microseconds(score.decision.quantile(0.99)), microseconds(Duration(score.decision.max_ns)), score.bytes_in,
      score.bytes_sent, score.percent_sent(), score.acknowledged, score.lost, score.duplicated,
      milliseconds(score.recover), milliseconds(score.recover_edge), score.records, score.machines,
      score.machine_values.size(), score.seconds, score.seed, score.passed(), values);
}

}  // namespace verge::cli
