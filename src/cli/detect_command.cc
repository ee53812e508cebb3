// verge detect: anomaly scores of a series in a CSV file or on standard input, row by row.
#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/line_input.h"
#include "series/csv.h"
#include "series/joint_anomaly.h"
#include "series/timestamp.h"

namespace verge::cli {
namespace {

struct DetectOptions {
  std::string file;
  std::vector<std::string> columns;
  bool json = false;
};

// Scores the rows of one input. One column and several are different detectors: one column has no relation to watch.
class Scoring {
 public:
  explicit Scoring(const DetectOptions& options)
      : options_(options), csv_(options.file == "-" ? "stdin" : options.file) {}

  Result<void> take(std::string_view line) {
    if (csv_.names().empty()) return begin(line);
    if (line.empty() || line == "\r") return csv_.skip_line(), Result<void>{};
    const Result<const series::CsvColumns::Row*> row = csv_.read_row(line);
    if (!row) return std::unexpected(row.error());
    print(**row, score(**row));
    return {};
  }

  [[nodiscard]] bool has_header() const { return !csv_.names().empty(); }

 private:
  Result<void> begin(std::string_view line) {
    if (const Result<void> header = csv_.read_header(line); !header) return header;
    if (!options_.columns.empty()) {
      if (const Result<void> chosen = csv_.choose(options_.columns); !chosen) return chosen;
    }
    const size_t columns = csv_.chosen_names().size();
    if (columns > series::kJointColumnsMax) {
      return fail("series.column", fmt::format("{} columns are more than can be scored together", columns),
                  fmt::format("name at most {}", series::kJointColumnsMax));
    }
    if (columns > 1) joint_.emplace(columns);
    if (!options_.json) fmt::print("{},anomaly_score\n", "timestamp");
    return {};
  }

  // A timestamp in no known form says nothing of the time of the day; the other measures do without.
  double score(const series::CsvColumns::Row& row) {
    const std::optional<series::Timestamp> timestamp = series::parse_timestamp(row.timestamp);
    const int64_t time_us = timestamp ? series::wall_microseconds(*timestamp) : 0;
    return joint_ ? joint_->add(time_us, row.values) : single_.add(time_us, row.values.front());
  }

  void print(const series::CsvColumns::Row& row, double score) const {
    if (options_.json) {
      fmt::print(R"({{"timestamp":{},"anomaly_score":{:.6f}}})"
                 "\n",
                 json_string(row.timestamp), score);
    } else {
      fmt::print("{},{:.6f}\n", series::csv_cell(row.timestamp), score);
    }
  }

  const DetectOptions& options_;
  series::CsvColumns csv_;
  series::AnomalyDetector single_;
  std::optional<series::JointAnomalyDetector> joint_;
};

int detect(const DetectOptions& options) {
  Scoring scoring(options);
  Result<void> done = for_each_line(
      options.file, [&](std::string_view line) { return scoring.take(line); }, [] { std::fflush(stdout); });
  if (done && !scoring.has_header()) {
    done = fail("series.csv-header", fmt::format("{}:1:1: there is nothing in it", options.file),
                "give a file whose first line is timestamp,value");
  }
  if (done) return kSuccess;
  std::fflush(stdout);
  fmt::print(stderr, "verge detect: {}\n", done.error().line());
  return kUsage;
}

}  // namespace

void add_detect(Command& app, Outcome& outcome) {
  Command* command = app.add_command("detect", "Score how anomalous each reading of a series is, from 0 to 1");
  command->group(kGroupSeries);
  const auto options = std::make_shared<DetectOptions>();
  command->add_option("file", options->file, "The CSV file; - for standard input")->required()->type_name("FILE");
  command
      ->add_option("--columns", options->columns,
                   "Columns with values, by name, for one joint score; without it, the second column")
      ->delimiter(',')
      ->type_name("A,B,...");
  command->add_flag("--json", options->json, "JSON on stdout, one object a row");
  set_examples(
      *command,
      "  verge detect temperature.csv >scores.csv\n"
      "  verge detect pump.csv --columns flow,pressure,current\n"
      "  tail -f -n +1 readings.csv | verge detect -\n\n"
      "Reads CSV rows timestamp,value behind a header and prints timestamp,anomaly_score, a row for each, as they\n"
      "come: a score depends on its row and those before it. From 0.5 on it is worth telling somebody. A missing\n"
      "value (an empty cell, NaN, null) scores 0 and changes nothing.\n");
  command->callback([&outcome, options] { outcome.run = [options] { return detect(*options); }; });
}

}  // namespace verge::cli
