#include "cli/bench_decide.h"

#include <deque>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/undisturbed.h"

namespace verge::cli {
namespace {

double microseconds(Duration duration) { return static_cast<double>(duration.count()) / 1000.0; }

class DecideRun final : public BenchRun {
 public:
  explicit DecideRun(const DecideOptions& options)
      : BenchRun(options.load),
        options_(options),
        own_command_topics_(options.receive.find("%d") != std::string::npos || options.load.publishers == 1),
        unanswered_(own_command_topics_ ? options.load.publishers : 1) {
    if (!own_command_topics_) add_subscriber();
    for (size_t i = 0; i < options.load.publishers; ++i) {
      std::string payload = numbered(options.payload, i);
      if (payload.size() < options.load.payload_bytes) payload.resize(options.load.payload_bytes, ' ');
      payloads_.push_back(std::move(payload));
    }
  }

  DecideFigures figures() && {
    figures_.sent = sent() - std::min(sent(), uncounted());
    figures_.undisturbed = undisturbed_.latency();
    figures_.pacing = pacing();
    const double seconds = std::chrono::duration<double>(last_ - counting_since()).count();
    if (figures_.received > 0 && seconds > 0) figures_.rate = static_cast<double>(figures_.received) / seconds;
    return std::move(figures_);
  }

 private:
  std::vector<std::string> filters_of(size_t connection) const override {
    if (own_command_topics_) return {numbered(options_.receive, connection)};
    if (connection == load_.publishers) return {options_.receive};
    return {};
  }
  std::string topic_of(size_t publisher) const override { return numbered(options_.publish, publisher); }
  std::string_view compose(size_t publisher, const Publisher::Message&) override { return payloads_[publisher]; }

  void on_due(Publisher::Message& message, size_t publisher) override {
    unanswered_[own_command_topics_ ? publisher : 0].push_back(message.number);
  }

  void on_message(size_t connection, const mqtt::Publish& command) override {
    if (command.retain) return;
    const MonotonicTime now = std::chrono::steady_clock::now();
    std::deque<uint64_t>& unanswered = unanswered_[own_command_topics_ ? connection : 0];
    const std::string expected = own_command_topics_ ? numbered(options_.expect, connection) : options_.expect;
    const bool is_expected = command.payload == expected && !unanswered.empty();
    const bool counts = unanswered.empty() || counted(unanswered.front());
    if (!is_expected && counts && figures_.mismatched++ == 0) {
      figures_.expected = expected;
      figures_.unexpected = unanswered.empty() ? "one command more than publishes" : std::string(command.payload);
    }
    if (unanswered.empty()) return;
    const uint64_t number = unanswered.front();
    unanswered.pop_front();
    if (counted(number)) {
      ++figures_.received;
      figures_.latency.record(now - due_of(number));
      undisturbed_.record(now, now - due_of(number));
      last_ = now;
    }
    end_if_drained();
  }

  void on_acknowledged(const Publisher::Message&, mqtt::Reason) override { end_if_drained(); }

  [[nodiscard]] bool drained() const override {
    return publishers_idle() && std::ranges::all_of(unanswered_, [](const auto& queue) { return queue.empty(); });
  }

  const DecideOptions options_;
  const bool own_command_topics_;
  std::vector<std::string> payloads_;
  std::vector<std::deque<uint64_t>> unanswered_;  // message numbers, a command topic
  MonotonicTime last_{};
  Undisturbed undisturbed_;
  DecideFigures figures_;
};

}  // namespace

Result<DecideFigures> bench_decide(const DecideOptions& options) {
  DecideRun run(options);
  const Result<void> done = run.run();
  if (!done) return std::unexpected(done.error());
  return std::move(run).figures();
}

bool passed(const DecideFigures& figures) {
  return figures.mismatched == 0 && figures.received > 0 && figures.received == figures.sent;
}

std::string text_of(const DecideFigures& figures) {
  return fmt::format(
      "rate        {:>12.0f} /s\n"
      "latency p50 {:>12.1f} us\n"
      "latency p99 {:>12.1f} us\n"
      "latency max {:>12.1f} us\n"
      "undisturbed {:>12.1f} us  (p99 of the {} commands received while the hypervisor took no processor away)\n"
      "sent        {:>12}\n"
      "received    {:>12}\n"
      "mismatched  {:>12}\n"
      "pacing p99  {:>12.1f} us  (how late this program sent, part of the latencies)\n",
      figures.rate, microseconds(figures.latency.quantile(0.5)), microseconds(figures.latency.quantile(0.99)),
      microseconds(Duration(figures.latency.max_ns)), microseconds(figures.undisturbed.quantile(0.99)),
      figures.undisturbed.count, figures.sent, figures.received, figures.mismatched,
      microseconds(figures.pacing.quantile(0.99)));
}

std::string json_of(const DecideFigures& figures) {
  return fmt::format(
      R"({{"rate":{:.1f},"p50_us":{:.1f},"p99_us":{:.1f},"max_us":{:.1f},"undisturbed":{},"undisturbed_p99_us":{:.1f},"sent":{},"received":{},"mismatched":{},"pacing_p99_us":{:.1f}}})",
      figures.rate, microseconds(figures.latency.quantile(0.5)), microseconds(figures.latency.quantile(0.99)),
      microseconds(Duration(figures.latency.max_ns)), figures.undisturbed.count,
      microseconds(figures.undisturbed.quantile(0.99)), figures.sent, figures.received, figures.mismatched,
      microseconds(figures.pacing.quantile(0.99)));
}

}  // namespace verge::cli
