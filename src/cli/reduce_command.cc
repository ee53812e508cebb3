// verge reduce: a series of a CSV file in few bytes.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/line_input.h"
#include "series/anomaly.h"
#include "series/csv.h"
#include "series/reduction_choice.h"

namespace verge::cli {
namespace {

constexpr size_t kReadingsMax = 64UL << 20;

struct ReduceOptions {
  std::string file;
  std::string column;
  std::string output;
  std::optional<double> max_error;  // else the two below
  std::optional<double> bandwidth_bps;
  std::optional<double> deadline_ms;
  bool exact_anomalies = true;
  bool json = false;

  // What arrives until the deadline.
  [[nodiscard]] size_t budget() const {
    return series::bytes_until(bandwidth_bps.value_or(0), deadline_ms.value_or(0));
  }
  [[nodiscard]] double transfer_ms(size_t bytes) const {
    return static_cast<double>(bytes) * 8000 / bandwidth_bps.value_or(1);
  }
};

struct Input {
  std::string time_name;
  std::string value_name;
  std::vector<std::string> timestamps;
  std::vector<double> values;
  uint64_t bytes = 0;  // of the rows of the two columns
};

// What was made of all windows together.
struct Outcomes {
  std::string records;
  series::Method method = series::Method::kLossless;  // of the largest record
  size_t largest = 0;
  double quality = 1;  // the worst of any window
  double error_bound = 0;
  size_t exact = 0;
  size_t readings = 0;
  bool arrives = true;
};

Result<Input> read_input(const ReduceOptions& options) {
  Input input;
  series::CsvColumns csv(options.file == "-" ? "stdin" : options.file);
  const Result<void> done = for_each_line(
      options.file,
      [&](std::string_view line) -> Result<void> {
        if (csv.names().empty()) {
          if (const Result<void> header = csv.read_header(line); !header) return header;
          return options.column.empty() ? Result<void>{} : csv.choose({options.column});
        }
        if (line.empty() || line == "\r") return csv.skip_line(), Result<void>{};
        const Result<const series::CsvColumns::Row*> row = csv.read_row(line);
        if (!row) return std::unexpected(row.error());
        if (input.values.size() == kReadingsMax) {
          return fail("series.too-long", fmt::format("{} has more than {} readings", options.file, kReadingsMax),
                      "reduce it in parts");
        }
        input.timestamps.push_back((*row)->timestamp);
        input.values.push_back((*row)->values.front());
        input.bytes += (*row)->timestamp.size() + fmt::formatted_size("{}", input.values.back()) + 2;
        return {};
      },
      [] {});
  if (!done) return std::unexpected(done.error());
  if (input.values.empty()) {
    return fail("series.empty", fmt::format("{} has no readings", options.file),
                "give a CSV file with a header timestamp,value and rows below it");
  }
  input.time_name = csv.names().front();
  input.value_name = csv.chosen_names().front();
  return input;
}

// The readings whose anomaly score reaches the alert threshold, from `start` on, `count` of them.
class AnomalousReadings {
 public:
  std::vector<size_t> of(const series::Window& window) {
    std::vector<size_t> found;
    for (size_t i = 0; i < window.values.size(); ++i) {
      if (detector_.add(window.times.wall_us(i), window.values[i]) >= series::kAlert) found.push_back(i);
    }
    return found;
  }

 private:
  series::AnomalyDetector detector_;
};

// JSON has no infinity and no NaN.
std::string json_number(double number) { return std::isfinite(number) ? fmt::format("{}", number) : "null"; }

Outcomes reduce_all(const Input& input, const ReduceOptions& options) {
  Outcomes outcomes;
  outcomes.readings = input.values.size();
  // Of a range that is more than a double holds no share can be told: then nothing is lost.
  const double range = series::range_of(input.values);
  const double tolerance = std::isfinite(range) ? options.max_error.value_or(0) * range : 0;
  const size_t budget = options.max_error ? 0 : options.budget();
  AnomalousReadings anomalous;
  for (size_t start = 0; start < input.values.size(); start += series::kRecordReadingsMax) {
    const size_t end = std::min(start + series::kRecordReadingsMax, input.values.size());
    series::Window window{.time_name = input.time_name, .value_name = input.value_name, .times = {}, .values = {}};
    const auto from = static_cast<ptrdiff_t>(start);
    const auto to = static_cast<ptrdiff_t>(end);
    window.times = series::TimeColumn::of({input.timestamps.begin() + from, input.timestamps.begin() + to});
    window.values.assign(input.values.begin() + from, input.values.begin() + to);
    const std::vector<size_t> exact = options.exact_anomalies ? anomalous.of(window) : std::vector<size_t>{};
    series::Choice choice;
    if (options.max_error) {
      choice = series::smallest_within(window, tolerance, exact);
    } else {
      const size_t rest = budget - std::min(budget, outcomes.records.size());
      const double share = static_cast<double>(end - start) / static_cast<double>(input.values.size() - start);
      choice = series::best_within(window, static_cast<size_t>(static_cast<double>(rest) * share), exact);
    }
    if (choice.reduced.record.size() > outcomes.largest) {
      outcomes.largest = choice.reduced.record.size();
      outcomes.method = choice.reduction.method;
    }
    outcomes.records += choice.reduced.record;
    outcomes.quality = std::min(outcomes.quality, choice.quality);
    outcomes.error_bound = std::max(outcomes.error_bound, choice.reduced.error_bound);
    outcomes.exact += exact.size();
    outcomes.arrives = outcomes.arrives && choice.fits;
  }
  return outcomes;
}

// Under another name until it is whole: a file that is there is a file that can be restored.
Result<void> write_output(const std::string& path, const std::string& bytes) {
  const auto failed = [&](const std::string& name) {
    return fail("cli.output", fmt::format("cannot write {}: {}", name, std::strerror(errno)),
                "name a file in a directory that is there, may be written, and has space");
  };
  if (path == "-") {
    const bool is_whole =
        std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() && std::fflush(stdout) == 0;
    return is_whole ? Result<void>{} : failed("standard output");
  }
  const std::string partial = path + ".partial";
  std::FILE* file = std::fopen(partial.c_str(), "wb");
  if (file == nullptr) return failed(path);
  const bool is_whole = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  if (std::fclose(file) != 0 || !is_whole || std::rename(partial.c_str(), path.c_str()) != 0) {
    const std::unexpected<Error> error = failed(path);
    std::remove(partial.c_str());
    return error;
  }
  return {};
}

void print_outcomes(const ReduceOptions& options, const Input& input, const Outcomes& outcomes) {
  const size_t size = outcomes.records.size();
  const double ratio = static_cast<double>(input.bytes) / static_cast<double>(size);
  const double range = series::range_of(input.values);
  const bool is_timed = !options.max_error;
  std::FILE* out = options.output == "-" ? stderr : stdout;
  if (options.json) {
    fmt::print(
        out,
        R"({{"method":"{}","quality":{:.6f},"size":{},"compression_ratio":{:.3f},"readings":{},"input_bytes":{},)"
        R"("range":{},"error_bound":{},"exact_readings":{})",
        series::name_of(outcomes.method), outcomes.quality, size, ratio, outcomes.readings, input.bytes,
        json_number(range), json_number(outcomes.error_bound), outcomes.exact);
    if (is_timed) {
      fmt::print(out, R"(,"budget_bytes":{},"transfer_ms":{:.3f},"arrives":{})", options.budget(),
                 options.transfer_ms(size), outcomes.arrives);
    }
    fmt::print(out, "}}\n");
  } else {
    fmt::print(
        out, "{} readings: {}, {} bytes ({:.1f} times fewer, {:.3f} a reading), quality {:.4f}, error at most {:g}\n",
        outcomes.readings, series::name_of(outcomes.method), size, ratio,
        static_cast<double>(size) / static_cast<double>(outcomes.readings), outcomes.quality, outcomes.error_bound);
  }
  if (is_timed && !outcomes.arrives) {
    fmt::print(stderr,
               "verge reduce: nothing arrives in time: the smallest record has {} bytes, the line carries {} until the "
               "deadline; allow {:.0f} ms\n",
               size, options.budget(), std::ceil(options.transfer_ms(size)));
  }
}

Result<void> check(const ReduceOptions& options) {
  const bool is_timed = options.bandwidth_bps || options.deadline_ms;
  if (options.max_error && is_timed) {
    return fail("series.reduce-goal", "--max-error stands beside --bandwidth-bps or --deadline-ms",
                "say either how far a reading may be off, or what the line carries and when it has to be there");
  }
  if (options.max_error) {
    if (*options.max_error >= 0 && *options.max_error < 1) return {};
    return fail("series.reduce-goal",
                fmt::format("--max-error {} is no share of the series' range", *options.max_error),
                "give a number from 0 to below 1, such as 0.01");
  }
  if (!is_timed) {
    return fail("series.reduce-goal", "it is not said how much may be lost",
                "give --max-error 0.01, or --bandwidth-bps and --deadline-ms");
  }
  if (options.bandwidth_bps.value_or(0) > 0 && options.deadline_ms.value_or(0) > 0) return {};
  return fail("series.reduce-goal", "a line and a deadline go together",
              "give both --bandwidth-bps and --deadline-ms, above 0");
}

int reduce(const ReduceOptions& options) {
  const auto say = [](const Error& error, int status) {
    fmt::print(stderr, "verge reduce: {}\n", error.line());
    return status;
  };
  if (const Result<void> checked = check(options); !checked) return say(checked.error(), kUsage);
  const Result<Input> input = read_input(options);
  if (!input) return say(input.error(), kUsage);
  const Outcomes outcomes = reduce_all(*input, options);
  if (!options.output.empty()) {
    if (const Result<void> written = write_output(options.output, outcomes.records); !written) {
      return say(written.error(), kFailure);
    }
  }
  print_outcomes(options, *input, outcomes);
  return kSuccess;
}

}  // namespace

void add_reduce(Command& app, Outcome& outcome) {
  Command* command = app.add_command("reduce", "Write a series in few bytes, with a bound on the error");
  command->group(kGroupSeries);
  const auto options = std::make_shared<ReduceOptions>();
  command->add_option("file", options->file, "The CSV file, timestamp,value; - for standard input")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--max-error", options->max_error,
                   "How far a reading may be off, as a share of the series' range (largest minus smallest value)")
      ->type_name("SHARE");
  command->add_option("--bandwidth-bps", options->bandwidth_bps, "What the line carries, in bits a second")
      ->type_name("BPS");
  command->add_option("--deadline-ms", options->deadline_ms, "When it has to be there, in milliseconds")
      ->type_name("MS");
  command->add_option("-o,--output", options->output, "Write the record there; - for standard output")
      ->type_name("FILE");
  command->add_option("--column", options->column, "The column with the values; without it, the second")
      ->type_name("NAME");
  command->add_flag("--exact-anomalies,!--no-exact-anomalies", options->exact_anomalies,
                    "Keep readings whose anomaly score reaches 0.5 exactly; on unless refused");
  command->add_flag("--json", options->json, "One JSON object: method, quality, size, compression_ratio, ...");
  set_examples(
      *command,
      "  verge reduce temperature.csv --max-error 0.01 -o temperature.bin\n"
      "  verge restore temperature.bin\n"
      "  verge reduce temperature.csv --bandwidth-bps 9600 --deadline-ms 500 --json\n\n"
      "Either say how far a reading may be off, and get the smallest record; or say what the line carries and when\n"
      "it has to be there, and get the best that arrives: raw if it fits, else lossless, else whichever method keeps\n"
      "most. Where nothing arrives, it says so and gives the smallest. Timestamps are exact in any case, and so are\n"
      "readings whose anomaly score reaches 0.5.\n");
  command->callback([&outcome, options] { outcome.run = [options] { return reduce(*options); }; });
}

}  // namespace verge::cli
