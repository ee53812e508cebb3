#include "base/log.h"

#include <memory>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "base/text.h"

namespace verge {
namespace {

// {"time":"…","level":"info","part":"mqtt","message":"…"}
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& entry, spdlog::memory_buf_t& out) override {
    const auto since_epoch = std::chrono::duration_cast<std::chrono::microseconds>(entry.time.time_since_epoch());
    std::string line = "{\"time\":";
    append_json_string(line, format_utc({since_epoch.count()}));
    line.append(",\"level\":");
    append_json_string(line, std::string_view(spdlog::level::to_string_view(entry.level).data()));
    line.append(",\"part\":");
    append_json_string(line, {entry.logger_name.data(), entry.logger_name.size()});
    line.append(",\"message\":");
    append_json_string(line, {entry.payload.data(), entry.payload.size()});
    line.append("}\n");
    out.append(line.data(), line.data() + line.size());
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// The process has one stderr, so it has one sink; this is the only state shared by all parts of the program.
struct Output {
  spdlog::sink_ptr sink;
  std::atomic<LogLevel> from{LogLevel::kInfo};
  std::atomic<bool> is_text{false};

  Output() { choose(LogFormat::kAutomatic); }

  void choose(LogFormat format) {
    if (format == LogFormat::kAutomatic) format = isatty(STDERR_FILENO) == 1 ? LogFormat::kText : LogFormat::kJson;
    is_text = format == LogFormat::kText;
    if (format == LogFormat::kJson) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
      sink->set_formatter(std::make_unique<JsonFormatter>());
    } else {
      sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
      sink->set_formatter(std::make_unique<spdlog::pattern_formatter>("%H:%M:%S.%e %^%-7l%$ %-8n %v"));
    }
  }
};

Output& output() {
  static Output instance;
  return instance;
}

}  // namespace

void configure_log(LogLevel from, LogFormat format) {
  output().choose(format);
  output().from = from;
}

bool log_enabled(LogLevel level) { return level >= output().from.load(std::memory_order_relaxed); }

void write_log(LogLevel level, std::string_view part, std::string_view message) {
  const spdlog::string_view_t name(part.data(), part.size());
  // Clients name things, and what they named must not act on a terminal. JSON has escapes of its own.
  std::string shown;
  if (output().is_text) message = shown = printable(message);
  const spdlog::string_view_t text(message.data(), message.size());
  output().sink->log(spdlog::details::log_msg(name, spdlog_level(level), text));
  output().sink->flush();
}

}  // namespace verge
