#include "planner/exact.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "planner/cbc_library.h"
#include "planner/conflict.h"

namespace verge::planner {

namespace {

constexpr double kSearchShare = 0.3;  // of the time: what the anytime mode gets
constexpr double kSearchSecondsMax = 6;
constexpr double kProofSecondsMax = 10;  // that some jobs do not fit together

struct Variable {
  uint32_t agent;
  uint32_t job;
};

// A model of CBC and the variables that its columns stand for.
class Core {
 public:
  Core(const CbcLibrary& library, const AssignmentProblem& problem)
      : library_(library), problem_(problem), model_(library.Cbc_newModel()) {
    library_.Cbc_setLogLevel(model_, 0);
    library_.Cbc_setParameter(model_, "log", "0");
  }
  ~Core() { library_.Cbc_deleteModel(model_); }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void build(const std::vector<double>& bounds, double below) {
    column_of_.assign(problem_.agents * problem_.jobs, -1);
    for (uint32_t agent = 0; agent < problem_.agents; ++agent) {
      for (uint32_t job = 0; job < problem_.jobs; ++job) {
        const double cost = problem_.cost_of(agent, job);
        if (!std::isfinite(cost) || bounds[agent * problem_.jobs + job] >= below) continue;
        column_of_[agent * problem_.jobs + job] = static_cast<int>(variables_.size());
        variables_.push_back({agent, job});
        library_.Cbc_addCol(model_, "", 0, 1, cost, 1, 0, nullptr, nullptr);
      }
    }
    columns_ = static_cast<int>(variables_.size());
    if (!problem_.opening.empty()) {
      for (uint32_t agent = 0; agent < problem_.agents; ++agent) {
        library_.Cbc_addCol(model_, "", 0, 1, problem_.opening_of(agent), 1, 0, nullptr, nullptr);
      }
    }
    add_rows();
  }

  // Nothing when there is none below the cut-off, or none was found in time.
  std::optional<Assignment> solve(double seconds, double below) {
    if (std::isfinite(below)) library_.Cbc_setCutoff(model_, below);
    library_.Cbc_setMaximumSeconds(model_, seconds);
    library_.Cbc_setParameter(model_, "seconds", fmt::format("{:.2f}", seconds).c_str());
    if (std::isfinite(below)) library_.Cbc_setParameter(model_, "cutoff", fmt::format("{:.9g}", below).c_str());
    library_.Cbc_setParameter(model_, "ratioGap", "0");
    library_.Cbc_setParameter(model_, "allowableGap", "0");
    library_.Cbc_solve(model_);
    const double* const solution =
        library_.Cbc_numberSavedSolutions(model_) > 0 ? library_.Cbc_bestSolution(model_) : nullptr;
    if (solution == nullptr) return {};
    Assignment assignment(problem_.jobs, kUnassigned);
    for (int column = 0; column < columns_; ++column) {
      if (solution[column] > 0.5)
        assignment[variables_[static_cast<size_t>(column)].job] = variables_[static_cast<size_t>(column)].agent;
    }
    return assignment;
  }

  [[nodiscard]] bool is_settled() const {
    return library_.Cbc_isProvenOptimal(model_) != 0 || library_.Cbc_isProvenInfeasible(model_) != 0;
  }
  [[nodiscard]] bool is_infeasible() const { return library_.Cbc_isProvenInfeasible(model_) != 0; }
  [[nodiscard]] double bound() const { return library_.Cbc_getBestPossibleObjValue(model_); }

 private:
  void add_row(char sense, double right) {
    library_.Cbc_addRow(model_, "", static_cast<int>(names_.size()), names_.data(), factors_.data(), sense, right);
    names_.clear();
    factors_.clear();
  }
  void add_term(int column, double factor) {
    if (column < 0 || factor == 0) return;
    names_.push_back(column);
    factors_.push_back(factor);
  }
  [[nodiscard]] int column(size_t agent, size_t job) const { return column_of_[agent * problem_.jobs + job]; }

  void add_rows() {
    for (size_t job = 0; job < problem_.jobs; ++job) {
      for (size_t agent = 0; agent < problem_.agents; ++agent) add_term(column(agent, job), 1);
      add_row('E', 1);
    }
    for (size_t resource = 0; resource < problem_.resources; ++resource) {
      for (size_t agent = 0; agent < problem_.agents; ++agent) {
        for (size_t job = 0; job < problem_.jobs; ++job) {
          add_term(column(agent, job), problem_.weight_of(resource, agent, job));
        }
        add_row('L', problem_.capacity_of(resource, agent));
      }
    }
    if (!problem_.opening.empty()) {
      for (size_t agent = 0; agent < problem_.agents; ++agent) {
        for (size_t job = 0; job < problem_.jobs; ++job) {
          if (column(agent, job) < 0) continue;
          add_term(column(agent, job), 1);
          add_term(columns_ + static_cast<int>(agent), -1);
          add_row('L', 0);
        }
      }
    }
    for (const Spread& spread : problem_.spreads) {
      for (uint32_t domain = 0; domain < spread.domains; ++domain) {
        for (size_t agent = 0; agent < problem_.agents; ++agent) {
          if (spread.domain_of_agent[agent] != domain) continue;
          for (const uint32_t job : spread.jobs) add_term(column(agent, job), 1);
        }
        if (names_.size() > spread.most) add_row('L', spread.most);
        names_.clear();
        factors_.clear();
      }
    }
  }

  const CbcLibrary& library_;
  const AssignmentProblem& problem_;
  Cbc_Model* model_;
  std::vector<Variable> variables_;
  std::vector<int> column_of_;
  int columns_ = 0;
  std::vector<int> names_;
  std::vector<double> factors_;
};

// Jobs that CBC proves not to fit together, without those that the proof does without. Costs do not matter for that.
std::vector<uint32_t> jobs_in_conflict(const CbcLibrary& library, const AssignmentProblem& problem,
                                       std::chrono::steady_clock::time_point end) {
  std::vector<uint32_t> jobs(problem.jobs);
  std::iota(jobs.begin(), jobs.end(), 0U);
  const std::vector<bool> heeded(problem.resources, true);
  const auto is_impossible = [&](const std::vector<uint32_t>& some) {
    AssignmentProblem fewer = restricted(problem, some, heeded, true);
    fewer.opening.clear();
    for (double& cost : fewer.cost) cost = std::isfinite(cost) ? 0 : kForbidden;
    const std::chrono::duration<double> left = end - std::chrono::steady_clock::now();
    Core core(library, fewer);
    core.build(std::vector<double>(fewer.agents * fewer.jobs, 0), kForbidden);
    return !core.solve(std::clamp(left.count(), 0.1, kProofSecondsMax), kForbidden) && core.is_infeasible();
  };
  return without_spare_jobs(std::move(jobs), is_impossible, end);
}

}  // namespace

Result<AnytimeAnswer> solve_exactly(const AssignmentProblem& problem, const AnytimeOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  Result<std::unique_ptr<CbcLibrary>> library = CbcLibrary::load();
  if (!library) return std::unexpected(library.error());
  AnytimeOptions first = options;
  first.time = std::min(options.time * kSearchShare, std::chrono::duration<double>(kSearchSecondsMax));
  AnytimeAnswer answer = solve_anytime(problem, first);
  if (answer.is_optimal || answer.bounds_when_assigned.empty()) return answer;
  const bool whole = problem.has_whole_costs();
  // Something better is better by one where costs are whole numbers.
  const double below = !answer.is_feasible ? kForbidden : whole ? answer.value - 1 + 1e-6 : answer.value * (1 - 1e-9);
  Core core(**library, problem);
  core.build(answer.bounds_when_assigned, whole && answer.is_feasible ? below : answer.value);
  const std::chrono::duration<double> left = options.time - (std::chrono::steady_clock::now() - start);
  std::optional<Assignment> better = core.solve(std::max(0.1, left.count()), below);
  if (better && is_feasible(problem, *better)) {
    const double value = value_of_assignment(problem, *better);
    if (value < answer.value) {
      answer.value = value;
      answer.assignment = std::move(*better);
      answer.is_feasible = true;
    }
  }
  if (!answer.is_feasible && core.is_infeasible()) {
    answer.is_proven_infeasible = true;
    const auto end = start + std::chrono::duration_cast<std::chrono::steady_clock::duration>(options.time);
    answer.conflicting_jobs = jobs_in_conflict(**library, problem, end);
  } else if (core.is_settled()) {
    answer.is_optimal = answer.is_feasible;
    if (answer.is_feasible) answer.bound = answer.value;
  } else if (const double bound = whole ? std::ceil(core.bound() - 1e-6) : core.bound(); std::isfinite(bound)) {
    // The core's bound is about assignments below the best known; others are not below that.
    answer.bound = std::max(answer.bound, std::min(bound, answer.value));
  }
  return answer;
}

}  // namespace verge::planner
