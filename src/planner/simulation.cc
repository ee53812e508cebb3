#include "planner/simulation.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/random.h"
#include "planner/dependencies.h"
#include "planner/event_queue.h"

namespace verge::planner {

namespace {

constexpr double kJitter = 0.02;     // of a one-way latency, either way
constexpr double kHeaderBytes = 64;  // of each message
constexpr double kServiceMs = 0.05;  // a client's own way to its site's process, there and back

constexpr double kElectionMs = 1000;  // without a majority, before another site leads

enum Kind : uint8_t { kIssue, kAsk, kAnswer, kAccept, kAccepted, kCommit, kDone, kTimeout, kElection };

struct Operation {
  double issued_ms = 0;
  uint8_t owner = 0;  // the client's site
  bool is_hot = false;
  bool is_slow = false;
  bool is_committed = false;
  bool have_answers_differed = false;
  bool has_timed_out = false;  // epaxos: a majority is enough for the slow path
  bool is_issued = false;
  bool is_answered = false;
  uint8_t answers = 0;
  uint32_t hot_slot = kNone;
};

// The dependencies of a hot operation while it is being agreed on.
struct Agreement {
  DependencySet asked = Dependencies::none();
  DependencySet first = Dependencies::none();  // what the first answer said
  DependencySet united = Dependencies::none();
  std::vector<DependencySet> answers;  // of each site, until it arrives
};

double percentile(std::vector<float>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[at];
}

class Simulation {
 public:
  Simulation(const RoundTripMatrix& matrix, const SimulationOptions& options)
      : options_(options),
        n_(matrix.sites.size()),
        one_way_(n_ * n_),
        arrives_last_(n_ * n_, 0),
        random_(options.seed),
        commit_ms_(n_),
        execute_ms_(n_),
        dependencies_(n_),
        connectivity_(options.outages),
        leader_(options.leader),
        late_ms_(n_, 0) {
    for (size_t i = 0; i < one_way_.size(); ++i) one_way_[i] = matrix.milliseconds[i] / 2;
    chain_ = chain_from(matrix, options.leader);
    is_member_.assign(n_, true);
    for (const double trip : matrix.milliseconds) longest_trip_ms_ = std::max(longest_trip_ms_, trip);
    operations_.reserve(options.operations);
  }

  SimulationAnswer run() {
    for (size_t site = 0; site < n_; ++site) {
      for (unsigned client = 0; client < options_.clients_per_site; ++client) {
        // Clients do not begin at one instant.
        issue(static_cast<uint8_t>(site), random_.unit() * 100);
      }
    }
    if (options_.protocol == Protocol::kRaft || options_.protocol == Protocol::kMultiPaxos || takes_out()) {
      for (const double at : connectivity_.changes()) expect_election(at + kElectionMs);
    }
    while (!queue_.is_empty() && answered_ < operations_.size()) {
      const Message message = queue_.pop();
      now_ = message.at_ms;
      if (!connectivity_.is_empty()) connectivity_.forget_before(now_ - kElectionMs);
      receive(message);
    }
    answered_at_ms_ = now_;
    while (!queue_.is_empty()) {  // what is still on its way to sites that nobody waits for
      const Message message = queue_.pop();
      now_ = message.at_ms;
      receive(message);
    }
    return summary();
  }

 private:
  static std::vector<uint8_t> chain_from(const RoundTripMatrix& matrix, size_t head) {
    std::vector<uint8_t> chain = {static_cast<uint8_t>(head)};
    std::vector<bool> taken(matrix.sites.size(), false);
    taken[head] = true;
    while (chain.size() < matrix.sites.size()) {
      size_t nearest = matrix.sites.size();
      for (size_t site = 0; site < matrix.sites.size(); ++site) {
        if (taken[site]) continue;
        if (nearest == matrix.sites.size() ||
            matrix.between(chain.back(), site) < matrix.between(chain.back(), nearest)) {
          nearest = site;
        }
      }
      taken[nearest] = true;
      chain.push_back(static_cast<uint8_t>(nearest));
    }
    return chain;
  }

  void send(Kind kind, uint32_t operation, size_t from, size_t to, bool has_payload) {
    const size_t link = from * n_ + to;
    double at = now_;
    if (from != to) {
      const double takes = one_way_[link] * (1 - kJitter + 2 * kJitter * random_.unit());
      at = connectivity_.is_empty() ? now_ + takes : arrival(from, to, takes);
      while (options_.loss > 0 && random_.chance(options_.loss)) {
        at += kReplicationTimeoutMs;
        ++lost_;
        ++again_;
        ++messages_;
        bytes_ += kHeaderBytes + (has_payload ? options_.payload_bytes : 0);
      }
      at = std::max(at, arrives_last_[link]);
      arrives_last_[link] = at;
      ++messages_;
      bytes_ += kHeaderBytes + (has_payload ? options_.payload_bytes : 0);
    }
    queue_.push({.at_ms = at,
                 .operation = operation,
                 .kind = kind,
                 .from = static_cast<uint8_t>(from),
                 .to = static_cast<uint8_t>(to),
                 .term = term_});
  }

  // When a message that leaves now gets there, sent again until it does.
  double arrival(size_t from, size_t to, double takes) {
    double leaves = now_;
    double held_until = 0;
    while (true) {
      const double open = connectivity_.open_from(from, to, leaves);
      if (open > leaves) {
        const double times = std::ceil((open - leaves) / kReplicationTimeoutMs);
        again_ += static_cast<uint64_t>(times);
        leaves += times * kReplicationTimeoutMs;
        held_until = open;
      } else if (!connectivity_.reaches(from, to, leaves + takes)) {
        ++again_;
        leaves += kReplicationTimeoutMs;
      } else {
        break;
      }
    }
    if (held_until > 0) synchronised_ms_ = std::max(synchronised_ms_, leaves + takes - held_until);
    return leaves + takes;
  }

  void expect_election(double at) { queue_.push({.at_ms = at, .kind = kElection}); }

  [[nodiscard]] bool takes_out() const {
    return options_.takes_out &&
           (options_.protocol == Protocol::kChain || options_.protocol == Protocol::kPrimaryBackup);
  }

  // Sites that reached a majority, which they are in, now and a second ago; none when there is no such majority.
  [[nodiscard]] uint64_t lasting_majority() const {
    for (size_t site = 0; site < n_; ++site) {
      const uint64_t reached =
          connectivity_.reached_from(site, n_, now_) & connectivity_.reached_from(site, n_, now_ - kElectionMs);
      if (static_cast<size_t>(std::popcount(reached)) >= majority_of(n_)) return reached;
    }
    return 0;
  }

  // Takes out of the chain, or of the backups, who is gone, and in who is back.
  void reconfigure() {
    if (answered_ == operations_.size()) return;
    const uint64_t members = lasting_majority();
    if (members == 0) return;
    const auto holds = [&](size_t site) { return (members >> site & 1U) != 0; };
    bool has_changed = false;
    for (size_t site = 0; site < n_; ++site) {
      has_changed = has_changed || is_member_[site] != holds(site);
      if (!is_member_[site] && holds(site)) chain_.push_back(static_cast<uint8_t>(site));
      is_member_[site] = holds(site);
    }
    if (!has_changed) return;
    std::erase_if(chain_, [&](uint8_t site) { return !holds(site); });
    if (!holds(leader_)) {
      leader_ = *std::ranges::min_element(chain_, {}, [&](uint8_t site) { return one_way_[leader_ * n_ + site]; });
    }
    begin_anew(options_.protocol == Protocol::kChain ? chain_.front() : leader_);
  }

  // What was under way goes to the new leader, or head.
  void begin_anew(size_t leader) {
    ++term_;
    ++elections_;
    for (uint32_t name = 0; name < operations_.size(); ++name) {
      Operation& operation = operations_[name];
      if (operation.is_answered || !operation.is_issued) continue;
      operation.answers = 0;
      send(kAsk, name, operation.owner, leader, true);
    }
  }

  // A second after something changed: does the leader still reach a majority, as it did not then?
  void elect() {
    if (answered_ == operations_.size()) return;
    const auto reaches_majority = [&](size_t site, double at) {
      return static_cast<size_t>(std::popcount(connectivity_.reached_from(site, n_, at))) >= majority_of(n_);
    };
    if (reaches_majority(leader_, now_) || reaches_majority(leader_, now_ - kElectionMs)) return;
    size_t next = n_;
    for (size_t site = 0; site < n_; ++site) {
      if (!reaches_majority(site, now_) || !reaches_majority(site, now_ - kElectionMs)) continue;
      if (next == n_ || one_way_[leader_ * n_ + site] < one_way_[leader_ * n_ + next]) next = site;
    }
    if (next == n_) return;
    leader_ = next;
    begin_anew(leader_);
  }

  void send_to_others(Kind kind, uint32_t operation, size_t from, bool has_payload) {
    for (size_t to = 0; to < n_; ++to) {
      if (to != from) send(kind, operation, from, to, has_payload);
    }
  }

  void issue(uint8_t site, double at) {
    if (operations_.size() >= options_.operations) return;
    const auto name = static_cast<uint32_t>(operations_.size());
    operations_.push_back({.issued_ms = at, .owner = site});
    operations_.back().is_hot = options_.conflict > 0 && random_.chance(options_.conflict);
    queue_.push({.at_ms = at, .operation = name, .kind = kIssue, .from = site, .to = site});
  }

  void receive(const Message& message) {
    if (message.kind == kElection) return takes_out() ? reconfigure() : elect();
    if (!connectivity_.is_empty() && !connectivity_.is_up(message.to, now_)) {
      Message later = message;  // the site goes on where it was
      later.at_ms = connectivity_.up_from(message.to, now_);
      return queue_.push(later);
    }
    switch (options_.protocol) {
      case Protocol::kRaft:
      case Protocol::kMultiPaxos:
        return receive_led(message, majority_of(n_));
      case Protocol::kPrimaryBackup:
        return receive_led(message, chain_.size());
      case Protocol::kEPaxos:
        return receive_epaxos(message);
      case Protocol::kChain:
        return receive_chain(message);
      case Protocol::kQuorum:
        return receive_quorum(message);
      case Protocol::kCrdt:
        return receive_crdt(message);
    }
  }

  // A leader that asks all and waits for `needed` answers, its own among them; the log is executed in order, and the
  // links keep the order, so that what is committed may be executed.
  void receive_led(const Message& message, size_t needed) {
    Operation& operation = operations_[message.operation];
    if (message.kind != kIssue && message.kind != kDone && message.term != term_) return;  // of a leader deposed
    switch (message.kind) {
      case kIssue:
        operation.is_issued = true;
        send(kAsk, message.operation, operation.owner, leader_, true);
        break;
      case kAsk:
        if (message.to != leader_ || operation.answers > 0) {
          send(kAnswer, message.operation, message.to, leader_, false);
          break;
        }
        operation.answers = 1;
        for (size_t to = 0; to < n_; ++to) {
          if (to != leader_ && is_member_[to]) send(kAsk, message.operation, leader_, to, true);
        }
        if (needed == 1) send(kDone, message.operation, leader_, operation.owner, false);
        break;
      case kAnswer:
        if (++operation.answers == needed) send(kDone, message.operation, leader_, operation.owner, false);
        break;
      default:
        if (operation.is_answered) break;  // by a leader deposed meanwhile
        finish(operation);
        record_execution(operation);
    }
  }

  void receive_chain(const Message& message) {
    Operation& operation = operations_[message.operation];
    if (message.kind != kIssue && message.kind != kDone && message.term != term_) return;  // of a chain that was closed
    if (message.kind == kIssue) {
      operation.is_issued = true;
      send(kAsk, message.operation, operation.owner, chain_.front(), true);
    } else if (message.kind == kAsk) {
      const size_t passed = operation.answers++;
      if (passed + 1 < chain_.size()) {
        send(kAsk, message.operation, chain_[passed], chain_[passed + 1], true);
      } else {
        send(kDone, message.operation, chain_.back(), operation.owner, false);
      }
    } else if (!operation.is_answered) {  // by a chain that was closed meanwhile
      finish(operation);
      record_execution(operation);
    }
  }

  void receive_quorum(const Message& message) {
    Operation& operation = operations_[message.operation];
    switch (message.kind) {
      case kIssue:
        operation.answers = 1;
        send_to_others(kAsk, message.operation, operation.owner, true);
        if (majority_of(n_) == 1) send(kDone, message.operation, operation.owner, operation.owner, false);
        break;
      case kAsk:
        send(kAnswer, message.operation, message.to, operation.owner, false);
        break;
      case kAnswer:
        if (++operation.answers == majority_of(n_)) {
          send(kDone, message.operation, operation.owner, operation.owner, false);
        }
        break;
      default:
        finish(operation);
        record_execution(operation);
    }
  }

  void receive_crdt(const Message& message) {
    Operation& operation = operations_[message.operation];
    if (message.kind == kIssue) {
      send_to_others(kCommit, message.operation, operation.owner, true);
      send(kDone, message.operation, operation.owner, operation.owner, false);
    } else if (message.kind == kDone) {
      finish(operation);
      record_execution(operation);
    } else if (++operation.answers + 1U == n_) {
      convergence_ms_.push_back(static_cast<float>(now_ - operation.issued_ms));
    }
  }

  Agreement& agreement_of(Operation& operation) {
    if (operation.hot_slot == kNone) {
      if (free_agreements_.empty()) {
        operation.hot_slot = static_cast<uint32_t>(agreements_.size());
        agreements_.emplace_back();
      } else {
        operation.hot_slot = free_agreements_.back();
        free_agreements_.pop_back();
        agreements_[operation.hot_slot] = {};
      }
      agreements_[operation.hot_slot].answers.resize(n_, Dependencies::none());
    }
    return agreements_[operation.hot_slot];
  }

  void receive_epaxos(const Message& message) {
    Operation& operation = operations_[message.operation];
    switch (message.kind) {
      case kIssue:
        operation.answers = 1;
        if (operation.is_hot) {
          Agreement& agreement = agreement_of(operation);
          agreement.asked =
              dependencies_.observe(operation.owner, message.operation, operation.owner, Dependencies::none());
          agreement.united = agreement.asked;
        }
        send_to_others(kAsk, message.operation, operation.owner, true);
        if (fast_quorum_of(n_) == 1) commit_epaxos(message.operation);
        if (!connectivity_.is_empty()) {
          queue_.push({.at_ms = now_ + longest_trip_ms_ + kReplicationTimeoutMs,
                       .operation = message.operation,
                       .kind = kTimeout,
                       .from = operation.owner,
                       .to = operation.owner});
        }
        break;
      case kTimeout:
        operation.has_timed_out = true;
        if (!operation.is_committed && !operation.is_slow && operation.answers >= majority_of(n_)) {
          accept_slowly(message.operation);
        }
        break;
      case kAsk:
        if (operation.is_hot && !operation.is_committed) {
          Agreement& agreement = agreement_of(operation);
          agreement.answers[message.to] =
              dependencies_.observe(message.to, message.operation, operation.owner, agreement.asked);
        } else if (operation.is_hot) {
          dependencies_.observe(message.to, message.operation, operation.owner, Dependencies::none());
        }
        send(kAnswer, message.operation, message.to, operation.owner, false);
        break;
      case kAnswer:
        count_answer(message);
        break;
      case kAccept:
        send(kAccepted, message.operation, message.to, operation.owner, false);
        break;
      case kAccepted:
        if (++operation.answers == majority_of(n_)) commit_epaxos(message.operation);
        break;
      case kCommit:
        learn(message.to, message.operation);
        break;
      default:
        finish(operation);
        break;
    }
  }

  void count_answer(const Message& message) {
    Operation& operation = operations_[message.operation];
    if (operation.is_committed || operation.is_slow) return;
    if (operation.is_hot) {
      Agreement& agreement = agreement_of(operation);
      const DependencySet& answer = agreement.answers[message.from];
      if (operation.answers == 1) agreement.first = answer;
      if (answer != agreement.first) operation.have_answers_differed = true;
      Dependencies::unite(agreement.united, answer);
    }
    ++operation.answers;
    if (operation.answers >= fast_quorum_of(n_)) {
      if (!operation.have_answers_differed) return commit_epaxos(message.operation);
    } else if (!operation.has_timed_out || operation.answers < majority_of(n_)) {
      return;
    }
    accept_slowly(message.operation);
  }

  void accept_slowly(uint32_t name) {
    Operation& operation = operations_[name];
    operation.is_slow = true;
    ++slow_;
    operation.answers = 1;
    send_to_others(kAccept, name, operation.owner, false);
  }

  void commit_epaxos(uint32_t name) {
    Operation& operation = operations_[name];
    operation.is_committed = true;
    if (operation.is_hot) dependencies_.commit(name, operation.owner, agreement_of(operation).united);
    send_to_others(kCommit, name, operation.owner, false);
    send(kDone, name, operation.owner, operation.owner, false);
    learn(operation.owner, name);
    if (operation.is_hot) {
      free_agreements_.push_back(operation.hot_slot);
    } else {
      record_execution(operation);
    }
  }

  void learn(size_t site, uint32_t name) {
    if (!operations_[name].is_hot) return;
    executable_.clear();
    dependencies_.learn(site, name, operations_[name].owner, executable_);
    for (const uint32_t own : executable_) record_execution(operations_[own]);
  }

  void finish(Operation& operation) {
    const double took = now_ - operation.issued_ms + kServiceMs;
    operation.is_answered = true;
    ++answered_;
    timed_out_ += took > kReplicationTimeoutMs ? 1 : 0;
    // No operation without outages waits for more than three ways there and back, and the chain for one a site.
    const double usual = (3 + (options_.protocol == Protocol::kChain ? static_cast<double>(n_) : 0)) * longest_trip_ms_;
    late_ms_[operation.owner] += std::max(0.0, took - usual * (1 + kJitter) - kReplicationTimeoutMs);
    commit_ms_[operation.owner].push_back(static_cast<float>(took));
    issue(operation.owner, now_ + kServiceMs);
  }
  void record_execution(const Operation& operation) {
    execute_ms_[operation.owner].push_back(static_cast<float>(now_ - operation.issued_ms + kServiceMs));
  }

  SimulationAnswer summary() {
    SimulationAnswer answer;
    answer.operations = operations_.size();
    for (size_t site = 0; site < n_; ++site) {
      std::ranges::sort(commit_ms_[site]);
      std::ranges::sort(execute_ms_[site]);
      answer.sites.push_back({.commit_p50_ms = percentile(commit_ms_[site], 0.5),
                              .commit_p99_ms = percentile(commit_ms_[site], 0.99),
                              .execute_p50_ms = percentile(execute_ms_[site], 0.5),
                              .execute_p99_ms = percentile(execute_ms_[site], 0.99),
                              .operations = commit_ms_[site].size()});
    }
    summarise_outages(answer);
    const auto count = static_cast<double>(std::max<size_t>(1, operations_.size()));
    answer.timed_out_share = static_cast<double>(timed_out_) / count;
    answer.messages_per_operation = static_cast<double>(messages_) / count;
    answer.bytes_per_operation = bytes_ / count;
    answer.slow_share = static_cast<double>(slow_) / count;
    std::ranges::sort(convergence_ms_);
    answer.convergence_p99_ms = percentile(convergence_ms_, 0.99);
    return answer;
  }

  void summarise_outages(SimulationAnswer& answer) const {
    answer.duration_ms = answered_at_ms_;
    answer.elections = elections_;
    answer.messages_again = again_;
    answer.messages_lost = lost_;
    answer.synchronised_ms = synchronised_ms_;
    if (options_.outages.empty() || answered_at_ms_ <= 0) return;
    const double clients_ms = answered_at_ms_ * options_.clients_per_site;
    const std::vector<double> up_ms = uptimes(options_.outages, n_, answered_at_ms_);
    double writes = 0;
    double reads = 0;
    for (size_t site = 0; site < n_; ++site) {
      answer.sites[site].write_availability = std::clamp(1 - late_ms_[site] / clients_ms, 0.0, 1.0);
      writes += answer.sites[site].write_availability;
      reads += up_ms[site] / answered_at_ms_;
    }
    answer.write_availability = writes / static_cast<double>(n_);
    answer.read_availability = reads / static_cast<double>(n_);
  }

  const SimulationOptions options_;
  const size_t n_;
  std::vector<double> one_way_;
  std::vector<double> arrives_last_;
  Random random_;
  EventQueue queue_;
  std::vector<uint8_t> chain_;   // of a chain, in its order; of others, in any
  std::vector<bool> is_member_;  // of it
  std::vector<Operation> operations_;
  std::vector<Agreement> agreements_;
  std::vector<uint32_t> free_agreements_;
  std::vector<uint32_t> executable_;
  std::vector<std::vector<float>> commit_ms_;
  std::vector<std::vector<float>> execute_ms_;
  std::vector<float> convergence_ms_;
  Dependencies dependencies_;
  Connectivity connectivity_;
  size_t leader_;
  uint8_t term_ = 0;
  std::vector<double> late_ms_;  // of each site's clients together
  double longest_trip_ms_ = 0;
  double answered_at_ms_ = 0;
  double synchronised_ms_ = 0;
  uint64_t answered_ = 0;
  uint64_t timed_out_ = 0;
  uint64_t elections_ = 0;
  uint64_t again_ = 0;
  uint64_t lost_ = 0;
  double now_ = 0;
  double bytes_ = 0;
  uint64_t messages_ = 0;
  uint64_t slow_ = 0;
};

}  // namespace

SimulationAnswer simulate(const RoundTripMatrix& matrix, const SimulationOptions& options) {
  return Simulation(matrix, options).run();
}

}  // namespace verge::planner
