#include "cli/plan_figures.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "cli/plan_files.h"
#include "cli/plan_output.h"

namespace verge::cli {

namespace {

std::string option_of(const Figure& figure) {
  std::string name = "--" + figure.key;
  std::ranges::replace(name, '_', '-');
  return name;
}

Result<void> read_field(const planner::Record& record, const planner::Field& field, const Figure& figure) {
  const auto wrong = [&](std::string_view kind) {
    return fail("plan.value", fmt::format("{}:{}: '{}' is no {}", record.file, field.line, field.key, kind),
                fmt::format("write a {}", kind));
  };
  if (double* const* number = std::get_if<double*>(&figure.into)) {
    const Result<double> value = planner::number_in(record, field, figure.least, figure.most);
    if (!value) return std::unexpected(value.error());
    **number = *value;
  } else if (bool* const* yes = std::get_if<bool*>(&figure.into)) {
    const bool* const value = std::get_if<bool>(&field.value);
    if (value == nullptr) return wrong("truth value (true or false)");
    **yes = *value;
  } else {
    const std::string* const value = std::get_if<std::string>(&field.value);
    if (value == nullptr) return wrong("string");
    const std::vector<std::string>& allowed = figure.words_allowed;
    if (!allowed.empty() && std::ranges::find(allowed, *value) == allowed.end()) {
      return fail("plan.value",
                  fmt::format("{}:{}: '{}' is '{}'", record.file, field.line, field.key, printable(*value)),
                  fmt::format("it is one of {}", fmt::join(allowed, ", ")));
    }
    **std::get_if<std::string*>(&figure.into) = *value;
  }
  return {};
}

}  // namespace

Result<void> read_figures(const std::vector<std::string>& files, const std::string& kind,
                          const std::vector<Figure>& figures) {
  if (files.empty()) return {};
  const Result<planner::PlanDocument> plan =
      read_plan_files({.plans = files, .nodes = {}, .users = {}, .workloads = {}});
  if (!plan) return std::unexpected(plan.error());
  for (const planner::Record& record : plan->others) {
    if (record.kind != kind) continue;
    for (const planner::Field& field : record.fields) {
      const auto figure = std::ranges::find(figures, field.key, &Figure::key);
      if (figure == figures.end()) {
        std::vector<std::string> known;
        for (const Figure& each : figures) known.push_back(each.key);
        const std::string guess = nearest(field.key, known);
        return fail("plan.unknown-key",
                    fmt::format("{}:{}: [{}] has no '{}'", record.file, field.line, kind, printable(field.key)),
                    guess.empty() ? fmt::format("it has {}", fmt::join(known, ", "))
                                  : fmt::format("did you mean '{}'?", guess));
      }
      if (Result<void> done = read_field(record, field, *figure); !done) return done;
    }
  }
  return {};
}

void add_figures(Command& command, const std::vector<Figure>& figures) {
  for (const Figure& figure : figures) {
    if (double* const* number = std::get_if<double*>(&figure.into)) {
      command.add_option(option_of(figure), **number, figure.words)
          ->check(between<double>(figure.least, figure.most))
          ->capture_default_str();
    } else if (bool* const* yes = std::get_if<bool*>(&figure.into)) {
      command.add_option(option_of(figure), **yes, figure.words)->type_name("true|false")->capture_default_str();
    } else {
      Option* const option =
          command.add_option(option_of(figure), **std::get_if<std::string*>(&figure.into), figure.words);
      if (!figure.words_allowed.empty()) option->check(one_of(figure.words_allowed));
    }
  }
}

void apply_typed(const Command& command, const std::vector<Figure>& typed, const std::vector<Figure>& into) {
  for (size_t i = 0; i < typed.size(); ++i) {
    if (command.count(option_of(typed[i])) == 0) continue;
    std::visit([&](auto* to) { *to = *std::get<decltype(to)>(typed[i].into); }, into[i].into);
  }
}

}  // namespace verge::cli
