#include "planner/gap_file.h"

#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/format.h>

namespace verge::planner {

namespace {

constexpr double kAgentsMax = 10'000;
constexpr double kJobsMax = 1'000'000;
constexpr double kPairsMax = 50'000'000;

class Numbers {
 public:
  Numbers(std::string_view text, std::string_view name) : text_(text), name_(name) {}

  Result<double> next(std::string_view what, double least) {
    skip_blanks();
    if (at_ == text_.size()) return wrong(fmt::format("the file ends where {} should be", what), "is it whole?");
    const size_t end = std::min(text_.find_first_of(" \t\r\n,", at_), text_.size());
    const std::string_view word = text_.substr(at_, end - at_);
    double number = 0;
    const auto [rest, problem] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (problem != std::errc() || rest != word.data() + word.size() || !std::isfinite(number)) {
      return wrong(fmt::format("'{}' is no number where {} should be", word.substr(0, 40), what),
                   "the file holds numbers only: agents, jobs, costs, weights, capacities");
    }
    if (number < least) {
      return wrong(fmt::format("{} is {}, below {}", what, number, least), "no weight or capacity is negative");
    }
    at_ = end;
    return number;
  }

  Result<size_t> count(std::string_view what, double most) {
    const Result<double> number = next(what, 1);
    if (!number) return std::unexpected(number.error());
    if (*number != std::floor(*number) || *number > most) {
      return wrong(fmt::format("{} is {}", what, *number), fmt::format("it is a whole number from 1 to {}", most));
    }
    return static_cast<size_t>(*number);
  }

  Result<void> end() {
    skip_blanks();
    if (at_ == text_.size()) return {};
    return wrong("there is more after the last capacity",
                 "one instance a file; are agents and jobs the right way round?");
  }

  // The line of the next number.
  size_t next_line() {
    skip_blanks();
    return line_;
  }

  std::unexpected<Error> wrong(std::string what, std::string fix) const {
    return fail("plan.gap-file", fmt::format("{}:{}: {}", name_, line_, what), std::move(fix));
  }

 private:
  void skip_blanks() {
    for (; at_ < text_.size() && std::string_view(" \t\r\n,").contains(text_[at_]); ++at_) {
      line_ += text_[at_] == '\n' ? 1 : 0;
    }
  }

  std::string_view text_;
  std::string_view name_;
  size_t at_ = 0;
  size_t line_ = 1;
};

}  // namespace

Result<AssignmentProblem> parse_gap(std::string_view text, std::string_view name, size_t* capacities_line) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  Numbers numbers(text, name);
  AssignmentProblem problem;
  const Result<size_t> agents = numbers.count("the number of agents", kAgentsMax);
  if (!agents) return std::unexpected(agents.error());
  const Result<size_t> jobs = numbers.count("the number of jobs", kJobsMax);
  if (!jobs) return std::unexpected(jobs.error());
  if (static_cast<double>(*agents) * static_cast<double>(*jobs) > kPairsMax) {
    return numbers.wrong(fmt::format("{} agents and {} jobs are too many", *agents, *jobs), "at most 50,000,000 pairs");
  }
  problem.agents = *agents;
  problem.jobs = *jobs;
  const auto read = [&](std::vector<double>& into, size_t count, size_t width, std::string_view what,
                        double least) -> Result<void> {
    for (size_t i = 0; i < count; ++i) {
      const Result<double> number = numbers.next(
          width == 1 ? fmt::format("{} {}", what, i) : fmt::format("{} {} of agent {}", what, i % width, i / width),
          least);
      if (!number) return std::unexpected(number.error());
      into.push_back(*number);
    }
    return {};
  };
  const size_t pairs = problem.agents * problem.jobs;
  Result<void> done = read(problem.cost, pairs, problem.jobs, "the cost of job", -1e15);
  if (done) done = read(problem.weight, pairs, problem.jobs, "the weight of job", 0);
  if (done && capacities_line != nullptr) *capacities_line = numbers.next_line();
  if (done) done = read(problem.capacity, problem.agents, 1, "the capacity of agent", 0);
  if (done) done = numbers.end();
  if (!done) return std::unexpected(done.error());
  return problem;
}

}  // namespace verge::planner
