// verge plan roi: is an edge worth its money?
#include <cmath>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/plan_commands.h"
#include "cli/plan_figures.h"
#include "cli/plan_output.h"
#include "planner/drawing.h"
#include "planner/economics.h"
#include "planner/json_text.h"

namespace verge::cli {

namespace {

struct RoiOptions {
  std::vector<std::string> files;
  PlanOutput output;
  planner::EconomicsInput input;
  double worth_per_ms = 0;  // 0: the use case's
};

std::vector<Figure> figures_of(RoiOptions& options) {
  planner::EconomicsInput& input = options.input;
  return {{"nodes", "Edge nodes", &input.nodes},
          {"cost_per_node", "Dollars for one", &input.cost_per_node},
          {"operations_per_year", "Dollars a year to run them", &input.operations_per_year},
          {"gigabytes_saved_per_day", "That no longer go to the cloud", &input.gigabytes_saved_per_day},
          {"price_per_gigabyte", "Dollars", &input.price_per_gigabyte},
          {"cloud_hours_saved_per_day", "Hours of machines that the cloud no longer runs",
           &input.cloud_hours_saved_per_day},
          {"price_per_cloud_hour", "Dollars", &input.price_per_cloud_hour},
          {"availability_gain_percent", "Points of a percent that availability gains", &input.availability_gain_percent,
           0, 100},
          {"worth_of_availability_percent", "Dollars a year for one of them", &input.worth_of_availability_percent},
          {"latency_gain_ms", "ms that requests are faster", &input.latency_gain_ms},
          {"use_case",
           "autonomous-vehicle, ar-vr, industrial, video, city; anything else counts as other: what a ms is worth",
           &input.use_case},
          {"worth_per_ms", "Dollars a year for a ms, instead of the use case's", &options.worth_per_ms},
          {"years", "Over which it is counted, of 365 days", &input.years, 0.01, 100},
          {"requests_per_day", "For the cost of one", &input.requests_per_day}};
}

std::string percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.1f} %", *share * 100) : "no investment";
}

int run_roi(RoiOptions& options) {
  planner::EconomicsInput& input = options.input;
  if (options.worth_per_ms > 0) input.worth_per_ms = options.worth_per_ms;
  const planner::EconomicsAnswer answer = planner::assess(input);
  const std::vector<planner::Sensitivity> sensitivities = planner::sensitivities(input);
  const double none = std::nan("");
  planner::JsonText json;
  json.open('{')
      .member("investment", answer.investment)
      .member("savings", answer.savings)
      .member("benefits", answer.benefits);
  json.member("bandwidth_savings_per_year", answer.bandwidth_savings_per_year);
  json.member("cloud_savings_per_year", answer.cloud_savings_per_year);
  json.member("latency_benefit_per_year", answer.latency_benefit_per_year);
  json.member("availability_benefit_per_year", answer.availability_benefit_per_year);
  json.member("operations_per_year", answer.operations_per_year).member("years", input.years);
  json.member("payback_months", answer.payback_months.value_or(none)).member("roi", answer.roi.value_or(none));
  json.member("roi_percent", answer.roi ? *answer.roi * 100 : none)
      .member("simple_roi", answer.simple_roi.value_or(none));
  json.member("cost_per_request", answer.cost_per_request.value_or(none)).key("sensitivity").open('[');
  for (const planner::Sensitivity& one : sensitivities) {
    json.open('{').member("input", one.input).member("roi_lower", one.roi_lower).member("roi_higher", one.roi_higher);
    json.member("swing", one.swing).close('}');
  }
  json.close(']').close('}');
  TextTable table({"", "dollars"});
  table.add({"investment", shown(answer.investment, 0)});
  table.add({"bandwidth saved a year", shown(answer.bandwidth_savings_per_year, 0)});
  table.add({"cloud saved a year", shown(answer.cloud_savings_per_year, 0)});
  table.add({"latency's worth a year", shown(answer.latency_benefit_per_year, 0)});
  table.add({"availability's worth a year", shown(answer.availability_benefit_per_year, 0)});
  table.add({"operations a year", shown(answer.operations_per_year, 0)});
  std::string text = table.text();
  text += fmt::format("\npayback {}; ROI over {:g} years {}; what matters most: {}\n",
                      answer.payback_months ? fmt::format("after {:.1f} months", *answer.payback_months) : "never",
                      input.years, percent(answer.roi), sensitivities.front().input);
  if (answer.cost_per_request) text += fmt::format("a request costs ${:.3g}\n", *answer.cost_per_request);
  std::string explanation = fmt::format(
      "simple ROI = (benefits - investment) / investment = ({:.0f} - {:.0f}) / {:.0f} = {}\n"
      "ROI that counts savings too = (benefits + savings - investment) / investment = {}\n",
      answer.benefits, answer.investment, answer.investment, percent(answer.simple_roi), percent(answer.roi));
  for (const planner::Sensitivity& one : sensitivities) {
    explanation += fmt::format("{} a tenth lower: ROI {:.1f} %, a tenth higher: {:.1f} %\n", one.input,
                               one.roi_lower * 100, one.roi_higher * 100);
  }
  return print_plan(options.output, {.json = json.text(), .table = text, .explanation = explanation, .picture = [&] {
                                       std::vector<planner::Bar> bars;
                                       for (const planner::Sensitivity& one : sensitivities)
                                         bars.push_back({one.input, one.swing * 100, 0});
                                       return planner::draw_bars(
                                           "What the ROI depends on: swing for a tenth either way", "points", bars);
                                     }});
}

}  // namespace

void add_plan_roi(Command& plan, Outcome& outcome) {
  const auto options = std::make_shared<RoiOptions>();
  Command* command = plan.add_command("roi", "What an edge costs and brings: payback, ROI, what it depends on");
  command->add_option("PLAN", options->files, "Files with a table [roi]; options come after them");
  add_figures(*command, figures_of(*options));
  add_plan_output(*command, options->output);
  set_examples(*command,
               "  verge plan roi --nodes 20 --latency-gain-ms 30 --use-case industrial --explain\n"
               "  verge plan roi examples/plan/city.toml --json\n");
  command->callback([&outcome, options, command] {
    outcome.run = [options, command] {
      // What the command line says comes after what files say: it is parsed again over them.
      const planner::EconomicsInput given = options->input;
      const double worth = options->worth_per_ms;
      RoiOptions read;
      read.output = options->output;
      const std::vector<Figure> targets = figures_of(read);
      if (Result<void> done = read_figures(options->files, "roi", targets); !done)
        return print_plan_failure(done.error());
      RoiOptions typed;
      typed.input = given;
      typed.worth_per_ms = worth;
      apply_typed(*command, figures_of(typed), targets);
      return run_roi(read);
    };
  });
}

}  // namespace verge::cli
