#include "planner/lagrangian_dive.h"

#include <algorithm>
#include <cmath>

namespace verge::planner {

namespace {

constexpr double kCapacityMax = 4096;
constexpr double kCellsMax = 3e8;
constexpr int kFirstSteps = 60;
constexpr int kSteps = 24;
constexpr float kFresh = 0.15F;   // what the last solution counts in the shares
constexpr float kSure = 0.8F;     // a share from which pairs are settled many at a time
constexpr double kAtOnce = 0.12;  // of the open jobs
constexpr size_t kFewJobs = 12;   // left open: one choice at a time
constexpr float kNoise = 0.15F;   // of the shares, so that no two dives are the same
constexpr int kIdleMax = 5;       // steps without a better bound before they are made shorter
constexpr double kShorter = 0.6;
constexpr double kMemory = 0.3;     // of the direction before
constexpr double kReachMin = 5e-6;  // of the target: what a step tries to gain at least
constexpr double kLittle = 1e-6;

}  // namespace

bool LagrangianDive::suits(const AssignmentProblem& problem) {
  if (problem.resources != 1 || !problem.opening.empty() || !problem.spreads.empty()) return false;
  const auto fits = [](double number) { return number == std::floor(number) && number >= 0; };
  const auto small = [&](double capacity) { return fits(capacity) && capacity <= kCapacityMax; };
  if (!std::ranges::all_of(problem.capacity, small) || cells(problem) > kCellsMax) return false;
  return std::ranges::all_of(problem.weight, fits);
}

double LagrangianDive::cells(const AssignmentProblem& problem) {
  double cells = 0;
  for (const double capacity : problem.capacity) cells += (capacity + 1) * static_cast<double>(problem.jobs);
  return cells;
}

LagrangianDive::LagrangianDive(const AssignmentProblem& problem, std::span<const double> prices, uint64_t seed,
                               const std::atomic<bool>& stop)
    : agents_(problem.agents),
      jobs_(problem.jobs),
      stop_(stop),
      random_(seed),
      cost_(problem.cost),
      weight_(problem.weight.size()),
      first_prices_(prices.begin(), prices.end()),
      prices_(first_prices_),
      direction_(jobs_, 0),
      state_(agents_ * jobs_),
      of_agent_(agents_),
      share_(agents_ * jobs_),
      times_(jobs_) {
  for (size_t i = 0; i < weight_.size(); ++i) weight_[i] = static_cast<uint32_t>(std::min(problem.weight[i], 1e9));
  for (size_t agent = 0; agent < agents_; ++agent) {
    capacity_.push_back(static_cast<size_t>(problem.capacity_of(0, agent)));
  }
}

void LagrangianDive::restart() {
  std::ranges::fill(state_, State::kOpen);
  std::ranges::fill(share_, 0.F);
  std::ranges::fill(direction_, 0);
  agent_of_.assign(jobs_, kUnassigned);
  ways_.assign(jobs_, static_cast<uint32_t>(agents_));
  prices_ = first_prices_;
  trail_.clear();
  settled_cost_ = 0;
  for (uint32_t agent = 0; agent < agents_; ++agent) {
    of_agent_[agent].room = capacity_[agent];
    of_agent_[agent].open.clear();
    for (uint32_t job = 0; job < jobs_; ++job) {
      if (std::isfinite(cost_[at(agent, job)]) && weight_[at(agent, job)] <= capacity_[agent]) {
        of_agent_[agent].open.push_back(job);
      } else {
        state_[at(agent, job)] = State::kOut;
        --ways_[job];
      }
    }
  }
}

bool LagrangianDive::rule_out(uint32_t agent, uint32_t job) {
  if (state_[at(agent, job)] != State::kOpen) return true;
  state_[at(agent, job)] = State::kOut;
  trail_.push_back({agent, job});
  return --ways_[job] > 0;
}

bool LagrangianDive::settle(uint32_t agent, uint32_t job) {
  if (state_[at(agent, job)] != State::kOpen || weight_[at(agent, job)] > of_agent_[agent].room) return false;
  state_[at(agent, job)] = State::kIn;
  trail_.push_back({agent, job});
  agent_of_[job] = agent;
  of_agent_[agent].room -= weight_[at(agent, job)];
  settled_cost_ += cost_[at(agent, job)];
  return true;
}

void LagrangianDive::undo(size_t changes) {
  for (; trail_.size() > changes; trail_.pop_back()) {
    const Change change = trail_.back();
    State& state = state_[at(change.agent, change.job)];
    if (state == State::kIn) {
      agent_of_[change.job] = kUnassigned;
      of_agent_[change.agent].room += weight_[at(change.agent, change.job)];
      settled_cost_ -= cost_[at(change.agent, change.job)];
    } else {
      ++ways_[change.job];
    }
    state = State::kOpen;
    // Lists were thinned out meanwhile.
    std::vector<uint32_t>& open = of_agent_[change.agent].open;
    if (std::ranges::find(open, change.job) == open.end()) open.push_back(change.job);
  }
}

// The jobs that may be worth a place in the agent's knapsack.
void LagrangianDive::list_items(uint32_t agent) {
  Agent& of = of_agent_[agent];
  items_.clear();
  std::erase_if(of.open, [&](uint32_t job) { return state_[at(agent, job)] != State::kOpen; });
  for (const uint32_t job : of.open) {
    if (agent_of_[job] == kUnassigned && weight_[at(agent, job)] <= of.room && profit(agent, job) > 0) {
      items_.push_back(job);
    }
  }
}

// The knapsack over items_: table_[k][c] is the best of the first k within c.
double LagrangianDive::fill_forwards(uint32_t agent) {
  list_items(agent);
  const size_t width = of_agent_[agent].room + 1;
  table_.resize(std::max(table_.size(), width * (items_.size() + 1)));
  std::fill_n(table_.begin(), width, 0.0);
  for (size_t k = 0; k < items_.size(); ++k) {
    const double* const from = &table_[k * width];
    double* const to = &table_[(k + 1) * width];
    const size_t weight = weight_[at(agent, items_[k])];
    const double gain = profit(agent, items_[k]);
    std::copy_n(from, weight, to);
    for (size_t c = weight; c < width; ++c) to[c] = std::max(from[c], from[c - weight] + gain);
  }
  return table_[items_.size() * width + width - 1];
}

// back_table_[k][c]: the best of the items from k on within c.
void LagrangianDive::fill_backwards(uint32_t agent) {
  const size_t width = of_agent_[agent].room + 1;
  const size_t count = items_.size();
  back_table_.resize(std::max(back_table_.size(), width * (count + 1)));
  std::fill_n(back_table_.begin() + static_cast<std::ptrdiff_t>(count * width), width, 0.0);
  for (size_t k = count; k-- > 0;) {
    const double* const from = &back_table_[(k + 1) * width];
    double* const to = &back_table_[k * width];
    const size_t weight = weight_[at(agent, items_[k])];
    const double gain = profit(agent, items_[k]);
    std::copy_n(from, weight, to);
    for (size_t c = weight; c < width; ++c) to[c] = std::max(from[c], from[c - weight] + gain);
  }
}

double LagrangianDive::evaluate() {
  double value = settled_cost_;
  for (size_t job = 0; job < jobs_; ++job) {
    times_[job] = 0;
    if (agent_of_[job] == kUnassigned) value += prices_[job];
  }
  for (uint32_t agent = 0; agent < agents_; ++agent) {
    value -= fill_forwards(agent);
    std::vector<uint32_t>& taken = of_agent_[agent].taken;
    taken.clear();
    const size_t width = of_agent_[agent].room + 1;
    size_t c = width - 1;
    for (size_t k = items_.size(); k-- > 0;) {
      if (table_[(k + 1) * width + c] == table_[k * width + c]) continue;
      taken.push_back(items_[k]);
      ++times_[items_[k]];
      c -= weight_[at(agent, items_[k])];
    }
  }
  return value;
}

// Whether the last solution gives each job just one agent; then it is the answer.
bool LagrangianDive::complete() {
  for (size_t job = 0; job < jobs_; ++job) {
    if (agent_of_[job] == kUnassigned && times_[job] != 1) return false;
  }
  answer_ = agent_of_;
  for (uint32_t agent = 0; agent < agents_; ++agent) {
    for (const uint32_t job : of_agent_[agent].taken) answer_[job] = agent;
  }
  return true;
}

// A step along the deflected subgradient; `reach` is what it should gain. False when there is nowhere to go.
bool LagrangianDive::step_prices(double reach) {
  double length = 0;
  for (size_t job = 0; job < jobs_; ++job) {
    if (agent_of_[job] != kUnassigned) continue;
    direction_[job] = kMemory * direction_[job] + (1 - kMemory) * (1 - times_[job]);
    length += direction_[job] * direction_[job];
  }
  if (length < 1e-9) return false;
  for (size_t job = 0; job < jobs_; ++job) {
    if (agent_of_[job] == kUnassigned) prices_[job] += reach / length * direction_[job];
  }
  return true;
}

// Subgradient steps; false when the bound passed the target. Leaves the best prices.
bool LagrangianDive::improve(double target, int steps) {
  double best = -kForbidden;
  double reach = 1;
  int idle = 0;
  for (int step = 0; step < steps && !stop_.load(std::memory_order_relaxed); ++step) {
    const double value = evaluate();
    if (value > best) {
      best = value;
      best_prices_ = prices_;
      idle = 0;
    } else if (++idle >= kIdleMax) {
      reach *= kShorter;
      idle = 0;
    }
    if (value > target + kLittle) return false;
    for (uint32_t agent = 0; agent < agents_; ++agent) {
      for (const uint32_t job : of_agent_[agent].open) share_[at(agent, job)] *= 1 - kFresh;
      for (const uint32_t job : of_agent_[agent].taken) share_[at(agent, job)] += kFresh;
    }
    if (!step_prices(reach * std::max(target - value, kReachMin * std::abs(target)))) break;
  }
  if (!best_prices_.empty()) prices_ = best_prices_;
  return true;
}

// What a pair in or out costs at least, by both tables of the agent's knapsack: appends to hopeless_ and sure_.
void LagrangianDive::weigh_agent(uint32_t agent, double slack) {
  const double whole = fill_forwards(agent);
  fill_backwards(agent);
  const size_t width = of_agent_[agent].room + 1;
  for (size_t k = 0; k < items_.size(); ++k) {
    const uint32_t job = items_[k];
    const size_t weight = weight_[at(agent, job)];
    const double* const before = &table_[k * width];
    const double* const after = &back_table_[(k + 1) * width];
    double with = 0;
    double without = 0;
    for (size_t c = 0; c < width; ++c) without = std::max(without, before[c] + after[width - 1 - c]);
    for (size_t c = 0; c + weight < width; ++c) with = std::max(with, before[c] + after[width - 1 - weight - c]);
    if (whole - (with + profit(agent, job)) > slack) hopeless_.push_back(job);
    if (whole - without > slack) sure_.push_back({agent, job});
  }
  const double* const all = &table_[items_.size() * width];
  for (const uint32_t job : of_agent_[agent].open) {
    if (agent_of_[job] != kUnassigned) continue;
    const size_t weight = weight_[at(agent, job)];
    const bool fits = weight < width;
    if (fits && profit(agent, job) > 0) continue;
    if (!fits || whole - (all[width - 1 - weight] + profit(agent, job)) > slack) hopeless_.push_back(job);
  }
}

// Rules out and settles what the target leaves no choice about. False when nothing is left for a job.
bool LagrangianDive::rule_out_hopeless(double target) {
  const double slack = target - evaluate() + kLittle;
  sure_.clear();
  for (uint32_t agent = 0; agent < agents_; ++agent) {
    hopeless_.clear();
    weigh_agent(agent, slack);
    for (const uint32_t job : hopeless_) {
      if (!rule_out(agent, job)) return false;
    }
  }
  for (const Change& change : sure_) {
    if (agent_of_[change.job] == change.agent) continue;
    if (agent_of_[change.job] != kUnassigned || !settle(change.agent, change.job)) return false;
  }
  return settle_last_ways();
}

bool LagrangianDive::settle_last_ways() {
  for (uint32_t job = 0; job < jobs_; ++job) {
    if (agent_of_[job] != kUnassigned || ways_[job] != 1) continue;
    uint32_t agent = 0;
    while (state_[at(agent, job)] != State::kOpen) ++agent;
    if (!settle(agent, job)) return false;
  }
  return true;
}

// The pairs to settle next: all that are sure, but no more than a share of the open jobs; else the likeliest one.
bool LagrangianDive::choose(std::vector<Change>& chosen) {
  struct Pair {
    float share;
    Change change;
  };
  std::vector<Pair> pairs;
  size_t open = 0;
  for (uint32_t job = 0; job < jobs_; ++job) open += agent_of_[job] == kUnassigned ? 1 : 0;
  for (uint32_t agent = 0; agent < agents_; ++agent) {
    for (const uint32_t job : of_agent_[agent].open) {
      if (state_[at(agent, job)] != State::kOpen || agent_of_[job] != kUnassigned) continue;
      if (weight_[at(agent, job)] > of_agent_[agent].room) continue;
      const float noise = 1 - kNoise * static_cast<float>(random_.unit());
      pairs.push_back({share_[at(agent, job)] * noise, {agent, job}});
    }
  }
  chosen.clear();
  if (pairs.empty()) return false;
  const auto most = std::min(pairs.size(), 1 + static_cast<size_t>(kAtOnce * static_cast<double>(open)));
  std::ranges::partial_sort(pairs, pairs.begin() + static_cast<std::ptrdiff_t>(most), std::ranges::greater{},
                            &Pair::share);
  for (size_t i = 0; i < most; ++i) {
    if (i > 0 && (pairs[i].share < kSure || open < kFewJobs)) break;
    chosen.push_back(pairs[i].change);
  }
  return true;
}

void LagrangianDive::round_off() {
  answer_ = agent_of_;
  for (uint32_t job = 0; job < jobs_; ++job) {
    float best = 0;
    for (uint32_t agent = 0; agent < agents_ && agent_of_[job] == kUnassigned; ++agent) {
      if (state_[at(agent, job)] == State::kOut || share_[at(agent, job)] <= best) continue;
      best = share_[at(agent, job)];
      answer_[job] = agent;
    }
  }
}

bool LagrangianDive::dive(double target, int reversals_max) {
  restart();
  struct Choice {
    size_t trail;
    Change change;  // the first of those made
  };
  std::vector<Choice> choices;
  std::vector<Change> chosen;
  int reversals = 0;
  bool is_possible = improve(target, kFirstSteps);
  while (!stop_.load(std::memory_order_relaxed)) {
    is_possible = is_possible && rule_out_hopeless(target) && improve(target, kSteps);
    if (is_possible) {
      evaluate();
      if (complete()) return true;
      if (rule_out_hopeless(target) && choose(chosen)) {
        choices.push_back({trail_.size(), chosen.front()});
        for (const Change& change : chosen) {
          if (agent_of_[change.job] == kUnassigned) static_cast<void>(settle(change.agent, change.job));
        }
        continue;
      }
    }
    if (reversals == 0) round_off();
    if (choices.empty() || ++reversals > reversals_max) return false;
    const Choice last = choices.back();
    choices.pop_back();
    undo(last.trail);
    is_possible = rule_out(last.change.agent, last.change.job);
  }
  return false;
}

}  // namespace verge::planner
