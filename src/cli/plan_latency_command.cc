// verge plan latency: what physics and measurements say of the way between two places; or, with --rtt, how well the
// calibrated model predicts a table of measurements that it has not seen.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/plan_commands.h"
#include "cli/plan_output.h"
#include "planner/calibration.h"
#include "planner/drawing.h"
#include "planner/json_text.h"
#include "planner/latency.h"
#include "planner/places.h"
#include "planner/round_trip_files.h"

namespace verge::cli {

namespace {

struct LatencyOptions {
  PlanOutput output;
  std::string rtt;
  std::string sites;
  std::string from;
  std::string to;
  std::optional<double> distance_km;
  std::optional<double> edge_km;
  bool ellipsoid = false;
  std::optional<double> factor;
  double access_ms = 1;
  double bytes = 0;
  double mbps = 1000;
  double complexity = 0;
  double power = 1;
  std::optional<double> edge_power;
  double arrivals = 0;
  double services = 0;
  std::optional<double> edge_services;
  std::optional<double> measured;
};

struct Table {
  planner::MeasuredSites measured;
  planner::Calibration calibration;
};

using MeasuredLines = std::map<std::string, std::vector<planner::RoundTripLine>>;

// What was measured does not suffice: what is wrong with which line, where something is; else the first line.
Error too_few(const LatencyOptions& options, const planner::MeasuredSites& measured, const MeasuredLines& lines,
              Error error) {
  const planner::RoundTripLine& first = lines.begin()->second.front();
  const std::string where = measured.unused_files.empty()
                                ? fmt::format("{}:{}: no more than this was measured", first.file, first.line)
                                : measured.unused_files.front();
  error.what = fmt::format("{}; {} usable pair(s) of places are left in {}, and a calibration needs three", where,
                           measured.pairs.size(), options.rtt);
  if (!measured.below_floor.empty()) {
    error.fix = "correct the measurement, or where the two are (--sites)";
  } else if (!measured.without_place.empty()) {
    error.fix = "say with --sites FILE where the sites are: name,lat,lon";
  }
  return error;
}

Result<Table> read_table(const LatencyOptions& options) {
  std::vector<planner::Site> sites;
  if (!options.sites.empty()) {
    const Result<std::string> text = read_plan_file(options.sites);
    if (!text) return std::unexpected(text.error());
    Result<std::vector<planner::Site>> parsed = planner::parse_sites(*text, options.sites);
    if (!parsed) return std::unexpected(parsed.error());
    sites = std::move(*parsed);
  }
  std::error_code problem;
  MeasuredLines lines;
  for (std::filesystem::directory_iterator entry(options.rtt, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    const std::filesystem::path& path = entry->path();
    if (!entry->is_regular_file() || path.filename().string().starts_with('.')) continue;
    const std::string name = path.extension() == ".dat" || path.extension() == ".txt" || path.extension() == ".rtt"
                                 ? path.stem().string()
                                 : path.filename().string();
    if (path.extension() == ".csv" || path.extension() == ".md") continue;
    const Result<std::string> text = read_plan_file(path.string());
    if (!text) return std::unexpected(text.error());
    Result<std::vector<planner::RoundTripLine>> parsed = planner::parse_round_trip_lines(*text, path.string());
    if (!parsed) return std::unexpected(parsed.error());
    std::vector<planner::RoundTripLine>& of_source = lines[name];
    of_source.insert(of_source.end(), std::make_move_iterator(parsed->begin()), std::make_move_iterator(parsed->end()));
  }
  if (problem || lines.empty()) {
    return fail("plan.file",
                fmt::format("{}: {}", options.rtt, problem ? problem.message() : "there are no files in it"),
                "give a directory with a file a source, of lines min/avg/max/stddev:target");
  }
  planner::MeasuredSites measured = planner::join_round_trips(lines, sites);
  std::vector<planner::Coordinates> places;
  for (const planner::Site& site : measured.sites) places.push_back(site.at);
  Result<planner::Calibration> fitted = planner::Calibration::fit(std::move(places), measured.pairs);
  if (!fitted) return std::unexpected(too_few(options, measured, lines, fitted.error()));
  return Table{.measured = std::move(measured), .calibration = std::move(*fitted)};
}

int validate(const LatencyOptions& options, const Table& table) {
  const planner::MeasuredSites& measured = table.measured;
  const std::vector<double> predicted = table.calibration.left_out_medians();
  std::vector<double> actual;
  std::vector<double> floors;
  for (const planner::MeasuredPair& pair : table.calibration.pairs()) {
    actual.push_back(pair.round_trip_ms);
    floors.push_back(planner::round_trip_floor_ms(
        planner::great_circle_km(measured.sites[pair.from].at, measured.sites[pair.to].at)));
  }
  std::vector<double> factors;
  for (size_t i = 0; i < actual.size(); ++i) factors.push_back(actual[i] / std::max(floors[i], 1e-9));
  std::ranges::sort(factors);
  std::vector<double> scaled;
  for (const double floor : floors) scaled.push_back(floor * factors[factors.size() / 2]);
  const double error = planner::median_relative_error(predicted, actual);
  const double raw = planner::median_relative_error(floors, actual);
  const double single = planner::median_relative_error(scaled, actual);

  planner::JsonText json;
  json.open('{').member("median_error", error).member("pairs", actual.size());
  json.member("below_floor", measured.below_floor.size()).member("sites", measured.sites.size());
  json.member("floor_median_error", raw).member("one_factor_median_error", single);
  json.member("method", "leave one pair out").key("refused").open('[');
  for (const planner::RefusedSample& sample : measured.below_floor) {
    json.open('{').member("from", measured.sites[sample.from].name).member("to", measured.sites[sample.to].name);
    json.member("round_trip_ms", sample.round_trip_ms).member("floor_ms", sample.floor_ms);
    json.member("file", sample.file).member("line", sample.line).close('}');
  }
  json.close(']').key("without_place").open('[');
  for (const std::string& name : measured.without_place) json.value(name);
  json.close(']').key("unused_files").open('[');
  for (const std::string& file : measured.unused_files) json.value(file);
  json.close(']').close('}');
  std::string text = fmt::format(
      "{} sites, {} pairs, {} samples below the floor\nmedian error, each pair predicted from all others: {:.1f} %\n"
      "the floor alone: {:.1f} %; the floor times one factor: {:.1f} %\n",
      measured.sites.size(), actual.size(), measured.below_floor.size(), error * 100, raw * 100, single * 100);
  for (const planner::RefusedSample& sample : measured.below_floor) {
    text += fmt::format("refused: {}:{}: {} - {}, {} ms is faster than light in glass, which needs {:.2f} ms\n",
                        sample.file, sample.line, measured.sites[sample.from].name, measured.sites[sample.to].name,
                        sample.round_trip_ms, sample.floor_ms);
  }
  for (const std::string& file : measured.unused_files) text += fmt::format("of no use: {}\n", file);
  if (!measured.without_place.empty()) {
    text += fmt::format("left out, as nobody says where they are: {}\n", fmt::join(measured.without_place, ", "));
  }
  TextTable worst({"from", "to", "measured ms", "predicted ms", "floor ms"});
  std::vector<size_t> order;
  for (size_t i = 0; i < actual.size(); ++i) order.push_back(i);
  std::ranges::sort(order, [&](size_t a, size_t b) {
    return std::abs(predicted[a] / actual[a] - 1) > std::abs(predicted[b] / actual[b] - 1);
  });
  for (size_t i = 0; i < std::min<size_t>(10, order.size()); ++i) {
    const planner::MeasuredPair& pair = table.calibration.pairs()[order[i]];
    worst.add({measured.sites[pair.from].name, measured.sites[pair.to].name, shown(pair.round_trip_ms),
               shown(predicted[order[i]]), shown(floors[order[i]])});
  }
  return print_plan(
      options.output,
      {.json = json.text(), .table = text, .explanation = "predicted worst:\n" + worst.text(), .picture = [&] {
         std::vector<planner::MapPoint> points;
         std::vector<planner::MapLine> lines;
         for (const planner::Site& site : measured.sites) points.push_back({site.at, site.name});
         for (const planner::MeasuredPair& pair : measured.pairs) {
           lines.push_back({measured.sites[pair.from].at, measured.sites[pair.to].at, 0});
         }
         return planner::draw_map("Measured round trips", points, lines);
       }});
}

struct Ends {
  std::optional<planner::Coordinates> from;
  std::optional<planner::Coordinates> to;
  std::optional<uint32_t> from_site;  // of the table of measurements
  std::optional<uint32_t> to_site;
  double distance_km = 0;
};

Result<planner::Coordinates> point_of(const std::string& text, const std::optional<Table>& table) {
  const size_t comma = text.find(',');
  planner::Coordinates point;
  if (comma != std::string::npos) {
    char* end = nullptr;
    point.latitude = std::strtod(text.c_str(), &end);
    const bool first = end == text.c_str() + comma;
    point.longitude = std::strtod(text.c_str() + comma + 1, &end);
    if (first && *end == '\0' && end != text.c_str() + comma + 1) {
      if (planner::is_on_earth(point)) return point;
      return fail("plan.coordinates", fmt::format("{} is not on the Earth", printable(text)),
                  "latitudes are from -90 to 90, longitudes from -180 to 180");
    }
  }
  if (table) {
    if (const auto site = table->measured.site_named(text)) return table->measured.sites[*site].at;
  }
  if (const planner::Place* const place = planner::find_place(text); place != nullptr) return place->at;
  std::vector<std::string> known;
  for (const planner::Place& place : planner::known_places()) known.emplace_back(place.name);
  if (table) {
    for (const planner::Site& site : table->measured.sites) known.push_back(site.name);
  }
  const std::string guess = nearest(text, known);
  return fail("plan.coordinates", fmt::format("nobody knows where '{}' is", printable(text)),
              guess.empty() ? "give LATITUDE,LONGITUDE, a cloud region or a large city"
                            : fmt::format("did you mean '{}'?", guess));
}

Result<Ends> ends_of(const LatencyOptions& options, const std::optional<Table>& table) {
  Ends ends;
  if (options.distance_km) {
    ends.distance_km = *options.distance_km;
    return ends;
  }
  if (options.from.empty() || options.to.empty()) {
    return fail("plan.missing", "there is no way to look at", "give --from and --to, --distance, or --rtt");
  }
  Result<planner::Coordinates> from = point_of(options.from, table);
  if (!from) return std::unexpected(from.error());
  Result<planner::Coordinates> to = point_of(options.to, table);
  if (!to) return std::unexpected(to.error());
  ends.from = *from;
  ends.to = *to;
  if (table) {
    const auto site_of = [&](const std::string& text, const planner::Coordinates& at) {
      const std::optional<uint32_t> named = table->measured.site_named(text);
      return named ? named : table->measured.site_at(at);
    };
    ends.from_site = site_of(options.from, *from);
    ends.to_site = site_of(options.to, *to);
  }
  ends.distance_km = options.ellipsoid ? planner::ellipsoid_km(*from, *to) : planner::great_circle_km(*from, *to);
  return ends;
}

void append_prediction(planner::JsonText& json, std::string_view name, const planner::LatencyPrediction& prediction,
                       double distance_km) {
  json.key(name).open('{').member("distance_km", distance_km);
  json.member("one_way_floor_ms", prediction.one_way_floor_ms).member("propagation_ms", prediction.propagation_ms);
  json.member("access_ms", prediction.access_ms).member("transmission_ms", prediction.transmission_ms);
  json.member("compute_ms", prediction.compute_ms).member("queueing_ms", prediction.queueing_ms);
  json.member("total_ms", prediction.total_ms).member("p10_ms", prediction.p10_ms).member("p90_ms", prediction.p90_ms);
  json.member("confidence", prediction.confidence).member("load", prediction.load);
  json.member("saturated", prediction.is_saturated).member("measured", prediction.is_measured).close('}');
}

std::string_view faster_name(const planner::EdgeAgainstCloud& both) {
  return !both.advantage_ms ? "neither" : *both.advantage_ms > 0 ? "edge" : *both.advantage_ms < 0 ? "cloud" : "equal";
}

std::string verdict_of(const planner::EdgeAgainstCloud& both) {
  const std::string break_even = both.break_even_km ? shown(*both.break_even_km, 0) + " km" : "no distance";
  if (!both.advantage_ms) return "neither ever answers: both are saturated; raise --services and --edge-services\n";
  if (std::isinf(*both.advantage_ms)) {
    const bool edge_answers = *both.advantage_ms > 0;
    return fmt::format("only the {} answers: the {} is saturated; break-even at {}\n", edge_answers ? "edge" : "cloud",
                       edge_answers ? "cloud" : "edge", break_even);
  }
  return fmt::format("the edge is {} ms {}; break-even at {}\n", shown(std::abs(*both.advantage_ms), 2),
                     *both.advantage_ms >= 0 ? "faster" : "slower", break_even);
}

int predict(const LatencyOptions& options, const std::optional<Table>& table) {
  const Result<Ends> ends = ends_of(options, table);
  if (!ends) return print_plan_failure(ends.error());
  planner::LatencyQuery cloud{.distance_km = ends->distance_km,
                              .factor = 1,
                              .access_ms = options.access_ms,
                              .bytes = options.bytes,
                              .megabits_per_second = options.mbps,
                              .complexity = options.complexity,
                              .power = options.power,
                              .arrival_rate = options.arrivals,
                              .service_rate = options.services};
  const double floor = planner::round_trip_floor_ms(ends->distance_km);
  const std::optional<planner::Coordinates> from = ends->from;
  const std::optional<planner::Coordinates> to = ends->to;
  if (options.factor) {
    cloud.factor = *options.factor;
  } else if (table && from && to) {
    const planner::PredictedRoundTrip trip =
        ends->from_site == ends->to_site ? table->calibration.predict(*from, *to)
                                         : table->calibration.predict(*from, *to, ends->from_site, ends->to_site);
    cloud.factor = floor > 0 ? std::max(1.0, (trip.median_ms - options.access_ms) / floor) : 1;
    cloud.spread = std::log(std::max(1.0001, trip.p90_ms / trip.median_ms)) / 1.2815515655446004;
  } else if (floor > 0) {
    cloud.factor =
        std::max(1.0, (planner::uncalibrated_round_trip(ends->distance_km).median_ms - options.access_ms) / floor);
  }
  // What was measured replaces the model, unless it was asked what the model says with another factor.
  std::optional<double> measured = options.measured;
  const auto from_site = ends->from_site;
  const auto to_site = ends->to_site;
  if (!measured && !options.factor && table && from_site && to_site) {
    measured = table->measured.measured_ms(*from_site, *to_site);
  }
  if (measured) {
    if (*measured < floor) {
      return print_plan_failure(Error{
          "plan.impossible",
          fmt::format("{} ms is faster than light in glass, which needs {:.2f} ms there and back", *measured, floor),
          "correct the measurement, or where the two are"});
    }
    cloud.measured_ms = measured;
  }
  planner::LatencyQuery edge = cloud;
  edge.distance_km = options.edge_km.value_or(ends->distance_km * planner::kEdgeShareOfDistance);
  edge.measured_ms = {};
  edge.power = options.edge_power.value_or(options.power);
  edge.service_rate = options.edge_services.value_or(options.services);
  const planner::EdgeAgainstCloud both = planner::compare_edge(edge, cloud);

  planner::JsonText json;
  json.open('{').member("factor", cloud.factor);
  append_prediction(json, "cloud", both.cloud, cloud.distance_km);
  append_prediction(json, "edge", both.edge, edge.distance_km);
  json.member("advantage_ms", both.advantage_ms.value_or(std::nan(""))).member("faster", faster_name(both));
  json.key("break_even_km");
  json.value(both.break_even_km.value_or(std::nan(""))).close('}');
  TextTable text({"", "km", "floor ms", "network ms", "transmission", "compute", "queueing", "total ms", "p10", "p90",
                  "confidence"});
  for (const auto& [name, prediction, km] :
       {std::tuple("edge", both.edge, edge.distance_km), std::tuple("cloud", both.cloud, cloud.distance_km)}) {
    text.add({name, shown(km, 0), shown(2 * prediction.one_way_floor_ms, 2),
              shown(prediction.propagation_ms + prediction.access_ms, 2), shown(prediction.transmission_ms, 2),
              shown(prediction.compute_ms, 2), shown(prediction.queueing_ms, 2), shown(prediction.total_ms, 2),
              shown(prediction.p10_ms, 2), shown(prediction.p90_ms, 2), shown(prediction.confidence, 3)});
  }
  const std::string verdict = verdict_of(both);
  return print_plan(
      options.output,
      {.json = json.text(),
       .table = text.text() + verdict,
       .explanation = fmt::format(
           "one-way floor = {:.1f} km / (299792.458 km/s / 1.5); round trip = 2 x floor x {:.3f} + access {:g} ms\n"
           "transmission = 8 x bytes / (Mbit/s x 10^6) x 1000; compute = complexity / power; queueing = 1/(mu - "
           "lambda)\n"
           "confidence = 0.85 + (1 - load) x 0.1; the edge is {} of the cloud's distance away unless --edge-distance "
           "says so\n",
           cloud.distance_km, cloud.factor, cloud.access_ms, planner::kEdgeShareOfDistance),
       .picture = [&] {
         if (ends->from) {
           return planner::draw_map("The way", {{*ends->from, options.from}, {*ends->to, options.to, 1}},
                                    {{*ends->from, *ends->to}});
         }
         return planner::draw_bars("Latency", "ms",
                                   {{"edge", both.edge.total_ms, 0}, {"cloud", both.cloud.total_ms, 1}});
       }});
}

int run_latency(const LatencyOptions& options) {
  std::optional<Table> table;
  if (!options.rtt.empty()) {
    Result<Table> read = read_table(options);
    if (!read) return print_plan_failure(read.error());
    table = std::move(*read);
    if (options.from.empty() && options.to.empty() && !options.distance_km) return validate(options, *table);
  }
  return predict(options, table);
}

}  // namespace

void add_plan_latency(Command& plan, Outcome& outcome) {
  const auto options = std::make_shared<LatencyOptions>();
  Command* command =
      plan.add_command("latency", "Predict round trips, edge against cloud, by physics and measurements");
  const auto positive = between<double>(0.0, 1e12);
  command->add_option("--from", options->from, "LATITUDE,LONGITUDE, a cloud region or a large city")
      ->type_name("PLACE");
  command->add_option("--to", options->to, "Likewise: the cloud")->type_name("PLACE");
  command->add_option("--distance", options->distance_km, "Instead of two places: km to the cloud")
      ->check(between<double>(0.0, 20038.0));
  command->add_option("--edge-distance", options->edge_km, "km to the edge; a tenth of the cloud's by default")
      ->check(between<double>(0.0, 20038.0));
  command->add_flag("--ellipsoid", options->ellipsoid, "Distances on WGS 84 instead of a sphere");
  command
      ->add_option("--factor", options->factor,
                   "The way's length over the great circle's; calibrated, or usual, by default")
      ->check(between<double>(1.0, 100.0));
  command->add_option("--access", options->access_ms, "ms that both ends' access takes")
      ->check(positive)
      ->capture_default_str();
  command->add_option("--bytes", options->bytes, "That are sent")->check(positive)->capture_default_str();
  command->add_option("--mbps", options->mbps, "Over a line so fast")
      ->check(between<double>(1e-6, 1e9))
      ->capture_default_str();
  command->add_option("--complexity", options->complexity, "Of the computation")
      ->check(positive)
      ->capture_default_str();
  command->add_option("--power", options->power, "Complexity that the cloud does in a ms")
      ->check(between<double>(1e-9, 1e12))
      ->capture_default_str();
  command->add_option("--edge-power", options->edge_power, "And the edge; as the cloud by default")
      ->check(between<double>(1e-9, 1e12));
  command->add_option("--arrivals", options->arrivals, "Requests a second")->check(positive)->capture_default_str();
  command->add_option("--services", options->services, "That a second serves; 0: no queue")
      ->check(positive)
      ->capture_default_str();
  command->add_option("--edge-services", options->edge_services, "At the edge; as the cloud by default")
      ->check(positive);
  command->add_option("--measured", options->measured, "A measured round trip to the cloud, which replaces the model's")
      ->check(positive);
  command
      ->add_option("--rtt", options->rtt,
                   "A directory of measurements, a file a source: calibrates; alone, it is cross-validated")
      ->type_name("DIR");
  command->add_option("--sites", options->sites, "Where the measured sites are: name,lat,lon; cloud regions are known")
      ->type_name("FILE")
      ->needs("--rtt");
  add_plan_output(*command, options->output);
  set_examples(*command,
               "  verge plan latency --from 'Cape Town' --to eu-west-2 --bytes 100000 --mbps 50\n"
               "  verge plan latency --distance 5000 --complexity 20 --edge-power 0.5 --explain\n"
               "  verge plan latency --rtt measurements/ --sites sites.csv --json\n");
  command->callback([&outcome, options] { outcome.run = [options] { return run_latency(*options); }; });
}

}  // namespace verge::cli
