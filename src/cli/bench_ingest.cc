#include "cli/bench_ingest.h"

#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/process_usage.h"

namespace verge::cli {
namespace {

constexpr std::string_view kBeforeNumber = R"({"n":)";
constexpr size_t kNumberWidth = 12;
constexpr size_t kNumberedBytesMin = kBeforeNumber.size() + kNumberWidth + 1;

double microseconds(Duration duration) { return static_cast<double>(duration.count()) / 1000.0; }

class IngestRun final : public BenchRun {
 public:
  explicit IngestRun(const IngestOptions& options)
      : BenchRun(options.load), options_(options), with_barriers_(options.load.qos == 0 && !options.subscribe) {
    if (options.subscribe) add_subscriber();
    payload_ = ingest_payload(0, options.load.payload_bytes);
  }

  IngestFigures figures() && {
    figures_.offered = offered() - uncounted();
    figures_.sent = sent() - std::min(sent(), uncounted());
    figures_.pacing = pacing();
    if (options_.subscribe) figures_.received = received_;
    const uint64_t taken = options_.subscribe ? received_ : with_barriers_ ? figures_.sent : figures_.acknowledged;
    if (!with_barriers_) figures_.lost = figures_.sent - std::min(figures_.sent, taken);
    const double seconds = std::chrono::duration<double>(last_ - counting_since()).count();
    if (seconds > 0) figures_.messages_per_s = static_cast<double>(taken) / seconds;
    const Result<Duration> cpu_now = cpu_time_of(options_.process_id);
    if (cpu_before_ && cpu_now && figures_.sent > 0) {
      figures_.cpu_us_per_message = microseconds(*cpu_now - *cpu_before_) / static_cast<double>(figures_.sent);
    }
    return figures_;
  }

 private:
  std::vector<std::string> filters_of(size_t connection) const override {
    if (connection < load_.publishers) return {};
    if (options_.topic.find("%d") == std::string::npos) return {options_.topic};
    std::vector<std::string> filters;
    for (size_t i = 0; i < load_.publishers; ++i) filters.push_back(topic_of(i));
    return filters;
  }
  std::string topic_of(size_t publisher) const override { return numbered(options_.topic, publisher); }

  std::string_view compose(size_t, const Publisher::Message& message) override {
    if (payload_.size() >= kNumberedBytesMin) {
      fmt::format_to(payload_.data() + kBeforeNumber.size(), "{:>12}", message.number);
    }
    return payload_;
  }

  void on_counting() override {
    if (options_.process_id == 0) return;
    if (const Result<Duration> cpu = cpu_time_of(options_.process_id)) cpu_before_ = *cpu;
  }

  void on_due(Publisher::Message& message, size_t publisher) override {
    if (!with_barriers_) return;
    // The last of each publisher, too: nothing is drained before it is answered.
    const uint64_t a_round = load_.publishers * load_.batch;
    const uint64_t of_publisher = message.number / a_round * load_.batch + message.number % load_.batch;
    const bool is_last = message.number + a_round >= offered() && (message.number + 1) % load_.batch == 0;
    if (is_last || (of_publisher + publisher) % kBarrierEvery == 0) message.qos = 1;
  }

  void on_message(size_t, const mqtt::Publish& publish) override {
    const std::optional<uint64_t> number = number_in(publish.payload);
    if (!number || publish.retain) return;
    ++arrived_;
    if (counted(*number)) {
      ++received_;
      took(*number);
    }
    end_if_drained();
  }

  void on_acknowledged(const Publisher::Message& message, mqtt::Reason reason) override {
    if (counted(message.number) && static_cast<uint8_t>(reason) < 0x80) {
      ++figures_.acknowledged;
      took(message.number);
    }
    end_if_drained();
  }

  void took(uint64_t number) {
    last_ = std::chrono::steady_clock::now();
    figures_.latency.record(last_ - due_of(number));
  }

  [[nodiscard]] bool drained() const override {
    return publishers_idle() && (!options_.subscribe || arrived_ >= offered());
  }

  const IngestOptions options_;
  const bool with_barriers_;
  std::string payload_;
  uint64_t arrived_ = 0;   // at the subscriber, with those of the warm-up
  uint64_t received_ = 0;  // of these, the counted
  std::optional<Duration> cpu_before_;
  MonotonicTime last_{};
  IngestFigures figures_;
};

std::string or_null(const std::optional<uint64_t>& number) { return number ? std::to_string(*number) : "null"; }

}  // namespace

Result<IngestFigures> bench_ingest(const IngestOptions& options) {
  if (options.subscribe && (options.load.qos != 0 || options.load.payload_bytes < kNumberedBytesMin)) {
    return fail("bench.subscribe",
                fmt::format("--subscribe needs --qos 0 and --payload-bytes {} or more", kNumberedBytesMin));
  }
  if (options.process_id != 0) {
    const Result<Duration> cpu = cpu_time_of(options.process_id);
    if (!cpu) return std::unexpected(cpu.error());
  }
  IngestRun run(options);
  const Result<void> done = run.run();
  if (!done) return std::unexpected(done.error());
  return std::move(run).figures();
}

std::string ingest_payload(uint64_t number, size_t bytes) {
  if (bytes < kNumberedBytesMin) return std::string(bytes, '7');
  std::string payload = fmt::format("{}{:>12}}}", kBeforeNumber, number);
  constexpr std::string_view kPadding = R"(,"pad":")";
  if (bytes >= payload.size() + kPadding.size() + 1) {
    payload.pop_back();
    payload.append(kPadding);
    payload.append(bytes - payload.size() - 2, 'x').append("\"}");
  }
  payload.resize(bytes, ' ');
  return payload;
}

std::optional<uint64_t> number_in(std::string_view payload) {
  if (payload.size() < kNumberedBytesMin || !payload.starts_with(kBeforeNumber)) return std::nullopt;
  const std::string_view digits = trim(payload.substr(kBeforeNumber.size(), kNumberWidth));
  uint64_t number = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (problem != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::string text_of(const IngestFigures& figures) {
  std::string text = fmt::format(
      "messages    {:>12.0f} /s\n"
      "latency p50 {:>12.1f} us\n"
      "latency p99 {:>12.1f} us\n"
      "latency max {:>12.1f} us\n"
      "offered     {:>12}\n"
      "sent        {:>12}\n"
      "acknowledged{:>12}\n"
      "lost        {:>12}\n",
      figures.messages_per_s, microseconds(figures.latency.quantile(0.5)), microseconds(figures.latency.quantile(0.99)),
      microseconds(Duration(figures.latency.max_ns)), figures.offered, figures.sent, figures.acknowledged,
      figures.lost ? std::to_string(*figures.lost) : "not known");
  if (figures.received) text += fmt::format("received    {:>12}\n", *figures.received);
  if (figures.cpu_us_per_message)
    text += fmt::format("broker cpu  {:>12.2f} us a message\n", *figures.cpu_us_per_message);
  text += fmt::format("pacing p99  {:>12.1f} us  (how late this program sent, part of the latencies)\n",
                      microseconds(figures.pacing.quantile(0.99)));
  return text;
}

std::string json_of(const IngestFigures& figures) {
  std::string json = fmt::format(
      R"({{"messages_per_s":{:.1f},"p50_us":{:.1f},"p99_us":{:.1f},"max_us":{:.1f},"lost":{},"offered":{},"sent":{},"acknowledged":{},"received":{},"pacing_p99_us":{:.1f})",
      figures.messages_per_s, microseconds(figures.latency.quantile(0.5)), microseconds(figures.latency.quantile(0.99)),
      microseconds(Duration(figures.latency.max_ns)), or_null(figures.lost), figures.offered, figures.sent,
      figures.acknowledged, or_null(figures.received), microseconds(figures.pacing.quantile(0.99)));
  if (figures.cpu_us_per_message) json += fmt::format(R"(,"cpu_us_per_message":{:.3f})", *figures.cpu_us_per_message);
  return json + "}";
}

}  // namespace verge::cli
