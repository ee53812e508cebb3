#include "cli/bench_jetstream.h"

#include <chrono>

#include <fmt/format.h>

#include "cli/process_usage.h"
#include "jetstream/append_load.h"

namespace verge::cli {
namespace {

constexpr Duration kWait = std::chrono::seconds(30);  // for what is under way at the end

Duration seconds_of(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

Result<JetstreamBenchFigures> bench_jetstream(const JetstreamBenchOptions& options) {
  auto load = jetstream::AppendLoad::open({.url = options.url,
                                           .stream = options.stream,
                                           .record_bytes = options.record_bytes,
                                           .inflight = options.inflight});
  if (!load) return std::unexpected(load.error());
  if (const auto warm = (*load)->run(seconds_of(options.warmup_seconds), kWait); !warm) {
    return std::unexpected(warm.error());
  }
  Result<Duration> cpu_before = Duration(0);
  if (options.process_id != 0) cpu_before = cpu_time_of(options.process_id);
  if (!cpu_before) return std::unexpected(cpu_before.error());
  const auto begun = std::chrono::steady_clock::now();
  const Result<uint64_t> records = (*load)->run(seconds_of(options.seconds), kWait);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
  if (!records) return std::unexpected(records.error());
  JetstreamBenchFigures figures{.record_bytes = options.record_bytes,
                                .inflight = options.inflight,
                                .records = *records,
                                .appends_per_s = static_cast<double>(*records) / taken.count(),
                                .cpu_us_per_record = std::nullopt};
  if (options.process_id == 0) return figures;
  const Result<Duration> cpu = cpu_time_of(options.process_id);
  if (!cpu) return std::unexpected(cpu.error());
  figures.cpu_us_per_record =
      static_cast<double>((*cpu - *cpu_before).count()) / 1000.0 / static_cast<double>(*records);
  return figures;
}

std::string text_of(const JetstreamBenchFigures& figures) {
  std::string text = fmt::format("{} records of {} bytes, {} under way\nappends        {:>12.0f} /s\n", figures.records,
                                 figures.record_bytes, figures.inflight, figures.appends_per_s);
  if (figures.cpu_us_per_record)
    text += fmt::format("server cpu     {:>12.2f} us a record\n", *figures.cpu_us_per_record);
  return text;
}

std::string json_of(const JetstreamBenchFigures& figures) {
  std::string json = fmt::format(R"({{"appends_per_s":{:.1f},"records":{},"record_bytes":{},"inflight":{})",
                                 figures.appends_per_s, figures.records, figures.record_bytes, figures.inflight);
  if (figures.cpu_us_per_record) json += fmt::format(R"(,"cpu_us_per_record":{:.3f})", *figures.cpu_us_per_record);
  return json + "}";
}

}  // namespace verge::cli
