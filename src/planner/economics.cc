#include "planner/economics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace verge::planner {

namespace {

constexpr double kStep = 0.1;  // of an input, for its sensitivity

constexpr std::array<std::pair<std::string_view, double>, 5> kWorths = {
    {{"autonomous-vehicle", 1000}, {"ar-vr", 100}, {"industrial", 500}, {"video", 50}, {"city", 200}}};
constexpr double kOtherWorth = 100;

}  // namespace

double worth_of_millisecond(std::string_view use_case) {
  const auto* const found = std::ranges::find(kWorths, use_case, &std::pair<std::string_view, double>::first);
  return found == kWorths.end() ? kOtherWorth : found->second;
}

EconomicsAnswer assess(const EconomicsInput& input) {
  EconomicsAnswer answer;
  answer.investment = input.nodes * input.cost_per_node;
  answer.operations_per_year = input.operations_per_year;
  answer.bandwidth_savings_per_year = input.gigabytes_saved_per_day * input.price_per_gigabyte * kDaysPerYear;
  answer.cloud_savings_per_year = input.cloud_hours_saved_per_day * input.price_per_cloud_hour * kDaysPerYear;
  answer.latency_benefit_per_year =
      input.latency_gain_ms * input.worth_per_ms.value_or(worth_of_millisecond(input.use_case));
  answer.availability_benefit_per_year = input.availability_gain_percent * input.worth_of_availability_percent;
  answer.savings =
      (answer.bandwidth_savings_per_year + answer.cloud_savings_per_year - input.operations_per_year) * input.years;
  answer.benefits = (answer.latency_benefit_per_year + answer.availability_benefit_per_year) * input.years;
  if (answer.investment > 0) {
    answer.simple_roi = (answer.benefits - answer.investment) / answer.investment;
    answer.roi = (answer.benefits + answer.savings - answer.investment) / answer.investment;
  }
  const double per_month = input.years > 0 ? (answer.benefits + answer.savings) / input.years / 12 : 0;
  if (answer.investment <= 0) {
    answer.payback_months = 0;
  } else if (per_month > 0) {
    answer.payback_months = answer.investment / per_month;
  }
  const double requests = input.requests_per_day * kDaysPerYear * input.years;
  if (requests > 0) {
    answer.cost_per_request = (answer.investment + input.operations_per_year * input.years) / requests;
  }
  return answer;
}

std::vector<Sensitivity> sensitivities(const EconomicsInput& input) {
  struct Named {
    const char* name;
    double EconomicsInput::* member;
  };
  constexpr std::array kInputs = {
      Named{"nodes", &EconomicsInput::nodes},
      Named{"cost_per_node", &EconomicsInput::cost_per_node},
      Named{"operations_per_year", &EconomicsInput::operations_per_year},
      Named{"gigabytes_saved_per_day", &EconomicsInput::gigabytes_saved_per_day},
      Named{"price_per_gigabyte", &EconomicsInput::price_per_gigabyte},
      Named{"cloud_hours_saved_per_day", &EconomicsInput::cloud_hours_saved_per_day},
      Named{"price_per_cloud_hour", &EconomicsInput::price_per_cloud_hour},
      Named{"latency_gain_ms", &EconomicsInput::latency_gain_ms},
      Named{"availability_gain_percent", &EconomicsInput::availability_gain_percent},
      Named{"worth_of_availability_percent", &EconomicsInput::worth_of_availability_percent},
      Named{"years", &EconomicsInput::years},
  };
  std::vector<Sensitivity> answer;
  const auto roi_with = [&](const Named& named, double factor) {
    EconomicsInput changed = input;
    changed.*named.member *= factor;
    return assess(changed).roi.value_or(0);
  };
  for (const Named& named : kInputs) {
    Sensitivity one{
        .input = named.name, .roi_lower = roi_with(named, 1 - kStep), .roi_higher = roi_with(named, 1 + kStep)};
    one.swing = std::abs(one.roi_higher - one.roi_lower);
    answer.push_back(std::move(one));
  }
  EconomicsInput lower = input;
  EconomicsInput higher = input;
  const double worth = input.worth_per_ms.value_or(worth_of_millisecond(input.use_case));
  lower.worth_per_ms = worth * (1 - kStep);
  higher.worth_per_ms = worth * (1 + kStep);
  Sensitivity one{.input = "worth_per_ms",
                  .roi_lower = assess(lower).roi.value_or(0),
                  .roi_higher = assess(higher).roi.value_or(0)};
  one.swing = std::abs(one.roi_higher - one.roi_lower);
  answer.push_back(std::move(one));
  std::ranges::sort(answer, [](const Sensitivity& a, const Sensitivity& b) {
    return a.swing != b.swing ? a.swing > b.swing : a.input < b.input;
  });
  return answer;
}

}  // namespace verge::planner
