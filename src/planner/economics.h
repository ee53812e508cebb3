// Is an edge worth its money? Dollars, over five years of 365 days.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace verge::planner {

inline constexpr double kDaysPerYear = 365;

struct EconomicsInput {
  double nodes = 10;
  double cost_per_node = 50'000;
  double operations_per_year = 0;         // running costs
  double gigabytes_saved_per_day = 1000;  // that no longer go to the cloud
  double price_per_gigabyte = 0.10;
  double cloud_hours_saved_per_day = 100;
  double price_per_cloud_hour = 0.05;
  double availability_gain_percent = 0;            // points of a percent
  double worth_of_availability_percent = 100'000;  // a year, for 1 %
  double latency_gain_ms = 0;
  std::string use_case;                // chooses the worth of a millisecond
  std::optional<double> worth_per_ms;  // a year; given, it replaces the use case's
  double years = 5;
  double requests_per_day = 0;
};

// $ a year for each ms saved: 1000 autonomous-vehicle, 100 ar-vr, 500 industrial, 50 video, 200 city, 100 otherwise.
double worth_of_millisecond(std::string_view use_case);

struct EconomicsAnswer {
  double investment = 0;
  double bandwidth_savings_per_year = 0;
  double cloud_savings_per_year = 0;
  double latency_benefit_per_year = 0;
  double availability_benefit_per_year = 0;
  double operations_per_year = 0;
  double savings = 0;   // of all years: bandwidth and cloud, less operations
  double benefits = 0;  // of all years: latency and availability
  // (benefits - investment) / investment; nothing without an investment.
  std::optional<double> simple_roi;
  // (benefits + savings - investment) / investment: the one that counts.
  std::optional<double> roi;
  std::optional<double> payback_months;    // nothing: never
  std::optional<double> cost_per_request;  // investment and operations over all requests of the years
};

EconomicsAnswer assess(const EconomicsInput& input);

struct Sensitivity {
  std::string input;
  double roi_lower = 0;  // with the input a tenth smaller
  double roi_higher = 0;
  double swing = 0;  // the distance between the two
};
// Each input a tenth lower and higher; what matters most first.
std::vector<Sensitivity> sensitivities(const EconomicsInput& input);

}  // namespace verge::planner
