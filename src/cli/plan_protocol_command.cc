// verge plan protocol: what a replication protocol costs its clients on a given map.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/plan_commands.h"
#include "cli/plan_files.h"
#include "cli/plan_output.h"
#include "planner/drawing.h"
#include "planner/json_text.h"
#include "planner/plan_latencies.h"
#include "planner/simulation.h"

namespace verge::cli {

namespace {

struct ProtocolOptions {
  PlanFiles files;
  PlanOutput output;
  std::string matrix;
  std::string protocol = "raft";
  std::string leader;
  double conflict = 0;
  uint64_t operations = 100'000;
  unsigned clients = 10;
  double payload = 1024;
  uint64_t seed = 1;
  double site_availability = 0.999;
  std::vector<double> activity;
  std::vector<double> stability;
  std::vector<std::string> failing;
  std::vector<std::string> parting;
  double outage_seconds = 0;
  double loss = 0;
  bool takes_out = false;
};

Result<planner::RoundTripMatrix> matrix_of(const ProtocolOptions& options) {
  if (!options.matrix.empty()) {
    const Result<std::string> text = read_plan_file(options.matrix);
    if (!text) return std::unexpected(text.error());
    return planner::parse_round_trip_matrix(*text, options.matrix);
  }
  const Result<planner::PlanDocument> plan = read_plan_files(options.files);
  if (!plan) return std::unexpected(plan.error());
  const size_t n = plan->nodes.size();
  if (n == 0) {
    return std::unexpected(plan->missing(
        "node that could be a site", fmt::format("give --matrix, or a plan with 1 to {} nodes", planner::kSitesMax)));
  }
  if (n > planner::kSitesMax) {
    return fail("plan.matrix", fmt::format("{}: {} sites", plan->source, n),
                fmt::format("give --matrix, or a plan with 1 to {} nodes", planner::kSitesMax));
  }
  const planner::PlanLatencies latencies(*plan);
  planner::RoundTripMatrix matrix;
  for (const planner::PlanNode& node : plan->nodes) matrix.sites.push_back(node.name);
  for (size_t from = 0; from < n; ++from) {
    for (size_t to = 0; to < n; ++to) {
      const auto trip = latencies.between_nodes(from, to);
      matrix.milliseconds.push_back(trip.milliseconds);
      matrix.is_modelled.push_back(from != to && !trip.is_measured);
    }
  }
  return matrix;
}

// Those asked for by name, and random ones.
Result<std::vector<planner::Outage>> outages_of(const ProtocolOptions& options,
                                                const planner::RoundTripMatrix& matrix) {
  std::vector<planner::Outage> outages;
  for (const bool is_partition : {false, true}) {
    for (const std::string& text : is_partition ? options.parting : options.failing) {
      Result<planner::Outage> outage = planner::parse_outage(text, matrix, is_partition);
      if (!outage) return std::unexpected(outage.error());
      outages.push_back(*outage);
    }
  }
  if (options.outage_seconds > 0) {
    double longest = 1;
    for (const double trip : matrix.milliseconds) longest = std::max(longest, trip);
    const double clients = static_cast<double>(matrix.sites.size()) * options.clients;
    // Longer than operations without outages take, several times.
    const double horizon = 4 * (static_cast<double>(options.operations) / clients + 1) * longest * 2;
    const auto drawn = planner::random_outages(matrix.sites.size(), options.site_availability,
                                               options.outage_seconds * 1000, horizon, options.seed);
    outages.insert(outages.end(), drawn.begin(), drawn.end());
  }
  return outages;
}

void add_outages(planner::JsonText& json, const planner::RoundTripMatrix& matrix,
                 const planner::SimulationAnswer& answer) {
  json.key("outages").open('{').member("simulated_seconds", answer.duration_ms / 1000);
  json.member("write_availability", answer.write_availability).member("read_availability", answer.read_availability);
  json.member("elections", answer.elections).member("messages_sent_again", answer.messages_again);
  json.member("synchronised_after_ms", answer.synchronised_ms).key("sites").open('{');
  for (size_t site = 0; site < matrix.sites.size(); ++site) {
    json.member(matrix.sites[site], answer.sites[site].write_availability);
  }
  json.close('}').close('}');
}

std::string answer_json(const ProtocolOptions& options, const planner::RoundTripMatrix& matrix,
                        planner::Protocol protocol, size_t leader, const planner::SimulationAnswer& answer,
                        const planner::Availability& availability, const std::vector<planner::LeaderFitness>& leaders,
                        bool has_outages) {
  planner::JsonText json;
  json.open('{').member("protocol", planner::protocol_name(protocol));
  json.key("leader");
  if (planner::has_leader(protocol)) {
    json.value(matrix.sites[leader]);
  } else {
    json.value(std::nan(""));
  }
  json.member("conflict", options.conflict).member("operations", answer.operations).member("seed", options.seed);
  json.key("commit").open('{');
  for (size_t site = 0; site < matrix.sites.size(); ++site) {
    json.key(matrix.sites[site]).open('{').member("p50_ms", answer.sites[site].commit_p50_ms);
    json.member("p99_ms", answer.sites[site].commit_p99_ms).close('}');
  }
  json.close('}').key("sites").open('[');
  for (size_t site = 0; site < matrix.sites.size(); ++site) {
    const planner::SiteLatency& latency = answer.sites[site];
    json.open('{').member("site", matrix.sites[site]);
    json.member("p50_ms", latency.commit_p50_ms).member("p99_ms", latency.commit_p99_ms);
    json.member("execute_p50_ms", latency.execute_p50_ms).member("execute_p99_ms", latency.execute_p99_ms);
    json.member("operations", latency.operations).close('}');
  }
  json.close(']').member("messages_per_operation", answer.messages_per_operation);
  json.member("bytes_per_operation", answer.bytes_per_operation).member("slow_path_share", answer.slow_share);
  json.member("timed_out_share", answer.timed_out_share);
  if (options.loss > 0) json.member("messages_lost", answer.messages_lost);
  if (has_outages) add_outages(json, matrix, answer);
  if (protocol == planner::Protocol::kCrdt) json.member("convergence_p99_ms", answer.convergence_p99_ms);
  json.member("write_availability", availability.writes).key("writes_through_failures").open('[');
  for (const double share : availability.share_by_failures) json.value(share);
  json.close(']').member("quorum", planner::majority_of(matrix.sites.size()));
  json.member("fast_quorum", planner::fast_quorum_of(matrix.sites.size()));
  json.member("replication_timeout_ms", planner::kReplicationTimeoutMs);
  json.member("minority", planner::minority_rights(protocol, options.takes_out)).key("leaders").open('[');
  for (const planner::LeaderFitness& fitness : leaders) {
    json.open('{').member("site", matrix.sites[fitness.site]).member("mean_ms", fitness.mean_ms);
    json.member("fitness", fitness.fitness).close('}');
  }
  json.close(']').key("modelled").open('[');
  for (size_t from = 0; from < matrix.sites.size(); ++from) {
    for (size_t to = from + 1; to < matrix.sites.size(); ++to) {
      if (!matrix.is_modelled[from * matrix.sites.size() + to]) continue;
      json.open('{').member("from", matrix.sites[from]).member("to", matrix.sites[to]);
      json.member("round_trip_ms", matrix.between(from, to)).close('}');
    }
  }
  return json.close(']').close('}').text();
}

std::string explain(const ProtocolOptions& options, const planner::RoundTripMatrix& matrix, planner::Protocol protocol,
                    const planner::SimulationAnswer& answer, const planner::Availability& availability,
                    const std::vector<planner::LeaderFitness>& leaders) {
  const size_t n = matrix.sites.size();
  std::string text = fmt::format("quorum {} of {}, fast quorum {}; {:.1f} messages and {:.0f} bytes an operation\n",
                                 planner::majority_of(n), n, planner::fast_quorum_of(n), answer.messages_per_operation,
                                 answer.bytes_per_operation);
  text += fmt::format("writes are possible {:.6f} of the time;", availability.writes);
  for (size_t failures = 0; failures < n; ++failures) {
    text += fmt::format(" {} sites gone: {}", failures, availability.share_by_failures[failures] > 0 ? "yes" : "no");
  }
  text += fmt::format(
      "\na minority that is cut off may {}; {:.1f} % of the operations took more than the replication timeout of {:g} "
      "ms, "
      "after which what did not get through is sent again\n",
      planner::minority_rights(protocol, options.takes_out), answer.timed_out_share * 100,
      planner::kReplicationTimeoutMs);
  text += "leaders by .3/(mean ms + 1) + .3 activity + .4 stability:";
  for (const planner::LeaderFitness& fitness : leaders) {
    text += fmt::format(" {} {:.4f}", matrix.sites[fitness.site], fitness.fitness);
  }
  text += "\n";
  for (size_t from = 0; from < n; ++from) {
    for (size_t to = from + 1; to < n; ++to) {
      if (!matrix.is_modelled[from * n + to]) continue;
      text += fmt::format("{} - {} was not measured; the model says {:.0f} ms\n", matrix.sites[from], matrix.sites[to],
                          matrix.between(from, to));
    }
  }
  return text;
}

std::string outage_text(const planner::RoundTripMatrix& matrix, const std::vector<planner::Outage>& outages,
                        const planner::SimulationAnswer& answer) {
  if (outages.empty()) return "";
  std::string text = fmt::format(
      "\nwith outages, {:.1f} s simulated: writes possible {:.3f} % of the time, reads {:.3f} %; elections: {}; a site "
      "that "
      "is back has what it missed after {:.0f} ms\n",
      answer.duration_ms / 1000, answer.write_availability * 100, answer.read_availability * 100, answer.elections,
      answer.synchronised_ms);
  for (size_t site = 0; site < matrix.sites.size(); ++site) {
    text += fmt::format("  {}: writes {:.3f} %\n", matrix.sites[site], answer.sites[site].write_availability * 100);
  }
  const double first = std::ranges::min_element(outages, {}, &planner::Outage::from_ms)->from_ms;
  if (answer.duration_ms < first) {
    text += fmt::format("all operations were answered before the first outage, at {:g} s: give more --operations\n",
                        first / 1000);
  }
  return text;
}

int run_protocol(const ProtocolOptions& options) {
  const Result<planner::RoundTripMatrix> matrix = matrix_of(options);
  if (!matrix) return print_plan_failure(matrix.error());
  // The command line takes names that are known, and no others.
  const planner::Protocol protocol = planner::protocol_named(options.protocol).value_or(planner::Protocol::kRaft);
  for (const auto& [name, values] :
       {std::pair("--activity", &options.activity), std::pair("--stability", &options.stability)}) {
    if (values->size() <= matrix->sites.size()) continue;
    return print_plan_failure(
        Error{"plan.value",
              fmt::format("{} has {} values, and there are {} sites", name, values->size(), matrix->sites.size()),
              "give one a site, in the matrix's order"});
  }
  const auto leaders = planner::leaders_by_fitness(*matrix, options.activity, options.stability);
  size_t leader = leaders.front().site;
  if (!options.leader.empty()) {
    leader = matrix->index_of(options.leader);
    if (leader == matrix->sites.size()) {
      const std::string guess = nearest(options.leader, matrix->sites);
      return print_plan_failure(Error{"plan.unknown-site",
                                      fmt::format("there is no site '{}' to lead", printable(options.leader)),
                                      guess.empty() ? fmt::format("it is one of {}", fmt::join(matrix->sites, ", "))
                                                    : fmt::format("did you mean '{}'?", guess)});
    }
  }
  const Result<std::vector<planner::Outage>> outages = outages_of(options, *matrix);
  if (!outages) return print_plan_failure(outages.error());
  const planner::SimulationAnswer answer = planner::simulate(*matrix, {.protocol = protocol,
                                                                       .leader = leader,
                                                                       .conflict = options.conflict,
                                                                       .operations = options.operations,
                                                                       .clients_per_site = options.clients,
                                                                       .payload_bytes = options.payload,
                                                                       .seed = options.seed,
                                                                       .outages = *outages,
                                                                       .loss = options.loss,
                                                                       .takes_out = options.takes_out});
  const planner::Availability availability =
      planner::availability(protocol, matrix->sites.size(), options.site_availability, options.takes_out);
  TextTable table({"site", "commit p50 ms", "p99 ms", "execute p50 ms", "p99 ms"});
  for (size_t site = 0; site < matrix->sites.size(); ++site) {
    const planner::SiteLatency& latency = answer.sites[site];
    table.add({matrix->sites[site], shown(latency.commit_p50_ms), shown(latency.commit_p99_ms),
               shown(latency.execute_p50_ms), shown(latency.execute_p99_ms)});
  }
  const std::string heading = planner::has_leader(protocol)
                                  ? fmt::format("{}, led by {}\n", options.protocol, matrix->sites[leader])
                                  : fmt::format("{}, conflicts {:g}\n", options.protocol, options.conflict);
  return print_plan(
      options.output,
      {.json = answer_json(options, *matrix, protocol, leader, answer, availability, leaders, !outages->empty()),
       .table =
           heading + table.text() +
           (answer.messages_lost > 0 ? fmt::format("messages lost, and sent again: {}\n", answer.messages_lost) : "") +
           outage_text(*matrix, *outages, answer),
       .explanation = explain(options, *matrix, protocol, answer, availability, leaders),
       .picture = [&] {
         std::vector<planner::Bar> bars;
         for (size_t site = 0; site < matrix->sites.size(); ++site) {
           bars.push_back({matrix->sites[site] + " p50", answer.sites[site].commit_p50_ms, 0});
           bars.push_back({matrix->sites[site] + " p99", answer.sites[site].commit_p99_ms, 1});
         }
         return planner::draw_bars(fmt::format("Commit latency, {}", options.protocol), "ms", bars);
       }});
}

}  // namespace

void add_plan_protocol(Command& plan, Outcome& outcome) {
  const auto options = std::make_shared<ProtocolOptions>();
  Command* command = plan.add_command("protocol", "Simulate a replication protocol over a map of round trips");
  add_plan_files(*command, options->files, false);
  command
      ->add_option("--matrix", options->matrix,
                   "Round trips in ms as CSV: a header of site names, a row a site; what is empty comes from the model")
      ->type_name("FILE")
      ->excludes("PLAN", "--nodes", "--users");
  command
      ->add_option("--protocol", options->protocol, "raft, multipaxos, epaxos, chain, quorum, primary-backup or crdt")
      ->check(one_of(planner::protocol_names()))
      ->capture_default_str();
  command->add_option("--leader", options->leader, "The site that leads (or heads the chain); the fittest by default")
      ->type_name("SITE");
  command->add_option("--conflict", options->conflict, "Share of operations about one hot key")
      ->check(between<double>(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--operations", options->operations, "How many are simulated")
      ->check(between(uint64_t{1}, uint64_t{20'000'000}))
      ->capture_default_str();
  command->add_option("--clients", options->clients, "At each site")
      ->check(between(1U, 10'000U))
      ->capture_default_str();
  command->add_option("--payload-bytes", options->payload, "Of an operation")
      ->check(between<double>(0.0, 1e9))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "The same seed gives the same answer")->capture_default_str();
  command->add_option("--site-availability", options->site_availability, "Probability that a site is up")
      ->check(between<double>(0.0, 1.0))
      ->capture_default_str();
  command
      ->add_option("--activity", options->activity, "Of each site, 0 to 1, for the choice of a leader; 0.5 by default")
      ->delimiter(',')
      ->check(between<double>(0.0, 1.0));
  command->add_option("--stability", options->stability, "Likewise; 1 by default")
      ->delimiter(',')
      ->check(between<double>(0.0, 1.0));
  command
      ->add_option("--fail", options->failing,
                   "Sites that are down from one second to another, repeatable: VA,CA@10-20")
      ->type_name("SITES@FROM-UNTIL")
      ->allow_extra_args(false);
  command->add_option("--part", options->parting, "Sites that reach each other but nobody else meanwhile, repeatable")
      ->type_name("SITES@FROM-UNTIL")
      ->allow_extra_args(false);
  command
      ->add_option("--outage-seconds", options->outage_seconds,
                   "Random outages of each site, so long on average and so often that --site-availability holds")
      ->check(between<double>(0.0, 1e6));
  command->add_option("--loss", options->loss, "Share of the messages that are lost, and sent again after 100 ms")
      ->check(between<double>(0.0, 0.9));
  command->add_flag("--take-out", options->takes_out,
                    "A second after they failed, sites are taken out of a chain, or from a primary's backups");
  add_plan_output(*command, options->output);
  set_examples(
      *command,
      "  verge plan protocol --matrix examples/plan/round-trips.csv --protocol epaxos --conflict 0.02\n"
      "  verge plan protocol --matrix examples/plan/round-trips.csv --protocol raft --leader CA --json\n"
      "  verge plan protocol --matrix examples/plan/round-trips.csv --leader CA --fail CA@5-15 --part JP,EU@20-30\n");
  command->callback([&outcome, options] { outcome.run = [options] { return run_protocol(*options); }; });
}

}  // namespace verge::cli
